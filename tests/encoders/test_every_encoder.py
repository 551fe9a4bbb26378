"""What holds for every encoder."""

from typing import Any

import numpy as np

from encoders.contract import DIM, MODALITIES
from encoders.encoder import Encoder
from encoders.projection import Projection


def test_every_modality_has_a_case(encoder: Encoder[Any]) -> None:
    assert MODALITIES[encoder.modality.name] is encoder.modality


def test_vectors_have_the_shape_and_type_of_the_contract(case: Any, encoder: Encoder[Any]) -> None:
    encoded = encoder.encode(case.good)
    assert encoded.errors == [""] * len(case.good)
    assert encoded.vectors.shape == (len(case.good), DIM)
    assert encoded.natives.shape == (len(case.good), encoder.modality.native_dim)
    assert encoded.vectors.dtype == encoded.natives.dtype == np.float32


def test_vectors_have_unit_length(case: Any, encoder: Encoder[Any]) -> None:
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(case.good).vectors, axis=1), 1, atol=1e-5)


def test_different_contents_get_different_vectors(case: Any, encoder: Encoder[Any]) -> None:
    vectors = encoder.encode(case.good).vectors
    cosines = vectors @ vectors.T
    assert (cosines[~np.eye(len(vectors), dtype=bool)] < 0.9999).all()


def test_the_same_content_gets_the_same_vector_again(case: Any, encoder: Encoder[Any]) -> None:
    np.testing.assert_array_equal(encoder.encode(case.good).vectors, encoder.encode(case.good).vectors)


def test_a_content_gets_the_same_vector_alone_and_in_a_batch(case: Any, encoder: Encoder[Any]) -> None:
    together = encoder.encode(case.good * (encoder.modality.max_batch // len(case.good) + 1))
    for row, content in enumerate(case.good):
        np.testing.assert_allclose(encoder.encode([content]).vectors[0], together.vectors[row], atol=2e-5)


def test_no_contents_give_no_vectors(encoder: Encoder[Any]) -> None:
    encoded = encoder.encode([])
    assert encoded.vectors.shape == (0, DIM)
    assert encoded.errors == []


def test_the_sample_to_warm_up_with_is_valid(encoder: Encoder[Any]) -> None:
    assert encoder.encode([encoder.sample()]).errors == [""]


def test_no_bytes_are_refused_by_name(encoder: Encoder[Any]) -> None:
    encoded = encoder.encode([b""])
    assert encoded.errors[0].startswith(f"{encoder.modality.name.capitalize()}Empty: ")
    assert not encoded.vectors.any()


def test_too_many_bytes_are_refused_by_name(encoder: Encoder[Any]) -> None:
    huge = bytes(encoder.modality.max_bytes + 1)
    assert encoder.encode([huge]).errors[0].startswith(f"{encoder.modality.name.capitalize()}TooLarge: ")


def test_what_cannot_be_read_is_refused_by_name(case: Any, encoder: Encoder[Any]) -> None:
    for content, name in case.refused.items():
        encoded = encoder.encode([content])
        assert encoded.errors[0].startswith(f"{name}: "), (content[:40], encoded.errors)
        assert not encoded.vectors.any()


def test_a_bad_content_does_not_harm_its_neighbours(case: Any, encoder: Encoder[Any]) -> None:
    bad = next(iter(case.refused))
    encoded = encoder.encode([case.good[0], bad, case.good[1]])
    assert [bool(error) for error in encoded.errors] == [False, True, False]
    np.testing.assert_allclose(encoded.vectors[[0, 2]], encoder.encode(case.good[:2]).vectors, atol=2e-5)


def test_the_space_is_named_alike_each_time_and_otherwise_with_another_projection(encoder: Encoder[Any]) -> None:
    modality = encoder.modality
    numbers = np.ones((modality.native_dim, DIM), np.float32)
    named, original = encoder.space, encoder._projection
    assert named == encoder.space != ""
    try:
        encoder._projection = Projection(numbers[:, 0], numbers)
        assert encoder.space != named
    finally:
        encoder._projection = original
