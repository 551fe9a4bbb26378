"""Audio in, vectors out: `encoders.audio` in Triton's Python backend."""

from encoders.audio import AudioEncoder
from encoders.serving import EncoderModel


class TritonPythonModel(EncoderModel):
    make_encoder = AudioEncoder
