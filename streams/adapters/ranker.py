"""The ranker that Triton serves: asked by workers, and loaded and unloaded by whoever ships a version."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.grpc import aio as asynchronous
from tritonclient.utils import InferenceServerException

from encoders.contract import CANDIDATES, HISTORY, PROFILE, RANKER_MODEL, SCORE, Question
from streams.adapters import clients
from streams.errors import RankerUnavailable
from streams.ports import Arms
from streams.settings import Triton

Floats = NDArray[np.float32]

LOAD_SECONDS = 60.0
ASK_SECONDS = 5.0
KINDS = {HISTORY: "INT64", PROFILE: "FP32", CANDIDATES: "INT64"}


class TritonRanker:
    """The ranker of the pipeline (`ports.Scorer`).

    seconds  to wait for scores, after which the list is made without
    """

    def __init__(self, settings: Triton, *, seconds: float) -> None:
        self._address, self._seconds = settings.address, seconds
        self._client = asynchronous.InferenceServerClient(**clients.triton(settings))

    async def arms(self) -> Arms:
        """See `ports.Scorer`."""
        try:
            answer = await self._client.get_model_config(RANKER_MODEL, client_timeout=ASK_SECONDS)
        except InferenceServerException as error:
            if error.status() in ("StatusCode.NOT_FOUND", "StatusCode.UNAVAILABLE") and "unknown model" in str(error):
                return Arms()
            raise RankerUnavailable(
                f"Triton at {self._address} does not tell of its ranker: {error.message()}"
            ) from error
        told = {name: each.string_value for name, each in answer.config.parameters.items()}
        others, shipped = (_numbers(told.get(name, "")) for name in ("others", "shipped"))
        return Arms(int(told["stable"]), int(told["canary"]), float(told["share"]), others, shipped)

    async def score(self, version: int, asked: Question) -> Floats:
        """See `ports.Scorer`."""
        try:
            answer = await self._client.infer(
                RANKER_MODEL,
                _inputs(asked),
                model_version=str(version),
                outputs=[InferRequestedOutput(SCORE)],
                client_timeout=self._seconds,
            )
        except InferenceServerException as error:
            raise _unavailable(self._address, version, error) from error
        scores: Floats = answer.as_numpy(SCORE)
        return scores

    async def close(self) -> None:
        await self._client.close()


class TritonModels:
    """Triton's model control (`streams.deep.registry.Server`); where there are several, they load and unload alike."""

    def __init__(self, settings: Triton) -> None:
        self._settings = settings

    def load(self, model: str) -> None:
        """Raises RankerUnavailable, upon which Triton goes on with what it had."""
        for address in self._everywhere():
            with self._client("load", address) as client:
                client.load_model(model, client_timeout=LOAD_SECONDS)

    def unload(self, model: str) -> None:
        for address in self._everywhere():
            with self._client("unload", address) as client:
                client.unload_model(model, client_timeout=LOAD_SECONDS)

    def ask(self, asked: Question, version: int) -> Floats:
        """(n, m) logits."""
        with self._client(f"answer with version {version} of") as client:
            answer = client.infer(RANKER_MODEL, _inputs(asked), model_version=str(version), client_timeout=ASK_SECONDS)
        scores: Floats = answer.as_numpy(SCORE)
        return scores

    def _everywhere(self) -> list[str]:
        try:
            return clients.tritons(self._settings)
        except OSError as error:
            raise RankerUnavailable(f"there is no Triton at {self._settings.address}: {error}") from error

    @contextmanager
    def _client(self, what: str, address: str | None = None) -> Iterator[InferenceServerClient]:
        client = InferenceServerClient(**clients.triton(self._settings, at=address))
        try:
            yield client
        except InferenceServerException as error:
            raise RankerUnavailable(
                f"Triton at {address or self._settings.address} did not {what} its ranker: {error.message()}"
            ) from error
        finally:
            client.close()


def _numbers(told: str) -> tuple[int, ...]:
    return tuple(int(each) for each in told.split())


def _inputs(asked: Question) -> list[InferInput]:
    arrays: dict[str, NDArray[np.generic]] = {
        HISTORY: asked.history,
        PROFILE: asked.profile,
        CANDIDATES: asked.candidates,
    }
    made = []
    for name, array in arrays.items():
        each = InferInput(name, list(array.shape), KINDS[name])
        each.set_data_from_numpy(array)
        made.append(each)
    return made


def _unavailable(address: str, version: int, error: InferenceServerException) -> RankerUnavailable:
    return RankerUnavailable(f"version {version} of the ranker at {address} gave no scores: {error.message()}")
