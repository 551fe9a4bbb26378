"""Vectors from Triton, over gRPC, one call for a whole batch of contents."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from encoders.contract import CONTENT, ERROR, LANGUAGE, MODALITIES, SPACE, VECTOR, WORDS
from streams import metrics
from streams.adapters import clients
from streams.adapters.patience import breaker, retrying, unbroken
from streams.core.vectors import Vector
from streams.errors import EmbedderUnavailable
from streams.ports import Embedder, Embeddings
from streams.settings import Triton

CHECK_SECONDS = 1.5


class TritonEmbedder:
    """The embedder of the pipeline (`ports.Embedder`).

    Asks once and says EmbedderUnavailable; wrap it in `PatientEmbedder` to wait for Triton instead, or in
    `HastyEmbedder` not to wait for one that fails.

    in_flight  calls at once, at most
    """

    def __init__(self, settings: Triton, *, in_flight: int = 4) -> None:
        self._address = settings.address
        self._client = InferenceServerClient(**clients.triton(settings))
        self._slots = asyncio.Semaphore(in_flight)

    async def close(self) -> None:
        await self._client.close()

    async def check(self) -> None:
        """Raises EmbedderUnavailable when Triton does not answer, or has not loaded every model."""
        try:
            ready = await self._client.is_server_ready(client_timeout=CHECK_SECONDS)
        except InferenceServerException as error:
            raise EmbedderUnavailable(f"Triton at {self._address} does not answer: {error.message()}") from error
        if not ready:
            raise EmbedderUnavailable(f"Triton at {self._address} lacks a model; see: anabranch status")

    async def embed(self, modality: str, contents: Sequence[bytes]) -> Embeddings:
        size = MODALITIES[modality].max_batch
        calls = [self._call(modality, contents[at : at + size]) for at in range(0, len(contents), size)]
        answers = await asyncio.gather(*calls)
        spaces = {answer.space for answer in answers}
        if len(spaces) > 1:
            raise EmbedderUnavailable(f"{MODALITIES[modality].model} at {self._address} is being given other weights")
        return Embeddings(
            [vector for answer in answers for vector in answer.vectors],
            [error for answer in answers for error in answer.errors],
            [language for answer in answers for language in answer.languages],
            [words for answer in answers for words in answer.words],
            "".join(spaces),
        )

    async def _call(self, modality: str, contents: Sequence[bytes]) -> Embeddings:
        contract = MODALITIES[modality]
        content = InferInput(CONTENT, [len(contents), 1], "BYTES")
        content.set_data_from_numpy(np.array(contents, dtype=object).reshape(-1, 1))
        wanted = [InferRequestedOutput(name) for name in _outputs(modality)]
        try:
            async with self._slots:
                answer = await self._client.infer(
                    contract.model, [content], outputs=wanted, client_timeout=contract.timeout_seconds
                )
        except InferenceServerException as error:
            metrics.ERRORS.labels("triton", error.status() or "unknown").inc()
            raise EmbedderUnavailable(
                f"{contract.model} at {self._address} gave no answer in {contract.timeout_seconds} s: {error.message()}"
            ) from error
        vectors, errors, space = (answer.as_numpy(name) for name in (VECTOR, ERROR, SPACE))
        languages, words = (answer.as_numpy(name) for name in (LANGUAGE, WORDS))
        if vectors is None or errors is None or space is None or len(vectors) != len(contents):
            lacking = f"{VECTOR!r}, {ERROR!r} and {SPACE!r}"
            raise EmbedderUnavailable(f"{contract.model} at {self._address} answered without {lacking}")
        said = [error.decode() for error in errors.reshape(-1)]
        found: list[Vector | None] = [
            None if error else vector for vector, error in zip(vectors.astype(np.float32), said, strict=True)
        ]
        count, name = len(said), space.reshape(-1)[0].decode()
        return Embeddings(found, said, _column(languages, count), _column(words, count), name)


def _outputs(modality: str) -> tuple[str, ...]:
    """What is asked of a model: not the native vectors, which are large."""
    told = {LANGUAGE: MODALITIES[modality].has_language, WORDS: MODALITIES[modality].has_words}
    return (VECTOR, ERROR, SPACE, *(name for name, has in told.items() if has))


def _column(texts: Any, count: int) -> list[str]:
    """One text for each content; empty where the model has no such output."""
    return [""] * count if texts is None else [text.decode() for text in texts.reshape(-1)]


class PatientEmbedder:
    """Waits for Triton as long as it takes: uploads queue in Kafka meanwhile, and clicks flow on."""

    def __init__(self, embedder: Embedder, *, longest_wait: float = 10.0) -> None:
        self._embedder = embedder
        self._longest_wait = longest_wait

    async def embed(self, modality: str, contents: Sequence[bytes]) -> Embeddings:
        attempts = retrying("triton", EmbedderUnavailable, first_pause=0.1, longest_pause=self._longest_wait)
        async for attempt in attempts:
            with attempt:
                return await self._embedder.embed(modality, contents)
        raise AssertionError("unreachable: retries have no end")


class HastyEmbedder:
    """Does not ask Triton while call after call fails: whoever searches has an answer without vectors at once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        # Who waits no longer cancels the call: that is how one to a server that hangs ends.
        self.breaker = breaker("triton", EmbedderUnavailable, asyncio.CancelledError)

    async def embed(self, modality: str, contents: Sequence[bytes]) -> Embeddings:
        with unbroken(self.breaker, EmbedderUnavailable):
            return await self._embedder.embed(modality, contents)
