"""Text in, vectors out: `encoders.text` in Triton's Python backend."""

from encoders.serving import EncoderModel
from encoders.text import TextEncoder


class TritonPythonModel(EncoderModel):
    make_encoder = TextEncoder
