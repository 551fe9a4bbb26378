"""What is special about pictures, sounds, speech and videos."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from encoders import image, sound, video
from encoders.encoder import Encoder
from encoders.errors import Refused


def square(colour: str, side: int = 300) -> Image.Image:
    return Image.new("RGB", (side, side), colour)


def as_bytes(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    import io

    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def test_a_picture_is_turned_upright_by_its_exif() -> None:
    picture = Image.new("RGB", (300, 200), "white")
    picture.paste("black", (0, 0, 300, 100))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = image.decode(as_bytes(picture, "JPEG", exif=exif))
    assert upright.size[0] < upright.size[1]
    right, left = upright.getpixel((upright.width - 5, 20)), upright.getpixel((5, 20))
    assert right == (0, 0, 0) and left == (255, 255, 255)


def test_a_transparent_ground_becomes_white() -> None:
    assert image.decode(as_bytes(Image.new("RGBA", (10, 10), (0, 0, 0, 0)))).getpixel((5, 5)) == (
        255,
        255,
        255,
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (224, 224), (500, 300)])
def test_every_shape_becomes_the_shape_of_the_network(size: tuple[int, int]) -> None:
    prepared = image.prepare(Image.new("RGB", size, "grey"))
    assert prepared.shape == (3, 224, 224) and prepared.dtype == np.float32


def test_a_picture_is_near_itself_at_another_size_and_quality(
    image_encoder: Encoder[Any], pictures: list[Image.Image]
) -> None:
    one, other = (picture.resize((600, 600)) for picture in pictures[:2])
    large, small, another = image_encoder.encode(
        [as_bytes(one), as_bytes(one.resize((300, 300)), "JPEG", quality=60), as_bytes(other)]
    ).vectors
    assert large @ small > large @ another + 0.2


def test_sound_is_decoded_at_the_rate_asked_for_and_no_longer_than_asked() -> None:
    samples = np.sin(np.arange(44_100 * 3) / 30).astype(np.float32) * np.float32(0.5)
    decoded = sound.decode(sound.wav(samples, 44_100), 16_000, 2.0, "audio")
    assert len(decoded) == 32_000
    assert 0.45 < np.abs(decoded).max() < 0.55


def test_a_sound_cut_short_counts_as_far_as_it_goes() -> None:
    file = sound.wav(np.sin(np.arange(44_100) / 30).astype(np.float32), 44_100)
    assert 0.4 < len(sound.decode(file[: len(file) // 2], 16_000, 10, "audio")) / 16_000 < 0.6


def test_mel_bands_of_effects_sum_to_one_each() -> None:
    np.testing.assert_allclose(sound.mel_bands(44_100, 2048, 96, slaney=False).sum(1), 1, rtol=1e-5)


def test_a_sound_without_a_picture_is_no_video() -> None:
    with pytest.raises(Refused, match="VideoUnsupported"):
        video.candidates(sound.wav(np.ones(44_100, np.float32), 44_100))


def test_key_frames_are_where_the_scene_changes() -> None:
    scenes = [square("red")] * 5 + [square("blue")] * 5 + [square("green")] * 5
    chosen = video.key_frames(scenes)
    assert len(chosen) == video.MAX_FRAMES
    assert {picture.getpixel((0, 0)) for picture in chosen} == {(255, 0, 0), (0, 0, 255), (0, 128, 0)}


def test_a_video_is_nearer_to_its_own_picture_than_to_another(
    video_encoder: Encoder[Any], image_encoder: Encoder[Any]
) -> None:
    own = Image.radial_gradient("L").resize((320, 320)).convert("RGB")
    other = Image.linear_gradient("L").resize((320, 320)).convert("RGB")
    clip = video_encoder.encode([video.encoded([own, own, own])]).vectors[0]
    of_own, of_other = image_encoder.encode([as_bytes(own), as_bytes(other)]).vectors
    assert clip @ of_own > clip @ of_other + 0.1


def test_what_is_said_lies_near_what_is_written(
    speech_encoder: Encoder[Any], text_encoder: Encoder[Any], spoken_frog: bytes
) -> None:
    heard = speech_encoder.encode([spoken_frog]).vectors[0]
    frog, market = text_encoder.encode([b"A green frog on a leaf.", b"The stock market fell sharply."]).vectors
    assert heard @ frog > heard @ market + 0.3
