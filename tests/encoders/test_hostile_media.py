"""Two thousand corrupt, truncated, mislabelled and random files: refused by name or read, never worse."""

import resource
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from encoders import audio, image, sound, video
from encoders.errors import KINDS, Refused

FILES_PER_MODALITY = 700
MORE_MEMORY_KIB = 700 * 1024


def damaged(good: list[bytes], seed: int) -> Iterator[bytes]:
    """Endless variations on good files."""
    generator = np.random.default_rng(seed)
    while True:
        content = bytearray(good[generator.integers(len(good))])
        match int(generator.integers(6)):
            case 0:
                yield bytes(content[: generator.integers(1, len(content))])
            case 1:
                for place in generator.integers(0, len(content), generator.integers(1, 40)).tolist():
                    content[place] = int(generator.integers(256))
                yield bytes(content)
            case 2:
                for place in generator.integers(0, min(200, len(content)), generator.integers(1, 10)).tolist():
                    content[place] = int(generator.integers(256))
                yield bytes(content)
            case 3:
                other = good[generator.integers(len(good))]
                yield other[: generator.integers(4, 64)] + bytes(content[generator.integers(len(content)) :])
            case 4:
                start = int(generator.integers(len(content)))
                yield bytes(content[:start]) + bytes(int(generator.integers(1, 2000))) + bytes(content[start:])
            case _:
                yield bytes(content[:12]) + generator.bytes(int(generator.integers(1, 4000)))


READERS: dict[str, Callable[[bytes], Any]] = {
    "image": lambda content: image.prepare(image.decode(content)),
    "audio": lambda content: audio.blocks(sound.decode(content, audio.RATE, audio.SECONDS, "audio")),
    "video": lambda content: [image.prepare(each) for each in video.key_frames(video.candidates(content))],
}


@pytest.mark.parametrize("modality", READERS)
def test_hostile_files_are_refused_by_name_or_read(modality: str, good_files: dict[str, list[bytes]]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: Counter[str] = Counter()
    files = damaged([*good_files[modality], *good_files["image"][:1], *good_files["audio"][:1]], seed=1)
    for _, content in zip(range(FILES_PER_MODALITY), files, strict=False):
        try:
            READERS[modality](content)
            outcomes["read"] += 1
        except Refused as refusal:
            outcomes[refusal.kind] += 1
            assert str(refusal).startswith(f"{modality.capitalize()}{refusal.kind}: ")
    assert set(outcomes) <= {"read", *KINDS}
    assert outcomes.total() == FILES_PER_MODALITY
    assert outcomes["read"] < FILES_PER_MODALITY
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MORE_MEMORY_KIB


def test_a_small_file_that_claims_to_be_huge_is_refused_before_it_is_decoded() -> None:
    import io

    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    with pytest.raises(Refused, match="ImageTooManyPixels: "):
        image.decode(file.getvalue())
