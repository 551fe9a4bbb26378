"""The Triton models against the contract, without Triton."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from encoders import model_config
from encoders.contract import DIM, ITEM_MODEL, MODALITIES, PARTS, Modality

MODELS = Path(__file__).parents[2] / "triton_models"
every_modality = pytest.mark.parametrize("modality", MODALITIES.values(), ids=lambda modality: modality.name)


@every_modality
def test_the_configuration_is_the_one_of_the_contract(modality: Modality) -> None:
    written = (MODELS / modality.model / "config.pbtxt").read_text()
    assert written == model_config.encoder_config(modality, "KIND_AUTO")


@every_modality
def test_triton_reads_the_configuration_as_the_contract_means_it(modality: Modality) -> None:
    config = text_format.Parse((MODELS / modality.model / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert (config.name, config.max_batch_size) == (modality.model, modality.max_batch)
    assert [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in config.input] == [
        ("content", model_config_pb2.TYPE_STRING, [1])
    ]
    outputs = {"vector": [DIM], "error": [1], "native": [modality.native_dim], "space": [1]}
    if modality.name == "text":
        outputs["language"] = [1]
    if modality.name == "speech":
        outputs["words"] = [1]
    assert {tensor.name: list(tensor.dims) for tensor in config.output} == outputs
    assert config.HasField("dynamic_batching")


def test_the_item_model_is_the_one_of_the_contract() -> None:
    written = (MODELS / ITEM_MODEL / "config.pbtxt").read_text()
    assert written == model_config.item_config()
    config = text_format.Parse(written, model_config_pb2.ModelConfig())
    assert [(tensor.name, tensor.optional) for tensor in config.input] == [(part, True) for part in PARTS]


def test_one_setting_moves_the_networks_to_the_gpu(tmp_path: Path) -> None:
    for modality in MODALITIES.values():
        (tmp_path / modality.model).mkdir()
    for path in model_config.write(tmp_path, "KIND_GPU"):
        assert ("KIND_GPU" in path.read_text()) == (path.parent.name not in ("text_encoder", "profile_encoder"))


class Tensor:
    def __init__(self, name: str, array: Any) -> None:
        self.name, self.array = name, array

    def as_numpy(self) -> Any:
        return self.array


class Request:
    def __init__(self, contents: list[bytes], outputs: list[str]) -> None:
        self.content = Tensor("content", np.array(contents, dtype=object).reshape(-1, 1))
        self.outputs = outputs

    def requested_output_names(self) -> list[str]:
        return self.outputs


def test_requests_of_one_batch_get_their_own_rows_back(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SimpleNamespace(
        Tensor=Tensor,
        InferenceResponse=lambda tensors: {tensor.name: tensor.array for tensor in tensors},
        get_input_tensor_by_name=lambda request, name: {"content": request.content}[name],
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend)
    spec = importlib.util.spec_from_file_location("model", MODELS / "profile_encoder" / "1" / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    model.initialize({"model_name": "profile_encoder", "model_instance_kind": "CPU"})
    young, old = b'{"age": 20}', b'{"age": 70}'
    one, two = model.execute(
        [Request([young, b"{"], ["vector", "error"]), Request([old], ["vector", "error", "native"])]
    )
    assert one["error"].tolist()[0] == [b""] and one["error"].tolist()[1][0].startswith(b"ProfileUndecodable: ")
    assert (one["vector"].shape, two["vector"].shape) == ((2, DIM), (1, DIM))
    assert set(one) == {"vector", "error"} and two["native"].shape == (1, 128)
    assert one["vector"][0] @ two["vector"][0] < 0.5
    [told] = model.execute([Request([young, b"{"], ["space"])])
    assert told["space"].shape == (2, 1) and len(set(told["space"].reshape(-1).tolist())) == 1
