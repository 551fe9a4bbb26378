"""Item: whatever parts it has, embedded by the models of their modalities side by side, and fused."""

import asyncio
import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from encoders import contract, fusion
from encoders.contract import DIM, MODALITIES, PARTS

Floats = NDArray[np.float32]
Texts = NDArray[np.object_]


class Answer(NamedTuple):
    """What the model of one modality said of n contents: (n, DIM) vectors and n errors."""

    vectors: Floats
    errors: list[bytes]


class ItemModel:
    """The life of `item_encoder` in Triton's Python backend: it asks the other models (BLS)."""

    def initialize(self, args: dict[str, str]) -> None:
        self._backend = importlib.import_module("triton_python_backend_utils")
        self._fuse = fusion.load()

    async def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One response for each request; all their parts are asked for at once."""
        return list(await asyncio.gather(*(self._respond(request) for request in requests)))

    async def _respond(self, request: Any) -> Any:
        contents = {
            part: tensor.as_numpy().reshape(-1).tolist()
            for part in PARTS
            if (tensor := self._backend.get_input_tensor_by_name(request, part)) is not None
        }
        if not contents:
            message = f"an item needs at least one of: {', '.join(PARTS)}"
            return self._backend.InferenceResponse(error=self._backend.TritonError(message))
        items = len(next(iter(contents.values())))
        vectors = np.zeros((items, len(PARTS), DIM), np.float32)
        errors: Texts = np.full((items, len(PARTS)), b"", dtype=object)
        try:
            await asyncio.gather(
                *(self._embed(part, rows, vectors, errors) for part, rows in contents.items()),
            )
        except ModelFailed as failure:
            return self._backend.InferenceResponse(error=self._backend.TritonError(str(failure)))
        fused = self._fuse(vectors)
        nothing = ~fused.any(axis=1)
        error = np.array([[_why(row) if empty else b""] for row, empty in zip(errors, nothing, strict=True)], object)
        outputs = {
            contract.VECTOR: fused,
            contract.ERROR: error,
            contract.VECTORS: vectors,
            contract.ERRORS: errors,
        }
        wanted = request.requested_output_names()
        return self._backend.InferenceResponse(
            [self._backend.Tensor(name, array) for name, array in outputs.items() if name in wanted]
        )

    async def _embed(self, part: str, contents: list[bytes], vectors: Floats, errors: Texts) -> None:
        """Fill in one part's column, for the items that have it."""
        column, modality = PARTS.index(part), MODALITIES[part]
        rows = [row for row, content in enumerate(contents) if content]
        pieces = [rows[start : start + modality.max_batch] for start in range(0, len(rows), modality.max_batch)]
        answers = await asyncio.gather(
            *(self._ask(modality.model, [contents[row] for row in piece]) for piece in pieces)
        )
        for piece, answer in zip(pieces, answers, strict=True):
            vectors[piece, column] = answer.vectors
            errors[piece, column] = answer.errors

    async def _ask(self, model: str, contents: list[bytes]) -> Answer:
        """Raises ModelFailed."""
        request = self._backend.InferenceRequest(
            model_name=model,
            requested_output_names=[contract.VECTOR, contract.ERROR],
            inputs=[self._backend.Tensor(contract.CONTENT, np.array(contents, dtype=object).reshape(-1, 1))],
        )
        response = await request.async_exec()
        if response.has_error():
            raise ModelFailed(f"{model}: {response.error().message()}")
        vector, error = (
            self._backend.get_output_tensor_by_name(response, name).as_numpy()
            for name in (contract.VECTOR, contract.ERROR)
        )
        return Answer(vector, error.reshape(-1).tolist())


class ModelFailed(Exception):
    """A model that `item_encoder` asked gave no answer."""


def _why(errors: Texts) -> bytes:
    """All that was refused of an item of which nothing is left."""
    return b"; ".join(error for error in errors if error) or b"ItemEmpty: the item has no part"
