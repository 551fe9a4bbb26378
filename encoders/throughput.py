"""Items a second, in process and through Triton, as a table in Markdown.

    python -m encoders.throughput --triton 127.0.0.1:8001

Each modality is measured on copies of its encoder's sample. In process and Triton take turns, in many short rounds,
so that other work on the machine meets both. A rate is that of the best round, which was disturbed least, and `ratio`
is of such rates; `of rounds` is the median of the ratios within each round, with the least and the most, and `by
processor time` the same of what the client and every process of Triton computed. Both have one thread for a network.
Without `--triton` only in process.
"""

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from encoders import contract
from encoders.contract import ITEM_MAX_BATCH, ITEM_MODEL, MODALITIES, PARTS
from encoders.training.natives import encoder

BATCHES = (1, 8, 32)
Embed = Callable[[], object]
Clock = Callable[[], float]
Way = tuple[Embed, Clock | None]


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one measurement.

    per_second      items a second by the clock on the wall
    cpu_per_second  items a second of processor time; 0 where it is not known
    """

    per_second: float
    cpu_per_second: float


def speed(embed: Embed, items: int, seconds: float, processor: Clock | None) -> Speed:
    """Call for at least so many seconds.

    items      that one call embeds
    processor  seconds that all processes at work have computed; None where that cannot be seen
    """
    processor_began = processor() if processor else 0.0
    calls, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds or calls == 0:
        embed()
        calls += 1
    computed = processor() - processor_began if processor else 0.0
    return Speed(calls * items / took, calls * items / computed if computed else 0.0)


def server_clock(address: str) -> Clock | None:
    """Processor seconds of this process and of the server that listens at host:port, the processes of its models
    included; None where the server is on another machine or belongs to somebody else.
    """
    port = int(address.rpartition(":")[2])
    try:
        listening = [each for each in psutil.net_connections("tcp") if each.laddr and each.laddr.port == port]
        server = next(each.pid for each in listening if each.status == psutil.CONN_LISTEN and each.pid)
        processes = [psutil.Process(server), *psutil.Process(server).children(recursive=True)]
    except (psutil.Error, StopIteration):
        return None

    def computed() -> float:
        theirs = [process.cpu_times() for process in processes]
        return time.process_time() + sum(times.user + times.system for times in theirs)

    return computed


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
        inputs = []
        for call in calls:
            tensors = [InferInput(name, [len(rows), 1], "BYTES") for name, rows in call.items()]
            for tensor, rows in zip(tensors, call.values(), strict=True):
                tensor.set_data_from_numpy(np.array(rows, dtype=object).reshape(-1, 1))
            inputs.append(tensors)
        if len(inputs) == 1:  # without the hand-over between threads that several at once need
            self._client.infer(model, inputs[0], outputs=outputs)
            return
        waiting = [_Answer() for _ in inputs]
        for tensors, answer in zip(inputs, waiting, strict=True):
            self._client.async_infer(model, tensors, answer, outputs=outputs)
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


def interleaved(ways: Sequence[Way], items: int, seconds: float, rounds: int) -> list[list[Speed]]:
    """The speeds of each round, one for each way; every way is called once beforehand, to warm up."""
    for embed, _ in ways:
        embed()
    return [[speed(embed, items, seconds, clock) for embed, clock in ways] for _ in range(rounds)]


def best(found: Sequence[Sequence[Speed]], way: int) -> float:
    """Items a second of one way in the round that was disturbed least."""
    return max(speeds[way].per_second for speeds in found)


def ratios(found: Sequence[Sequence[Speed]]) -> tuple[str, str, str]:
    """Second way to first: of the best rates, of each round's two, and of each round's two by processor time.

    >>> ratios([[Speed(10, 10), Speed(9, 8)], [Speed(5, 10), Speed(5, 8)], [Speed(10, 10), Speed(8, 8)]])
    ('0.90', '0.90 (0.80 to 1.00)', '0.80 (0.80 to 0.80)')
    """
    by_wall = [other.per_second / one.per_second for one, other in found]
    by_processor = [other.cpu_per_second / one.cpu_per_second for one, other in found if other.cpu_per_second]
    return f"{best(found, 1) / best(found, 0):.2f}", _with_spread(by_wall), _with_spread(by_processor)


def _with_spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triton", help="host:port of the gRPC endpoint")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each measurement, at least")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="items in one call")
    parser.add_argument("--modality", choices=MODALITIES, action="append", help="only these; all by default")
    arguments = parser.parse_args()
    threadpool_limits(1)
    heads = [f"in process, {size}" for size in arguments.batches]
    triton, clock = None, None
    if arguments.triton:
        triton, clock = Triton(arguments.triton), server_clock(arguments.triton)
        heads += [f"Triton, {size}" for size in arguments.batches]
        heads += [f"ratio at {arguments.batches[-1]}", "of rounds", "by processor time"]
    print(f"| items/s | {' | '.join(heads)} |")
    print("|---|" + "---:|" * len(heads))
    contents = {}
    for modality in arguments.modality or MODALITIES:
        local = encoder(modality)
        content = contents[modality] = local.sample()
        found = []
        for size in arguments.batches:
            ways: list[Way] = [(partial(local.encode, [content] * size), time.process_time)]
            if triton:
                ways.append((partial(triton.embed, modality, [content] * size), clock))
            found.append(interleaved(ways, size, arguments.seconds, arguments.rounds))
        rates = [best(rounds, way) for way in range(len(ways)) for rounds in found]
        print(_row(modality, [*map(_figure, rates), *(ratios(found[-1]) if triton else ())]), flush=True)
    if triton and not arguments.modality:
        together = tuple(part for part in PARTS if part != "video")
        cells = []
        for size in arguments.batches:
            way = (partial(triton.embed_items, together, contents, size), clock)
            cells.append(_figure(best(interleaved([way], size, arguments.seconds, arguments.rounds // 3 or 1), 0)))
        print(_row(f"item of {', '.join(together)}", [*[""] * len(arguments.batches), *cells, "", "", ""]))


def _figure(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
