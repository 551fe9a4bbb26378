"""Networks in int8: a quarter of the size, and less time where the processor is good at it.

Static quantisation (Jacob and others, 2018): activations get the ranges that a sample of real inputs shows, weights a
range for each output channel. Weights keep 7 bits, since without VNNI a processor would overflow with 8.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static  # type: ignore[import-untyped]
from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

from encoders import networks

Floats = NDArray[np.float32]

COMPRESSED = ("Conv", "Add", "Clip", "Relu", "MaxPool")
"""What is computed in int8. What follows the convolutions takes little time and suffers most."""


def quantise(name: str, sample: Floats) -> Path:
    """Write one of `encoders.networks.NETWORKS` in int8 beside its float32 file, where the setting finds it.

    sample  (n, *shape) inputs such as it will see, about a hundred
    """
    path = networks.file_of(name, "-int8")
    with tempfile.TemporaryDirectory(dir=networks.exported(name).parent) as folder:
        prepared, made = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(networks.exported(name), prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            made,
            _Rows(sample),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=list(COMPRESSED),
        )
        made.replace(path)
    return path


class _Rows(CalibrationDataReader):  # type: ignore[misc]
    """Hands out the sample a few rows at a time, as onnxruntime asks for it."""

    def __init__(self, sample: Floats) -> None:
        size = networks.ROWS_AT_ONCE
        self._pieces: Iterator[Floats] = (sample[start : start + size] for start in range(0, len(sample), size))

    def get_next(self) -> dict[str, Floats] | None:
        piece = next(self._pieces, None)
        return None if piece is None else {"input": piece}
