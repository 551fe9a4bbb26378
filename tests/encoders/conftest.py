"""One case for each encoder: how to make it, contents it takes, and contents it must refuse by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from encoders.encoder import Encoder
from encoders.profile import ProfileEncoder
from encoders.text import TextEncoder


@dataclass(frozen=True)
class Case:
    """What the contract suite needs to know of an encoder.

    good      at least three different contents
    refused   content -> the name of the error
    """

    make: Callable[[], Encoder[Any]]
    good: list[bytes]
    refused: Mapping[bytes, str] = field(default_factory=dict)


CASES: Mapping[str, Callable[[], Case]] = {
    "text": lambda: Case(
        TextEncoder,
        [b"A cowboy doll is jealous.", "Лягушка сидит на листе".encode(), b"x " * 50_000, "青蛙。".encode()],
        {b"\xff\xfe\x00": "TextUndecodable", b" \n\t ": "TextEmpty", "<br>\u200b".encode(): "TextEmpty"},
    ),
    "profile": lambda: Case(
        ProfileEncoder,
        [
            b'{"age": 24, "gender": "M"}',
            b'{"occupation": "writer", "premium": true}',
            b'{"likes": ["jazz"], "score": 1e9}',
        ],
        {
            b"{": "ProfileUndecodable",
            b"[1]": "ProfileUndecodable",
            b'{"age": 900}': "ProfileUndecodable",
            b'{"age": "old"}': "ProfileUndecodable",
            b'{"a": {"b": 1}}': "ProfileUndecodable",
            b'{"age": 1' + b"0" * 400 + b"}": "ProfileUndecodable",
            b"[" * 30_000: "ProfileUndecodable",
            b"{}": "ProfileEmpty",
            b'{"age": null, "gender": ""}': "ProfileEmpty",
        },
    ),
}


@cache
def _made(name: str) -> tuple[Case, Encoder[Any]]:
    case = CASES[name]()
    return case, case.make()


@pytest.fixture(params=CASES)
def made(request: pytest.FixtureRequest) -> tuple[Case, Encoder[Any]]:
    """Each case with its encoder, loaded once for all tests."""
    return _made(request.param)


@pytest.fixture
def case(made: tuple[Case, Encoder[Any]]) -> Case:
    return made[0]


@pytest.fixture
def encoder(made: tuple[Case, Encoder[Any]]) -> Encoder[Any]:
    return made[1]


@pytest.fixture
def text_encoder() -> Encoder[Any]:
    return _made("text")[1]


@pytest.fixture
def profile_encoder() -> Encoder[Any]:
    return _made("profile")[1]
