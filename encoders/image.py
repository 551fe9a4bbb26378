"""Image: decode within limits, turn upright, resize, crop, normalise, and embed with EfficientNet-Lite0."""

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from encoders import networks
from encoders.contract import MODALITIES
from encoders.encoder import Encoder, Floats
from encoders.errors import Refused
from encoders.projection import Projection

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
MAX_PIXELS = 40_000_000
SIDE, CROP = 256, 224

DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)
"""What Pillow raises for damaged files, format by format."""


def decode(content: bytes) -> Image.Image:
    """The first picture in the file, upright, in RGB, on white where it is transparent.

    At most `MAX_PIXELS` are decoded; the size is read from the header first. Raises Refused.
    """
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
        width, height = picture.size
        if width * height > MAX_PIXELS:
            detail = f"{width} x {height} pixels, where {MAX_PIXELS} in all are allowed"
            raise Refused("image", "TooManyPixels", detail)
        # A JPEG can be decoded smaller at once; the size asked for is a lower bound.
        picture.draft("RGB", (2 * SIDE, 2 * SIDE))
        upright: Image.Image = ImageOps.exif_transpose(picture)
        if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
            upright = upright.convert("RGBA")
            upright.thumbnail((4 * SIDE, 4 * SIDE))
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
        return upright.convert("RGB")
    except Image.DecompressionBombError as error:
        raise Refused("image", "TooManyPixels", str(error)) from error
    except UnidentifiedImageError as error:
        raise Refused("image", "Undecodable", "the file is not a JPEG, PNG, WebP or GIF") from error
    except DAMAGE as error:
        raise Refused("image", "Undecodable", f"{type(error).__name__}: {str(error)[:200]}") from error


def prepare(picture: Image.Image) -> Floats:
    """(3, 224, 224): shorter side to 256, the middle 224 x 224, values about -1 to 1, as the network learned.

    A long thin picture is first padded to at most 2:1, so that the crop still shows most of it.
    """
    width, height = picture.size
    scale = min(SIDE / min(width, height), 2 * SIDE / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    if min(size) < SIDE:
        size = (max(SIDE, size[0]), max(SIDE, size[1]))
        picture = ImageOps.pad(picture, size, color="white")
    left, top = (size[0] - CROP) // 2, (size[1] - CROP) // 2
    pixels = np.asarray(picture.crop((left, top, left + CROP, top + CROP)), np.float32)
    return np.ascontiguousarray(((pixels - 127) / 128).transpose(2, 0, 1))


class ImageEncoder(Encoder[Floats]):
    """JPEG, PNG, WebP, or the first frame of a GIF."""

    modality = MODALITIES["image"]
    weights = ("image network", "image classes", "sentence encoder", "sentence pieces")

    def __init__(self, projection: Projection | None = None, device: str = "cpu") -> None:
        super().__init__(projection, device)
        self._network = networks.load("image", device)

    def precisions(self) -> Sequence[str]:
        return (networks.precision("image"),)

    @classmethod
    def sample(cls) -> bytes:
        file = io.BytesIO()
        Image.radial_gradient("L").convert("RGB").save(file, "PNG")
        return file.getvalue()

    def read(self, content: bytes) -> Floats:
        return prepare(decode(content))

    def embed(self, batch: Sequence[Floats]) -> Floats:
        return self._network(np.stack(batch))
