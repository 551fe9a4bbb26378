"""Two thousand corrupt, truncated, mislabelled and random files: refused by name or read, never worse."""

import resource
from collections import Counter

import pytest

from encoders.errors import KINDS, Refused
from tests.media import DECODERS, damaged, hostile

FILES_PER_MODALITY = 500
MORE_MEMORY_KIB = 700 * 1024


@pytest.mark.parametrize("modality", DECODERS)
def test_damaged_files_are_refused_by_name_or_read(modality: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: Counter[str] = Counter()
    for _, content in zip(range(FILES_PER_MODALITY), damaged(modality, seed=1), strict=False):
        try:
            DECODERS[modality](content)
            outcomes["read"] += 1
        except Refused as refusal:
            outcomes[refusal.kind] += 1
            assert str(refusal).startswith(f"{modality.capitalize()}{refusal.kind}: ")
    assert set(outcomes) <= {"read", *KINDS}
    assert outcomes.total() == FILES_PER_MODALITY
    assert outcomes["read"] < FILES_PER_MODALITY
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MORE_MEMORY_KIB


@pytest.mark.parametrize("modality", DECODERS)
def test_hostile_files_are_refused_by_name(modality: str) -> None:
    for content in hostile(modality):
        with pytest.raises(Refused, match=f"^{modality.capitalize()}[A-Z][a-z]"):
            DECODERS[modality](content)
