"""Cross-modal retrieval on Tux Paint's stamps, before and after alignment, as a table in Markdown.

    anabranch train align --save projections

Items are split 80/20 by their English name, so that no name is on both sides; the candidates of a query are the parts
of the items held out. Speech is aligned one language at a time. With `--save`, projections are then trained on all
stamps and written for serving.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.contract import MODALITIES
from encoders.projection import Projection
from encoders.training import stamps
from encoders.training.align import Part, Places, align
from encoders.training.natives import natives
from encoders.training.retrieval import chance_at, recall_at
from encoders.training.stamps import Stamp

SPOKEN = ("English", "Spanish", "French")
METHODS = ("random projections", "before training", "ridge", "ridge + contrast")
QUERIES = (
    ("text in English", "image"),
    ("text in German", "image"),
    ("text in Japanese", "image"),
    ("image", "text in English"),
    ("text in English", "audio"),
    ("image", "audio"),
    ("audio", "image"),
    ("speech in English", "text in English"),
    ("speech in Spanish", "text in English"),
    ("speech in French", "text in English"),
    ("speech in Spanish", "image"),
)
LANGUAGES = {"English": "en", "German": "de", "Japanese": "ja", "Spanish": "es", "French": "fr"}


def part(modality: str, items: Sequence[Stamp], content: Callable[[Stamp], bytes | None], cache: Path) -> Part:
    """One content for each stamp that has it and whose content was not refused."""
    found = [(number, content(stamp)) for number, stamp in enumerate(items)]
    having = [(number, each) for number, each in found if each]
    vectors = natives(modality, [each for _, each in having], cache)
    good = vectors.any(axis=1)
    return Part(np.array([number for number, _ in having])[good], vectors[good])


def parts(items: Sequence[Stamp], cache: Path, spoken: Sequence[str] = SPOKEN) -> dict[str, Part]:
    """'image', 'audio', and 'text in English' and so on for every language at hand, 'speech in English' for some."""
    found = {
        "image": part("image", items, lambda stamp: stamp.image.read_bytes() if stamp.image else None, cache),
        "audio": part("audio", items, lambda stamp: stamp.audio.read_bytes() if stamp.audio else None, cache),
    }
    for name, code in LANGUAGES.items():
        found[f"text in {name}"] = part("text", items, _text(code), cache)
        if name in spoken:
            found[f"speech in {name}"] = part("speech", items, _speech(code), cache)
    return found


def _text(language: str) -> Callable[[Stamp], bytes | None]:
    return lambda stamp: stamp.texts[language].encode() if language in stamp.texts else None


def _speech(language: str) -> Callable[[Stamp], bytes | None]:
    return lambda stamp: stamp.speech[language].read_bytes() if language in stamp.speech else None


def to_align(found: Mapping[str, Part], spoken: str) -> dict[str, Part]:
    """What is trained on: text in all languages together, and speech in one."""
    texts = [each for name, each in found.items() if name.startswith("text")]
    return {
        "text": Part(np.concatenate([each.items for each in texts]), np.concatenate([each.natives for each in texts])),
        "image": found["image"],
        "audio": found["audio"],
        "speech": found[f"speech in {spoken}"],
    }


def compare(found: Mapping[str, Part], labels: NDArray[np.str_], seed: int) -> dict[tuple[str, str], list[float]]:
    """(query, candidates) -> number of candidates, chance, and Recall@10 of each of `METHODS`, on one split."""
    kept, held_out = split(labels, seed)
    spaces = {}
    for spoken in SPOKEN:
        train = {name: each.among(kept) for name, each in to_align(found, spoken).items()}
        spaces[spoken] = (
            {name: Projection.untrained(MODALITIES[name]) for name in train},
            {name: Projection.load(MODALITIES[name]) for name in train},
            align(train, labels.tolist(), seed=seed),
            align(train, labels.tolist(), seed=seed, contrastive_steps=100),
        )
    rows = {}
    for query, wanted in QUERIES:
        language = query.partition(" in ")[2]
        queries, candidates = asked(found, query, wanted, held_out)
        names, answers = labels[queries.items].tolist(), labels[candidates.items].tolist()
        rows[query, wanted] = [float(len(answers)), chance_at(10, names, answers)] + [
            recall(found, labels, held_out, space, query, wanted)
            for space in spaces[language if language in spaces else "English"]
        ]
    return rows


def split(labels: NDArray[np.str_], seed: int) -> tuple[Places, Places]:
    """The items kept to learn from, and the fifth held out: no label is on both sides."""
    distinct = np.random.default_rng(seed).permutation(sorted(set(labels.tolist())))
    held_out = np.flatnonzero(np.isin(labels, distinct[: len(distinct) // 5]))
    return np.setdiff1d(np.arange(len(labels)), held_out), held_out


def asked(found: Mapping[str, Part], query: str, wanted: str, held_out: Places) -> tuple[Part, Part]:
    """The queries, of items held out that have what is wanted, and the candidates."""
    candidates = found[wanted].among(held_out)
    return found[query].among(np.intersect1d(held_out, candidates.items)), candidates


def recall(
    found: Mapping[str, Part],
    labels: NDArray[np.str_],
    held_out: Places,
    space: Mapping[str, Projection],
    query: str,
    wanted: str,
) -> float:
    """Recall@10 in one space, among the items held out."""
    queries, candidates = asked(found, query, wanted, held_out)
    return recall_at(
        10,
        space[query.partition(" in ")[0]](queries.natives),
        labels[queries.items].tolist(),
        space[wanted.partition(" in ")[0]](candidates.natives),
        labels[candidates.items].tolist(),
    )


def table(found: Mapping[str, Part], labels: NDArray[np.str_], splits: int) -> str:
    """Means over the splits, in Markdown; the last column has the standard deviation."""
    runs = [compare(found, labels, seed) for seed in range(splits)]
    lines = [f"| query | finds | candidates | chance | {' | '.join(METHODS)} |", "|---|---|---:" + "|---:" * 5 + "|"]
    for query, wanted in QUERIES:
        values = np.array([run[query, wanted] for run in runs])
        mean, spread = values.mean(0), values.std(0)
        cells = [f"{mean[0]:.0f}", *(f"{value:.3f}" for value in mean[1:-1]), f"{mean[-1]:.3f} ± {spread[-1]:.3f}"]
        lines.append(f"| {query} | {wanted} | {' | '.join(cells)} |")
    return "\n".join(lines)


def run(cache: Path, *, save: Path | None, spoken: str, splits: int) -> None:
    """Print the table of so many splits, and write projections trained on all stamps.

    cache   where the stamps and their native vectors are kept
    save    folder for the projections; None trains none
    spoken  the language of the speech to align with `save`, one of SPOKEN
    """
    torch.set_num_threads(1)
    items = stamps.read(stamps.fetch(cache))
    labels = np.array([stamp.texts["en"] for stamp in items])
    found = parts(items, cache / "natives")
    if splits:
        print(table(found, labels, splits))
    if save:
        for name, projection in align(to_align(found, spoken), labels.tolist()).items():
            print(projection.save(MODALITIES[name], save))
