"""Pretrained networks, run by onnxruntime on the CPU and by torch on a GPU, in the precision that a setting picks.

The torch modules in `encoders.torch_networks` are the truth. On a CPU each is exported once to ONNX, which
halves the time of a picture and saves the 450 MB that torch takes in every serving process.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from encoders.errors import WeightsUnusable
from encoders.weights import WEIGHTS, locate

Floats = NDArray[np.float32]
Run = Callable[[Floats], Floats]

CACHE_SETTING = "ANABRANCH_CACHE"
"""Environment variable: the folder for exported networks; by default `~/.cache/anabranch`."""

PRECISION_SETTING = "ANABRANCH_PRECISION"
"""Environment variable: network=precision pairs, such as `sound=int8,speech=float32`; see `PRECISIONS`."""

PRECISIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "image": ("float32", "bfloat16", "int8"),
        "sound": ("float32", "bfloat16", "int8"),
        "speech": ("int8", "float32", "float16", "bfloat16"),
    }
)
"""Network -> what it can compute in; the first unless the setting says otherwise, and where there is a GPU speech in
float16."""

EXPORT = 3
"""Raise it when a module of `encoders.torch_networks` changes, so that an older file is not used."""

ROWS_AT_ONCE = 4
"""On a CPU larger batches are no faster, and take more memory."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network by name.

    weights  one of `encoders.weights.WEIGHTS`
    shape    of one input row
    """

    weights: str
    shape: tuple[int, ...]


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        "image": Network("image network", (3, 224, 224)),
        "sound": Network("sound network", (100, 96)),
    }
)


def precision(name: str, default: str | None = None) -> str:
    """What a network is to compute in: one of its `PRECISIONS`, as `ANABRANCH_PRECISION` says, or the default.

    Raises ValueError for a setting that names no such network or precision.
    """
    setting = os.environ.get(PRECISION_SETTING, "")
    chosen = dict(pair.partition("=")[::2] for pair in setting.replace(" ", "").split(",") if pair)
    for network, wanted in chosen.items():
        if wanted not in PRECISIONS.get(network, ()):
            allowed = "; ".join(f"{each}={'|'.join(precisions)}" for each, precisions in PRECISIONS.items())
            raise ValueError(f"{PRECISION_SETTING}={setting!r} has {network}={wanted}, where {allowed} are allowed")
    return chosen.get(name) or default or PRECISIONS[name][0]


def file_of(name: str, suffix: str = "") -> Path:
    """Where the ONNX file of one of `NETWORKS` is, or is to be.

    suffix  '-int8' for the compressed one
    """
    folder = Path(os.environ.get(CACHE_SETTING) or Path.home() / ".cache" / "anabranch")
    return folder / f"{name}-{EXPORT}-{WEIGHTS[NETWORKS[name].weights].sha256[:12]}{suffix}.onnx"


def exported(name: str) -> Path:
    """The ONNX file of one of `NETWORKS` in float32, exporting it first where that was not yet done.

    The export runs in a process of its own, so that its memory is given back. Raises CalledProcessError.
    """
    path = file_of(name)
    if not path.is_file():
        locate(NETWORKS[name].weights)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Inside Triton's stub sys.executable is not Python.
        python = Path(sys.prefix) / "bin" / "python"
        command = [str(python), "-m", "encoders.torch_networks", name, str(path)]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return path


def load(name: str, device: str) -> Run:
    """One of `NETWORKS` as a function from (n, *shape) float32 to (n, native_dim) float32, for n > 0.

    device  'cpu' or torch's 'cuda:0'

    Raises ValueError as `precision` does, and WeightsUnusable where int8 is wanted and has not been made.
    """
    wanted = precision(name)
    if wanted == "int8":
        return _in_int8(name, device)
    if wanted == "float32" and device == "cpu":
        return _in_onnx(exported(name))
    return _in_torch(name, device, wanted)


def session(path: Path) -> onnxruntime.InferenceSession:
    """A session of one thread that gives memory back after each run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _in_int8(name: str, device: str) -> Run:
    if device != "cpu":
        raise ValueError(f"{PRECISION_SETTING}: {name}=int8 runs on the CPU only, and this model is on {device}")
    path = file_of(name, "-int8")
    if not path.is_file():
        raise WeightsUnusable(f"{name} network in int8: {path} does not exist; run `anabranch train compress`")
    return _in_onnx(path)


def _in_onnx(path: Path) -> Run:
    network = session(path)

    def run(rows: Floats) -> Floats:
        pieces = (rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE))
        return np.concatenate([network.run(None, {"input": piece})[0] for piece in pieces])

    return run


def _in_torch(name: str, device: str, wanted: str) -> Run:
    import torch

    from encoders.torch_networks import build

    kind = torch.bfloat16 if wanted == "bfloat16" else torch.float32
    module = build(name).to(device, kind)

    def run(rows: Floats) -> Floats:
        with torch.inference_mode():
            answer: Floats = module(torch.from_numpy(rows).to(device, kind)).float().cpu().numpy()
        return answer

    return run
