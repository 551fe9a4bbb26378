"""How an encoder becomes a Triton model: the shims in `triton_models` are one line over this class."""

import importlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from encoders import contract
from encoders.encoder import Encoder


class EncoderModel:
    """The life of a model in Triton's Python backend.

    The backend hands over the requests of one dynamic batch; their rows are encoded together and handed back
    request by request. `triton_python_backend_utils` exists only inside the backend, so it is imported there.
    """

    make_encoder: ClassVar[type[Encoder[Any]]]

    def initialize(self, args: dict[str, str]) -> None:
        """Load the weights and run once, so that the first request is as fast as the others.

        args  Triton's: `model_instance_kind` ('CPU' or 'GPU'), `model_instance_device_id` and others
        """
        self._backend = importlib.import_module("triton_python_backend_utils")
        on_gpu = args["model_instance_kind"] == "GPU"
        device = f"cuda:{args['model_instance_device_id']}" if on_gpu else "cpu"
        self._encoder = self.make_encoder(device=device)
        self._encoder.encode([self._encoder.sample()])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One response for each request."""
        tensors = [self._backend.get_input_tensor_by_name(request, contract.CONTENT) for request in requests]
        batches = [tensor.as_numpy().reshape(-1).tolist() for tensor in tensors]
        encoded = self._encoder.encode([content for batch in batches for content in batch])
        columns = {
            contract.ERROR: _column(encoded.errors),
            contract.LANGUAGE: _column(encoded.languages),
            contract.WORDS: _column(encoded.words),
            contract.SPACE: _column([self._encoder.space] * len(encoded.errors)),
        }
        responses, start = [], 0
        for request, batch in zip(requests, batches, strict=True):
            rows = slice(start, start + len(batch))
            start = rows.stop
            outputs = {
                contract.VECTOR: encoded.vectors[rows],
                contract.NATIVE: encoded.natives[rows],
                **{name: column[rows] for name, column in columns.items()},
            }
            wanted = request.requested_output_names()
            responses.append(
                self._backend.InferenceResponse(
                    [self._backend.Tensor(name, outputs[name]) for name in outputs if name in wanted]
                )
            )
        return responses


def _column(texts: Sequence[str]) -> NDArray[np.object_]:
    """(n, 1) bytes."""
    return np.array([text.encode() for text in texts], dtype=object).reshape(-1, 1)
