"""Audio: music, noises and effects as log-mel spectrograms, embedded with aiSFX."""

from collections.abc import Sequence

import numpy as np

from encoders import networks, sound
from encoders.contract import MODALITIES
from encoders.encoder import Encoder, Floats
from encoders.projection import Projection

RATE = 44_100
SECONDS = 60.0
WINDOW, HOP, BANDS = 2048, 1024, 96
BLOCK = 100
"""Spectrogram frames that the network sees at once: 2.3 s."""
MAX_BLOCKS = 6

BRIGHTEST = np.float32(9.457799)
"""The largest log-mel value in the data that the network learned from."""

_MEL = sound.mel_bands(RATE, WINDOW, BANDS, slaney=False)


def blocks(samples: Floats) -> Floats:
    """(n, 100, 96) log-mel blocks evenly over the sound, at equal loudness: the loudest sample becomes 1."""
    samples = samples / np.abs(samples).max()
    samples = np.pad(samples, WINDOW // 2)
    spectrogram = np.log10(sound.power_spectrum(samples, WINDOW, HOP) @ _MEL.T * np.float32(10_000) + 1) / BRIGHTEST
    frames = len(spectrogram)
    if frames <= BLOCK:
        return np.pad(spectrogram, ((0, BLOCK - frames), (0, 0)))[None]
    count = min(MAX_BLOCKS, -(-frames // BLOCK))
    starts = np.linspace(0, frames - BLOCK, count).astype(int)
    return np.stack([spectrogram[start : start + BLOCK] for start in starts])


class AudioEncoder(Encoder[Floats]):
    """The first minute of a sound file."""

    modality = MODALITIES["audio"]
    weights = ("sound network",)

    def __init__(self, projection: Projection | None = None, device: str = "cpu") -> None:
        super().__init__(projection, device)
        self._network = networks.load("sound", device)

    def precisions(self) -> Sequence[str]:
        return (networks.precision("sound"),)

    @classmethod
    def sample(cls) -> bytes:
        return sound.wav(np.sin(np.arange(RATE // 2, dtype=np.float32) / 20) * np.float32(0.5), RATE)

    def read(self, content: bytes) -> Floats:
        return blocks(sound.decode(content, RATE, SECONDS, self.modality.name))

    def embed(self, batch: Sequence[Floats]) -> Floats:
        embedded = self._network(np.concatenate(batch))
        ends = np.cumsum([len(each) for each in batch])
        return np.stack([rows.mean(0) for rows in np.split(embedded, ends[:-1])])
