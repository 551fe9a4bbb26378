"""Sound: decode any common file to mono samples within limits; power spectra and mel bands."""

import io
from collections.abc import Iterator

import av
import numpy as np
from numpy.typing import NDArray

from encoders.errors import Refused

Floats = NDArray[np.float32]

SIGNATURES = (
    (0, b"OggS", "ogg"),
    (8, b"WAVE", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"ID3", "mp3"),
    (4, b"ftyp", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
)
"""Where a container shows what it is. Only these are opened, so that no playlist can name other files."""

SHORTEST_SECONDS = 0.05
QUIETEST_PEAK = 1e-4


def container(content: bytes) -> str | None:
    """The name of the container by its first bytes, or None where it is not accepted.

    >>> container(b"RIFF....WAVEfmt "), container(b"#EXTM3U")
    ('wav', None)
    """
    for start, signature, name in SIGNATURES:
        if content[start : start + len(signature)] == signature:
            return name
    # MPEG audio frames, with and without layers (MP3 and AAC), begin with eleven or twelve ones.
    if len(content) > 1 and content[0] == 0xFF and content[1] & 0xE0 == 0xE0:
        return "aac" if content[1] & 0xF6 == 0xF0 else "mp3"
    return None


def decode(content: bytes, rate: int, seconds: float, modality: str) -> Floats:
    """(n,) mono samples of the beginning of the file's first audio stream, about -1 to 1.

    rate      samples per second wanted
    seconds   at most this much is decoded, however long the file claims to be
    modality  for the error's name

    Raises Refused: Unsupported, Undecodable, TooShort or Silent.
    """
    name = container(content)
    if name is None:
        raise Refused(modality, "Unsupported", "the file is not Ogg, WAV, FLAC, MP3, AAC, MP4 or WebM")
    wanted = int(rate * seconds)
    pieces: list[Floats] = []
    found = 0
    try:
        with av.open(io.BytesIO(content), "r", format=name, metadata_errors="ignore") as file:
            for piece in _resampled(file, rate, modality):
                pieces.append(piece)
                found += len(piece)
                if found >= wanted:
                    break
    except (av.FFmpegError, ValueError, EOFError) as error:
        # A file cut short is as good as what was read of it.
        if found < rate * SHORTEST_SECONDS:
            raise Refused(modality, "Undecodable", f"{type(error).__name__}: {str(error)[:200]}") from error
    if found < rate * SHORTEST_SECONDS:
        raise Refused(modality, "TooShort", f"{found / rate:.3f} s, where {SHORTEST_SECONDS} s are needed")
    samples = np.nan_to_num(np.concatenate(pieces)[:wanted], posinf=0.0, neginf=0.0)
    if np.abs(samples).max() < QUIETEST_PEAK:
        raise Refused(modality, "Silent", f"no sample exceeds {QUIETEST_PEAK}")
    return samples


def _resampled(file: "av.container.InputContainer", rate: int, modality: str) -> Iterator[Floats]:
    if not file.streams.audio:
        raise Refused(modality, "Undecodable", "the file has no audio stream")
    stream = file.streams.audio[0]
    if stream.codec_context is None:
        raise Refused(modality, "Undecodable", "the audio stream has a codec that is not known")
    stream.codec_context.thread_count = 1
    resampler = av.AudioResampler("flt", "mono", rate)
    for frame in file.decode(stream):
        for piece in resampler.resample(frame):
            yield np.asarray(piece.to_ndarray()[0], np.float32)
    for piece in resampler.resample(None):
        yield np.asarray(piece.to_ndarray()[0], np.float32)


def power_spectrum(samples: Floats, window: int, hop: int) -> Floats:
    """(frames, window // 2 + 1) power of each frequency, in Hann windows `hop` samples apart."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]
    hann = np.hanning(window + 1)[:-1].astype(np.float32)
    spectrum = np.fft.rfft(frames * hann, axis=1)
    return np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)


def mel_bands(rate: int, window: int, bands: int, *, slaney: bool) -> Floats:
    """(bands, window // 2 + 1) triangular filters evenly spaced in mel from 0 to rate / 2.

    slaney  Slaney's mel and equal area, as Whisper learned with; otherwise HTK's mel and entries that
            sum to 1, as aiSFX learned with
    """
    frequencies = np.linspace(0, rate / 2, window // 2 + 1)
    edges = _from_mel(np.linspace(0, _to_mel(rate / 2, slaney), bands + 2), slaney)
    slopes = np.diff(edges)[:, None]
    distances = edges[:, None] - frequencies
    filters = np.maximum(0, np.minimum(-distances[:-2] / slopes[:-1], distances[2:] / slopes[1:]))
    scale = 2 / (edges[2:] - edges[:-2])[:, None] if slaney else 1 / filters.sum(1, keepdims=True)
    return np.asarray(filters * scale, np.float32)


def _to_mel(hertz: float, slaney: bool) -> float:
    if not slaney:
        return float(2595 * np.log10(1 + hertz / 700))
    return 15 + float(np.log(hertz / 1000)) * 27 / float(np.log(6.4)) if hertz >= 1000 else hertz * 3 / 200


def _from_mel(mel: NDArray[np.float64], slaney: bool) -> NDArray[np.float64]:
    if not slaney:
        return np.asarray(700 * (10 ** (mel / 2595) - 1))
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))


def wav(samples: Floats, rate: int) -> bytes:
    """The samples, -1 to 1, as a 16-bit mono WAV file."""
    data = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    head = b"WAVEfmt " + b"".join(
        number.to_bytes(size, "little")
        for number, size in ((16, 4), (1, 2), (1, 2), (rate, 4), (2 * rate, 4), (2, 2), (16, 2))
    )
    return b"RIFF" + (36 + len(data)).to_bytes(4, "little") + head + b"data" + len(data).to_bytes(4, "little") + data
