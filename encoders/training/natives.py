"""Native vectors on disk: the slow part of training is done once for each content."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.contract import MODALITIES
from encoders.encoder import Encoder
from encoders.networks import PRECISION_SETTING

Floats = NDArray[np.float32]

ENCODERS: Mapping[str, str] = {name: f"{name.capitalize()}Encoder" for name in MODALITIES}


def encoder(modality: str) -> Encoder[Any]:
    """The encoder of a modality, loaded only when asked for."""
    made: Encoder[Any] = getattr(import_module(f"encoders.{modality}"), ENCODERS[modality])()
    return made


def natives(modality: str, contents: Sequence[bytes], cache: Path) -> Floats:
    """(n, native_dim) native vectors; zeros for contents that were refused.

    cache  a folder; each batch is kept in a file named by its contents and the precision of the networks
    """
    precision = os.environ.get(PRECISION_SETTING, "")
    names = hashlib.sha256(f"{modality} {MODALITIES[modality].native_dim}{precision}".encode())
    for content in contents:
        names.update(hashlib.sha256(content).digest())
    path = cache / f"{modality}-{names.hexdigest()[:16]}.npy"
    if path.is_file():
        return np.asarray(np.load(path), np.float32)
    cache.mkdir(parents=True, exist_ok=True)
    found = (
        encoder(modality).encode(contents).natives
        if contents
        else np.zeros((0, MODALITIES[modality].native_dim), np.float32)
    )
    np.save(path, found)
    return found
