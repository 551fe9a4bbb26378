"""Speech in, vectors out: `encoders.speech` in Triton's Python backend."""

from encoders.serving import EncoderModel
from encoders.speech import SpeechEncoder


class TritonPythonModel(EncoderModel):
    make_encoder = SpeechEncoder
