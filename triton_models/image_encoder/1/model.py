"""Image in, vectors out: `encoders.image` in Triton's Python backend."""

from encoders.image import ImageEncoder
from encoders.serving import EncoderModel


class TritonPythonModel(EncoderModel):
    make_encoder = ImageEncoder
