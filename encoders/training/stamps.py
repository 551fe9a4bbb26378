"""Tux Paint's stamps: 952 items with a picture, a sound, spoken and written names in many languages (GPL-2).

They are read from the Debian package `tuxpaint-stamps-default`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from encoders.training.debian import unpacked

PACKAGE = "tuxpaint-stamps-default"
STAMPS = Path("usr/share/tuxpaint/stamps")
LANGUAGES = ("de", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh_CN")
"""Of the written names, those that the text encoder learned."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """One item.

    item_id   its path within the collection, such as 'animals/amphibians/frog'
    texts     language -> its name; 'en' always
    image     PNG file, where there is one
    audio     the sound it makes, where there is one
    speech    language -> its name spoken
    """

    item_id: str
    texts: Mapping[str, str]
    image: Path | None
    audio: Path | None
    speech: Mapping[str, Path]


def fetch(cache: Path) -> Path:
    """The folder of the unpacked package, fetched first where it is not there. Raises CalledProcessError."""
    return unpacked(PACKAGE, cache) / STAMPS


def read(folder: Path) -> list[Stamp]:
    """Every stamp that has an English name, in the order of their paths."""
    stamps = []
    for path in sorted(folder.rglob("*.txt")):
        texts = _texts(path)
        if not texts["en"]:
            continue
        stem = path.with_suffix("")
        spoken = {
            file.name[len(stem.name) + 5 :].removesuffix(".ogg"): file
            for file in path.parent.glob(f"{_literal(stem.name)}_desc*.ogg")
        }
        stamps.append(
            Stamp(
                str(stem.relative_to(folder)),
                texts,
                _existing(stem.with_suffix(".png")),
                _existing(stem.with_suffix(".ogg")) or _existing(stem.with_suffix(".wav")),
                {language.removeprefix("_") or "en": file for language, file in sorted(spoken.items())},
            )
        )
    return stamps


def _texts(path: Path) -> dict[str, str]:
    first, *others = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    texts = {"en": first.strip()}
    for line in others:
        language, _, text = line.partition(".utf8=")
        if language in LANGUAGES and text.strip():
            texts[language] = text.strip()
    return texts


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _literal(name: str) -> str:
    """A file name as a pattern that matches only itself."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
