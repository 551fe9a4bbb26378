"""Items a second, in process and through Triton, as a table in Markdown.

    python -m encoders.throughput --triton 127.0.0.1:8001

Each modality is measured on copies of its encoder's sample. Without `--triton` only in process.
"""

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from encoders import contract
from encoders.contract import ITEM_MAX_BATCH, ITEM_MODEL, MODALITIES, PARTS
from encoders.training.natives import encoder

BATCHES = (1, 8, 32)


def rate(embed: Callable[[], object], items: int, seconds: float) -> float:
    """Items a second over at least so many seconds, after one call to warm up."""
    embed()
    calls, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds or calls == 0:
        embed()
        calls += 1
    return calls * items / took


class Triton:
    """The same contents through gRPC; what exceeds a model's batch goes as several calls at once."""

    def __init__(self, address: str) -> None:
        from tritonclient.grpc import InferenceServerClient

        self._client = InferenceServerClient(address)

    def embed(self, modality: str, contents: Sequence[bytes]) -> None:
        size = MODALITIES[modality].max_batch
        self._all(
            MODALITIES[modality].model,
            [{contract.CONTENT: contents[at : at + size]} for at in range(0, len(contents), size)],
        )

    def embed_items(self, parts: Sequence[str], contents: dict[str, bytes], items: int) -> None:
        sizes = [min(ITEM_MAX_BATCH, items - at) for at in range(0, items, ITEM_MAX_BATCH)]
        self._all(ITEM_MODEL, [{part: [contents[part]] * size for part in parts} for size in sizes])

    def _all(self, model: str, calls: Sequence[dict[str, Sequence[bytes]]]) -> None:
        from tritonclient.grpc import InferInput, InferRequestedOutput

        outputs = [InferRequestedOutput(contract.VECTOR), InferRequestedOutput(contract.ERROR)]
        waiting = []
        for call in calls:
            inputs = []
            for name, rows in call.items():
                tensor = InferInput(name, [len(rows), 1], "BYTES")
                tensor.set_data_from_numpy(np.array(rows, dtype=object).reshape(-1, 1))
                inputs.append(tensor)
            waiting.append(_Answer())
            self._client.async_infer(model, inputs, waiting[-1], outputs=outputs)
        for answer in waiting:
            answer.wait()


class _Answer:
    def __init__(self) -> None:
        self._there = threading.Event()
        self._error: Exception | None = None

    def __call__(self, result: object, error: Exception | None) -> None:
        self._error = error
        self._there.set()

    def wait(self) -> None:
        self._there.wait()
        if self._error is not None:
            raise self._error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triton", help="host:port of the gRPC endpoint")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    arguments = parser.parse_args()
    triton = Triton(arguments.triton) if arguments.triton else None
    heads = [f"in process, {size}" for size in BATCHES] + [f"Triton, {size}" for size in BATCHES]
    print(f"| items/s | {' | '.join(heads)} | ratio at {BATCHES[-1]} |")
    print("|---|" + "---:|" * (len(heads) + 1))
    contents: dict[str, bytes] = {}
    for modality in MODALITIES:
        local = encoder(modality)
        content = contents[modality] = local.sample()
        rates = [rate(partial(local.encode, [content] * size), size, arguments.seconds) for size in BATCHES]
        if triton:
            rates += [
                rate(partial(triton.embed, modality, [content] * size), size, arguments.seconds) for size in BATCHES
            ]
            print(_row(modality, rates, f"{rates[-1] / rates[len(BATCHES) - 1]:.2f}"))
        else:
            print(_row(modality, rates, ""))
    if triton:
        together = tuple(part for part in PARTS if part != "video")
        rates = [
            rate(partial(triton.embed_items, together, contents, size), size, arguments.seconds) for size in BATCHES
        ]
        print(_row(f"item of {', '.join(together)}", [float("nan")] * len(BATCHES) + rates, ""))


def _row(name: str, rates: Sequence[float], ratio: str) -> str:
    cells = ["" if np.isnan(each) else f"{each:.0f}" if each >= 100 else f"{each:.1f}" for each in rates]
    return f"| {name} | {' | '.join(cells)} | {ratio} |"


if __name__ == "__main__":
    main()
