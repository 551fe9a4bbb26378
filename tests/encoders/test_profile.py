import json
from typing import Any

from encoders.encoder import Encoder


def cosine(encoder: Encoder[Any], one: dict[str, Any], other: dict[str, Any]) -> float:
    first, second = encoder.encode([json.dumps(one).encode(), json.dumps(other).encode()]).vectors
    return float(first @ second)


def test_a_near_age_is_closer_than_a_far_one(profile_encoder: Encoder[Any]) -> None:
    assert cosine(profile_encoder, {"age": 30}, {"age": 33}) > cosine(profile_encoder, {"age": 30}, {"age": 60}) + 0.5


def test_shared_traits_bring_profiles_together(profile_encoder: Encoder[Any]) -> None:
    writer = {"age": 30, "gender": "F", "occupation": "writer"}
    assert cosine(profile_encoder, writer, writer | {"gender": "M"}) > 0.5
    assert cosine(profile_encoder, writer, {"age": 61, "gender": "M", "occupation": "farmer"}) < 0.3


def test_spelling_does_not_matter(profile_encoder: Encoder[Any]) -> None:
    assert (
        cosine(profile_encoder, {"gender": "M", "likes": ["Sci-Fi"]}, {"gender": "male", "likes": ["sci fi "]}) > 0.999
    )


def test_the_order_of_fields_does_not_matter(profile_encoder: Encoder[Any]) -> None:
    assert cosine(profile_encoder, {"a": "x", "b": "y"}, {"b": "y", "a": "x"}) > 0.999


def test_a_long_list_does_not_drown_the_other_traits(profile_encoder: Encoder[Any]) -> None:
    many = {"occupation": "writer", "likes": [f"thing {number}" for number in range(50)]}
    assert cosine(profile_encoder, many, {"occupation": "writer"}) > 0.8
