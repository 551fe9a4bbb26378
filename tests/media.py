"""Pictures, sounds and videos made on the spot, and what is done to them to do harm."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from encoders import audio, image, sound, speech, video
from encoders.errors import Refused
from encoders.video import encoded

RATE = 22_050


def picture(seed: int, width: int = 300, height: int = 200) -> Image.Image:
    """Coloured ellipses on a coloured ground."""
    generator = np.random.default_rng(seed)
    drawn = Image.new("RGB", (width, height), tuple(generator.integers(0, 255, 3).tolist()))
    for _ in range(6):
        x, y, right, down = generator.integers(0, (width, height, width, height)).tolist()
        colour = tuple(generator.integers(0, 255, 3).tolist())
        ImageDraw.Draw(drawn).ellipse((x, y, x + right // 2, y + down // 2), fill=colour)
    return drawn


def file_of(drawn: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    drawn.save(file, kind, **options)
    return file.getvalue()


def tone(hertz: float, seconds: float = 1.0) -> sound.Floats:
    """A decaying tone with overtones and a little noise."""
    time = np.arange(int(RATE * seconds)) / RATE
    overtones = sum(np.sin(2 * np.pi * hertz * number * time) / number for number in (1, 2, 3))
    noise = np.random.default_rng(int(hertz)).standard_normal(len(time))
    return np.asarray(0.2 * np.exp(-time) * (overtones + 0.05 * noise), np.float32)


def good_files() -> dict[str, list[bytes]]:
    """A few valid files of each kind of media."""
    return {
        "image": [
            *(file_of(picture(seed), kind) for seed, kind in enumerate(("PNG", "JPEG", "WEBP", "GIF"))),
            file_of(picture(5).convert("P"), "PNG"),
        ],
        "audio": [
            sound.wav(tone(220), RATE),
            sound.wav(tone(3_000, 0.2), RATE),
            encoded([picture(1)], tone(440), RATE),
        ],
        "video": [encoded([picture(1), picture(2)]), encoded([picture(3)], tone(440), RATE)],
    }


DECODERS: dict[str, Callable[[bytes], Any]] = {
    "image": lambda content: image.prepare(image.decode(content)),
    "audio": lambda content: audio.blocks(sound.decode(content, audio.RATE, audio.SECONDS, "audio")),
    "speech": lambda content: sound.decode(content, speech.RATE, speech.SECONDS, "speech"),
    "video": lambda content: [image.prepare(each) for each in video.key_frames(video.candidates(content))],
}
"""What happens to a file of each modality before a network sees it. Raises Refused."""


def damaged(modality: str, seed: int) -> Iterator[bytes]:
    """Endless variations on good files: cut short, overwritten, spliced, torn apart, mislabelled, random."""
    good = good_files()
    files = [*good["audio" if modality == "speech" else modality], good["image"][0], good["audio"][0]]
    generator = np.random.default_rng(seed)
    while True:
        content = bytearray(files[generator.integers(len(files))])
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
                other = files[generator.integers(len(files))]
                yield other[: generator.integers(4, 64)] + bytes(content[generator.integers(len(content)) :])
            case 4:
                start = int(generator.integers(len(content)))
                yield bytes(content[:start]) + bytes(int(generator.integers(1, 2000))) + bytes(content[start:])
            case _:
                yield bytes(content[:12]) + generator.bytes(int(generator.integers(1, 4000)))


def hostile(modality: str) -> list[bytes]:
    """Files that mean harm: bombs, other formats in disguise, names of files to open."""
    everywhere = [
        b"#EXTM3U\nfile:///etc/passwd",
        b"ffconcat version 1.0\nfile /etc/passwd",
        b"<html><script>alert(1)</script></html>",
        b"PK\3\4" + bytes(200),
        b"%PDF-1.7\n" + bytes(200),
        b"\x7fELF" + bytes(200),
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    ]
    match modality:
        case "image":
            return [*everywhere, file_of(Image.new("1", (20_000, 20_000))), _text_bomb(), _wide_gif()]
        case "audio" | "speech":
            return [*everywhere, sound.wav(np.zeros(RATE, np.float32), RATE), _endless_wav()]
        case _:
            return [*everywhere, encoded([picture(1)])[:400]]


def refused(modality: str, seed: int = 1) -> Iterator[tuple[bytes, str]]:
    """Endless files that the decoder refuses, each with its reason."""
    for content in (each for source in (hostile(modality), damaged(modality, seed)) for each in source):
        try:
            DECODERS[modality](content)
        except Refused as refusal:
            yield content, str(refusal)


def _text_bomb() -> bytes:
    """A PNG whose comment becomes 100 MB."""
    chunk = b"zTXtComment\0\0" + zlib.compress(bytes(100_000_000), 9)
    png = file_of(picture(1))
    length = struct.pack(">I", len(chunk) - 4)
    return png[:33] + length + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]


def _wide_gif() -> bytes:
    """A GIF that claims 65,535 x 65,535 pixels."""
    gif = bytearray(file_of(picture(4), "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    return bytes(gif)


def _endless_wav() -> bytes:
    """A WAV that claims 4 GB, a million channels and no samples."""
    wav = bytearray(sound.wav(tone(220, 0.2), RATE))
    wav[4:8] = wav[40:44] = b"\xff\xff\xff\xff"
    wav[22:24] = b"\xff\xff"
    return bytes(wav)
