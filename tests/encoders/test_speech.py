"""Speech tells its words, so that they can be searched for."""

from typing import Any

from encoders.encoder import Encoder
from tests.encoders.conftest import say


def test_what_is_said_is_told_and_of_what_is_refused_nothing(speech_encoder: Encoder[Any]) -> None:
    told = speech_encoder.encode([say("A frog is sitting on a green leaf."), b"plain text"]).words
    assert {"frog", "green", "leaf"} <= set(told[0].lower().rstrip(".").split()) and told[1] == ""
