"""Writes every `config.pbtxt` of `triton_models` from the contract.

    python -m encoders.model_config triton_models --kind KIND_GPU

KIND_AUTO, as committed, takes the GPU where Triton sees one and the CPU elsewhere. Models that have nothing
for a GPU to do stay on the CPU whatever the kind.
"""

import argparse
from pathlib import Path

from encoders import contract
from encoders.contract import DIM, MODALITIES, Modality

KINDS = ("KIND_AUTO", "KIND_CPU", "KIND_GPU")
ON_CPU_ONLY = ("text", "profile")


def encoder_config(modality: Modality, kind: str) -> str:
    """The text of one encoder's `config.pbtxt`.

    kind  one of `KINDS`
    """
    kind = "KIND_CPU" if modality.name in ON_CPU_ONLY else kind
    return f"""\
# Written by `python -m encoders.model_config` from encoders/contract.py; a test keeps the two equal.
name: "{modality.model}"
backend: "python"
max_batch_size: {modality.max_batch}
input [
  {{ name: "{contract.CONTENT}" data_type: TYPE_STRING dims: [ 1 ] }}
]
output [
  {{ name: "{contract.VECTOR}" data_type: TYPE_FP32 dims: [ {DIM} ] }},
  {{ name: "{contract.ERROR}" data_type: TYPE_STRING dims: [ 1 ] }},
  {{ name: "{contract.NATIVE}" data_type: TYPE_FP32 dims: [ {modality.native_dim} ] }},
  {{ name: "{contract.SPACE}" data_type: TYPE_STRING dims: [ 1 ] }}{_told(modality)}
]
instance_group [ {{ count: 1 kind: {kind} }} ]
dynamic_batching {{ }}
version_policy {{ latest {{ num_versions: 1 }} }}
"""


def _told(modality: Modality) -> str:
    """What else the model tells of a content."""
    told = {contract.LANGUAGE: modality.has_language, contract.WORDS: modality.has_words}
    names = [name for name, has in told.items() if has]
    return "".join(f',\n  {{ name: "{name}" data_type: TYPE_STRING dims: [ 1 ] }}' for name in names)


def item_config() -> str:
    """The text of `item_encoder`'s `config.pbtxt`. It only asks the others, so it stays on the CPU."""
    inputs = ",\n".join(
        f'  {{ name: "{part}" data_type: TYPE_STRING dims: [ 1 ] optional: true }}' for part in contract.PARTS
    )
    return f"""\
# Written by `python -m encoders.model_config` from encoders/contract.py; a test keeps the two equal.
name: "{contract.ITEM_MODEL}"
backend: "python"
max_batch_size: {contract.ITEM_MAX_BATCH}
input [
{inputs}
]
output [
  {{ name: "{contract.VECTOR}" data_type: TYPE_FP32 dims: [ {DIM} ] }},
  {{ name: "{contract.ERROR}" data_type: TYPE_STRING dims: [ 1 ] }},
  {{ name: "{contract.VECTORS}" data_type: TYPE_FP32 dims: [ {len(contract.PARTS)}, {DIM} ] }},
  {{ name: "{contract.ERRORS}" data_type: TYPE_STRING dims: [ {len(contract.PARTS)} ] }}
]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
version_policy {{ latest {{ num_versions: 1 }} }}
"""


def write(folder: Path, kind: str) -> list[Path]:
    """Write the configuration of every model that the folder has; returns their paths."""
    written = []
    for modality in MODALITIES.values():
        path = folder / modality.model / "config.pbtxt"
        if path.parent.is_dir():
            path.write_text(encoder_config(modality, kind))
            written.append(path)
    path = folder / contract.ITEM_MODEL / "config.pbtxt"
    if path.parent.is_dir():
        path.write_text(item_config())
        written.append(path)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=KINDS, default="KIND_AUTO", help="where the networks run")
    arguments = parser.parse_args()
    for path in write(arguments.folder, arguments.kind):
        print(path)


if __name__ == "__main__":
    main()
