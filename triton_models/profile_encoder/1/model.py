"""Profile in, vectors out: `encoders.profile` in Triton's Python backend."""

from encoders.profile import ProfileEncoder
from encoders.serving import EncoderModel


class TritonPythonModel(EncoderModel):
    make_encoder = ProfileEncoder
