"""One case for each encoder: how to make it, contents it takes, and contents it must refuse by name."""

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import espeakng_loader
import numpy as np
import pytest
from PIL import Image

from encoders import sound
from encoders.audio import AudioEncoder
from encoders.encoder import Encoder
from encoders.image import ImageEncoder
from encoders.profile import ProfileEncoder
from encoders.speech import SpeechEncoder
from encoders.text import TextEncoder
from encoders.video import VideoEncoder, encoded
from tests.media import RATE, file_of, picture, tone


@cache
def _speaker() -> tuple[ctypes.CDLL, int]:
    """eSpeak NG and its samples per second."""
    synchronous = 2
    library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
    rate = library.espeak_Initialize(synchronous, 0, str(espeakng_loader.get_data_path()).encode(), 0)
    library.espeak_SetVoiceByName(b"en-us")
    return library, rate


@cache
def say(words: str) -> bytes:
    """The words spoken in American English, as a WAV file."""
    utf8 = 1
    library, rate = _speaker()
    heard: list[int] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def hear(samples: Any, count: int, _: object) -> int:
        if samples and count:
            heard.extend(samples[:count])
        return 0

    library.espeak_SetSynthCallback(hear)
    text = words.encode()
    library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, utf8, None, None)
    library.espeak_Synchronize()
    return sound.wav(np.array(heard, np.float32) / 32768, rate)


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
    "image": lambda: Case(
        ImageEncoder,
        [
            file_of(picture(1)),
            file_of(picture(2), "JPEG"),
            file_of(picture(3), "WEBP"),
            file_of(picture(4), "GIF"),
        ],
        {
            b"not a picture": "ImageUndecodable",
            file_of(picture(1))[:400]: "ImageUndecodable",
            file_of(picture(2), "JPEG")[:600]: "ImageUndecodable",
            file_of(picture(1), "TIFF"): "ImageUndecodable",
            file_of(Image.new("1", (30_000, 30_000))): "ImageTooManyPixels",
        },
    ),
    "audio": lambda: Case(
        AudioEncoder,
        [sound.wav(tone(220), RATE), sound.wav(tone(900, 5), RATE), sound.wav(tone(3_000, 0.2), RATE)],
        {
            b"#EXTM3U\nfile:///etc/passwd": "AudioUnsupported",
            file_of(picture(1)): "AudioUnsupported",
            b"OggS" + bytes(500): "AudioUndecodable",
            sound.wav(tone(220), RATE)[:30]: "AudioUndecodable",
            sound.wav(np.zeros(RATE, np.float32), RATE): "AudioSilent",
            sound.wav(tone(220, 0.01), RATE): "AudioTooShort",
            encoded([picture(1)]): "AudioUndecodable",
        },
    ),
    "speech": lambda: Case(
        SpeechEncoder,
        [
            say("A frog is sitting on a green leaf."),
            say("My sister bought a new house."),
            say("Tell me the time."),
        ],
        {
            sound.wav(np.zeros(RATE, np.float32), RATE): "SpeechSilent",
            sound.wav(np.random.default_rng(0).standard_normal(RATE).astype(np.float32) / 4, RATE): "SpeechWordless",
            b"plain text": "SpeechUnsupported",
            b"ID3" + bytes(500): "SpeechUndecodable",
        },
    ),
    "video": lambda: Case(
        VideoEncoder,
        [
            encoded([picture(1), picture(2)]),
            encoded([picture(3), picture(4)], tone(440, 2), RATE),
            encoded([picture(number) for number in range(5, 13)]),
        ],
        {
            b"plain text": "VideoUnsupported",
            sound.wav(tone(220), RATE): "VideoUnsupported",
            encoded([picture(1)])[:200]: "VideoUndecodable",
            b"\0\0\0\x18ftypisom" + bytes(500): "VideoUndecodable",
        },
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


@pytest.fixture
def speech_encoder() -> Encoder[Any]:
    return _made("speech")[1]


@pytest.fixture
def image_encoder() -> Encoder[Any]:
    return _made("image")[1]


@pytest.fixture
def video_encoder() -> Encoder[Any]:
    return _made("video")[1]


@pytest.fixture
def spoken_frog() -> bytes:
    return say("A frog is sitting on a green leaf.")


@pytest.fixture
def pictures() -> list[Image.Image]:
    return [picture(seed) for seed in range(1, 4)]
