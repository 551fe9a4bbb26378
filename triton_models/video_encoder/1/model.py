"""Video in, vectors out: `encoders.video` in Triton's Python backend."""

from encoders.serving import EncoderModel
from encoders.video import VideoEncoder


class TritonPythonModel(EncoderModel):
    make_encoder = VideoEncoder
