"""`item_encoder` over models that are small enough to see through, without Triton."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from encoders.contract import DIM, MODALITIES, PARTS
from encoders.item import ItemModel


class Tensor:
    def __init__(self, name: str, array: Any) -> None:
        self.name, self.array = name, array

    def as_numpy(self) -> Any:
        return self.array


class Response:
    def __init__(self, tensors: list[Tensor] | None = None, error: Any = None) -> None:
        self.tensors = {tensor.name: tensor for tensor in tensors or []}
        self.failure = error

    def has_error(self) -> bool:
        return self.failure is not None

    def error(self) -> Any:
        return self.failure

    def __getitem__(self, name: str) -> Any:
        return self.tensors[name].array


class Call:
    """A call of another model: part number `p` is embedded as the unit vector `p`; `bad` is refused."""

    batches: list[tuple[str, int]]

    def __init__(self, model_name: str, requested_output_names: list[str], inputs: list[Tensor]) -> None:
        self.model = model_name
        self.contents = inputs[0].array.reshape(-1).tolist()

    async def async_exec(self) -> Response:
        self.batches.append((self.model, len(self.contents)))
        if b"down" in self.contents:
            return Response(error=SimpleNamespace(message=lambda: "out of memory"))
        part = self.model.removesuffix("_encoder")
        vectors = np.zeros((len(self.contents), DIM), np.float32)
        vectors[:, PARTS.index(part)] = [content != b"bad" for content in self.contents]
        errors = [[b"Bad: refused" if content == b"bad" else b""] for content in self.contents]
        return Response([Tensor("vector", vectors), Tensor("error", np.array(errors, object))])


class Request:
    def __init__(self, **parts: list[bytes]) -> None:
        self.parts = {name: Tensor(name, np.array(rows, object).reshape(-1, 1)) for name, rows in parts.items()}

    def requested_output_names(self) -> list[str]:
        return ["vector", "error", "vectors", "errors"]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ItemModel:
    Call.batches = []
    backend = SimpleNamespace(
        Tensor=Tensor,
        InferenceResponse=Response,
        InferenceRequest=Call,
        TritonError=lambda message: SimpleNamespace(message=lambda: message),
        get_input_tensor_by_name=lambda request, name: request.parts.get(name),
        get_output_tensor_by_name=lambda response, name: response.tensors[name],
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend)
    made = ItemModel()
    made.initialize({})
    return made


async def test_parts_are_fused_and_absent_parts_pull_nowhere(model: ItemModel) -> None:
    (answer,) = await model.execute([Request(text=[b"a", b"b"], image=[b"c", b""])])
    np.testing.assert_allclose(answer["vector"][0, :2], [np.sqrt(0.5)] * 2, atol=1e-6)
    np.testing.assert_allclose(answer["vector"][1, :2], [1, 0])
    assert answer["vectors"].shape == (2, len(PARTS), DIM)
    assert not answer["vectors"][1, 1].any()
    assert set(answer["errors"].reshape(-1)) == {b""}


async def test_a_bad_part_rejects_the_part_and_not_the_item(model: ItemModel) -> None:
    (answer,) = await model.execute([Request(text=[b"a"], image=[b"bad"])])
    assert answer["error"][0, 0] == b""
    assert answer["errors"][0, PARTS.index("image")] == b"Bad: refused"
    assert answer["vector"][0, 0] == 1


async def test_an_item_of_which_nothing_is_left_says_why(model: ItemModel) -> None:
    (answer,) = await model.execute([Request(text=[b"bad", b""], image=[b"bad", b""])])
    assert answer["error"].reshape(-1).tolist() == [
        b"Bad: refused; Bad: refused",
        b"ItemEmpty: the item has no part",
    ]
    assert not answer["vector"].any()


async def test_no_model_is_asked_for_more_than_its_batch(model: ItemModel) -> None:
    await model.execute([Request(video=[b"v"] * 5)])
    assert [size for _, size in Call.batches] == [2, 2, 1]
    assert MODALITIES["video"].max_batch == 2


async def test_a_model_that_fails_fails_its_request_only(model: ItemModel) -> None:
    failed, fine = await model.execute([Request(text=[b"down"]), Request(image=[b"a"])])
    assert failed.error().message() == "text_encoder: out of memory"
    assert not fine.has_error()
