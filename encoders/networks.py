"""Pretrained networks, run by onnxruntime on the CPU and by torch on a GPU.

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

from encoders.weights import WEIGHTS, locate

Floats = NDArray[np.float32]
Run = Callable[[Floats], Floats]

CACHE_SETTING = "ANABRANCH_CACHE"
"""Environment variable: the folder for exported networks; by default `~/.cache/anabranch`."""

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


def exported(name: str) -> Path:
    """Where the ONNX file of one of `NETWORKS` is, exporting it first where that was not yet done.

    The export runs in a process of its own, so that its memory is given back. Raises CalledProcessError.
    """
    folder = Path(os.environ.get(CACHE_SETTING) or Path.home() / ".cache" / "anabranch")
    path = folder / f"{name}-{EXPORT}-{WEIGHTS[NETWORKS[name].weights].sha256[:12]}.onnx"
    if not path.is_file():
        locate(NETWORKS[name].weights)
        folder.mkdir(parents=True, exist_ok=True)
        # Inside Triton's stub sys.executable is not Python.
        python = Path(sys.prefix) / "bin" / "python"
        command = [str(python), "-m", "encoders.torch_networks", name, str(path)]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return path


def load(name: str, device: str) -> Run:
    """One of `NETWORKS` as a function from (n, *shape) float32 to (n, native_dim) float32, for n > 0.

    device  'cpu' or torch's 'cuda:0'
    """
    return _on_cpu(exported(name)) if device == "cpu" else _on_gpu(name, device)


def session(path: Path) -> onnxruntime.InferenceSession:
    """A session of one thread that gives memory back after each run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _on_cpu(path: Path) -> Run:
    network = session(path)

    def run(rows: Floats) -> Floats:
        pieces = (rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE))
        return np.concatenate([network.run(None, {"input": piece})[0] for piece in pieces])

    return run


def _on_gpu(name: str, device: str) -> Run:
    import torch

    from encoders.torch_networks import build

    module = build(name).to(device)

    def run(rows: Floats) -> Floats:
        with torch.inference_mode():
            answer: Floats = module(torch.from_numpy(rows).to(device)).float().cpu().numpy()
        return answer

    return run
