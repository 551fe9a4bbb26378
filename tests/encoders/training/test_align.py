"""Alignment in a small world, where text and pictures are two mixtures of the same hidden directions."""

import numpy as np

from encoders.contract import MODALITIES
from encoders.projection import Projection
from encoders.training.align import Part, align, ridge
from encoders.training.retrieval import recall_at

KINDS, ITEMS = 12, 240


def world(seed: int = 0) -> tuple[dict[str, Part], list[str]]:
    """Text and image natives that share 12 hidden directions, each with noise; one item in four has no image."""
    generator = np.random.default_rng(seed)
    hidden = generator.standard_normal((ITEMS, KINDS)).astype(np.float32)
    items = np.arange(ITEMS)
    parts = {}
    for name in ("text", "image"):
        dim = MODALITIES[name].native_dim
        mixing = generator.standard_normal((KINDS, dim)).astype(np.float32)
        natives = hidden @ mixing + 0.3 * generator.standard_normal((ITEMS, dim)).astype(np.float32)
        having = items if name == "text" else items[items % 4 > 0]
        parts[name] = Part(having, natives[having])
    return parts, [f"item {number}" for number in items]


def recall(space: dict[str, Projection], parts: dict[str, Part], held_out: np.ndarray) -> float:
    text, image = (parts[name].among(held_out[held_out % 4 > 0]) for name in ("text", "image"))
    labels = [str(item) for item in text.items]
    return recall_at(1, space["text"](text.natives), labels, space["image"](image.natives), labels)


def test_after_alignment_text_finds_pictures_never_seen() -> None:
    parts, labels = world()
    held_out, kept = np.arange(200, ITEMS), np.arange(200)
    aligned = align({name: part.among(kept) for name, part in parts.items()}, labels, contrastive_steps=20)
    untrained = {name: Projection.untrained(MODALITIES[name]) for name in parts}
    assert recall(untrained, parts, held_out) < 0.3
    assert recall(aligned, parts, held_out) > 0.9


def test_the_same_seed_gives_the_same_projections() -> None:
    parts, labels = world()
    one, other = (align(parts, labels, seed=3, contrastive_steps=5) for _ in range(2))
    np.testing.assert_array_equal(one["image"].weight, other["image"].weight)


def test_text_is_locked() -> None:
    parts, labels = world()
    aligned = align(parts, labels, contrastive_steps=5)
    np.testing.assert_array_equal(aligned["text"].weight, Projection.untrained(MODALITIES["text"]).weight)


def test_a_large_penalty_keeps_the_direction_of_the_start() -> None:
    parts, _ = world()
    start = Projection.untrained(MODALITIES["image"])
    targets = Projection.untrained(MODALITIES["text"])(parts["text"].natives)
    held = ridge(start, parts["image"], targets, 1e9)
    cosine = (held.weight * start.weight).sum() / np.linalg.norm(held.weight) / np.linalg.norm(start.weight)
    assert abs(cosine) > 0.999
