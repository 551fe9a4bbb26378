"""Video: a few key frames, where the scene changes most, and the soundtrack."""

import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from encoders import audio, image, networks, sound
from encoders.contract import MODALITIES
from encoders.encoder import Encoder, Floats
from encoders.errors import Refused
from encoders.projection import Projection, unit_rows

CONTAINERS = ("mov", "matroska")
MAX_PIXELS = 3840 * 2160
MAX_CANDIDATES = 48
MAX_FRAMES = 6
SECONDS_APART = 0.5
MAX_SECONDS = 120.0
IMAGE, AUDIO = MODALITIES["image"].native_dim, MODALITIES["audio"].native_dim


class Clip(NamedTuple):
    """What is embedded of a video.

    frames      (n, 3, 224, 224) prepared key frames
    soundtrack  (m, 100, 96) prepared blocks; m = 0 where there is nothing to hear
    """

    frames: Floats
    soundtrack: Floats


def key_frames(pictures: Sequence[Image.Image]) -> list[Image.Image]:
    """At most 6 of the pictures in their order: the first, and those that differ most from the one before.

    Two pictures differ by their coarse colours: half the L1 distance of 8 x 8 x 8 histograms, 0 to 1.
    """
    histograms = [_colours(picture) for picture in pictures]
    changes = [1.0, *(0.5 * np.abs(a - b).sum() for a, b in zip(histograms[1:], histograms, strict=False))]
    most = sorted(range(len(pictures)), key=lambda place: (-changes[place], place))[:MAX_FRAMES]
    return [pictures[place] for place in sorted(most)]


def _colours(picture: Image.Image) -> Floats:
    pixels = np.asarray(picture.resize((64, 64)), np.int64) // 32
    counts = np.bincount((pixels @ np.array([64, 8, 1])).ravel(), minlength=512)
    return np.asarray(counts / counts.sum(), np.float32)


def candidates(content: bytes) -> list[Image.Image]:
    """Pictures half a second apart or more: of the whole video if short, of its key frames if long.

    Raises Refused: Unsupported, Undecodable or TooManyPixels.
    """
    if sound.container(content) not in CONTAINERS:
        raise Refused("video", "Unsupported", "the file is not MP4, QuickTime, WebM or Matroska")
    pictures: list[Image.Image] = []
    try:
        with av.open(io.BytesIO(content), "r", format=sound.container(content), metadata_errors="ignore") as file:
            for picture in _decoded(file):
                pictures.append(picture)
                if len(pictures) == MAX_CANDIDATES:
                    break
    except (av.FFmpegError, ValueError, EOFError) as error:
        # A file cut short is as good as what was read of it.
        if not pictures:
            raise Refused("video", "Undecodable", f"{type(error).__name__}: {str(error)[:200]}") from error
    if not pictures:
        raise Refused("video", "Undecodable", "no frame could be decoded")
    return pictures


def _decoded(file: "av.container.InputContainer") -> Iterator[Image.Image]:
    if not file.streams.video:
        raise Refused("video", "Undecodable", "the file has no video stream")
    stream = file.streams.video[0]
    if stream.codec_context is None:
        raise Refused("video", "Undecodable", "the video stream has a codec that is not known")
    if stream.width * stream.height > MAX_PIXELS:
        detail = f"{stream.width} x {stream.height} pixels, where {MAX_PIXELS} in all are allowed"
        raise Refused("video", "TooManyPixels", detail)
    stream.codec_context.thread_count = 1
    seconds = file.duration / av.time_base if file.duration else MAX_SECONDS
    apart = max(SECONDS_APART, min(seconds, MAX_SECONDS) / MAX_CANDIDATES)
    if seconds > MAX_SECONDS / 4:
        stream.codec_context.skip_frame = "NONKEY"
    latest = -apart
    for frame in file.decode(stream):
        at = frame.time if frame.time is not None else latest + apart
        if at > MAX_SECONDS:
            break
        if frame.width * frame.height > MAX_PIXELS:
            raise Refused("video", "TooManyPixels", f"a frame has {frame.width} x {frame.height} pixels")
        if at - latest >= apart:
            latest = at
            scale = 2 * image.SIDE / max(image.SIDE, min(frame.width, frame.height))
            size = {"width": round(frame.width * scale), "height": round(frame.height * scale)} if scale < 1 else {}
            yield Image.fromarray(frame.reformat(format="rgb24", **size).to_ndarray())


class VideoEncoder(Encoder[Clip]):
    """The first two minutes of a video file."""

    modality = MODALITIES["video"]
    weights = (*image.ImageEncoder.weights, *audio.AudioEncoder.weights)

    def __init__(self, projection: Projection | None = None, device: str = "cpu") -> None:
        super().__init__(projection, device)
        self._pictures = networks.load("image", device)
        self._sounds = networks.load("sound", device)

    def precisions(self) -> Sequence[str]:
        return networks.precision("image"), networks.precision("sound")

    @classmethod
    def sample(cls) -> bytes:
        return encoded([Image.radial_gradient("L").convert("RGB"), Image.linear_gradient("L").convert("RGB")])

    def read(self, content: bytes) -> Clip:
        frames = np.stack([image.prepare(picture) for picture in key_frames(candidates(content))])
        try:
            samples = sound.decode(content, audio.RATE, audio.SECONDS, self.modality.name)
        except Refused:
            # A silent film is a film.
            return Clip(frames, np.zeros((0, audio.BLOCK, audio.BANDS), np.float32))
        return Clip(frames, audio.blocks(samples))

    def embed(self, batch: Sequence[Clip]) -> Floats:
        return np.stack([self._embed(clip) for clip in batch])

    def _embed(self, clip: Clip) -> Floats:
        """(1792,): the mean of the frames, then the mean of the soundtrack, each of unit length or zero."""
        native = np.zeros((1, IMAGE + AUDIO), np.float32)
        native[:, :IMAGE] = unit_rows(self._pictures(clip.frames).mean(0, keepdims=True))
        if len(clip.soundtrack):
            native[:, IMAGE:] = unit_rows(self._sounds(clip.soundtrack).mean(0, keepdims=True))
        return np.asarray(native[0])


def encoded(pictures: Sequence[Image.Image], samples: Floats | None = None, rate: int = 44_100) -> bytes:
    """An MP4 (MPEG-4 video, AAC sound) of the pictures, one a second, and sound, for warm-up and tests."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=1)
        stream.width, stream.height = pictures[0].size
        track = container.add_stream("aac", rate=rate, layout="mono") if samples is not None else None
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")))
        container.mux(stream.encode(None))
        if track is not None and samples is not None:
            frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate = rate
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return file.getvalue()
