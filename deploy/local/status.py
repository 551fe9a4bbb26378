"""What is up, what is unwell, and the command to run next."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table

from deploy.local import servers, triton
from deploy.local.process import Process
from deploy.local.servers import Server
from streams import topics
from streams.adapters import schema
from streams.settings import Kafka, Settings
from streams.web.health import Report

SERVERS = {"kafka", "cassandra", "triton"}
RESTART = "anabranch down && anabranch up"


class Line(Struct, frozen=True):
    """One line of the report.

    what     server, model, topic or worker
    detail   what to know of it; what is wrong, if `next` is set
    next     the command that mends it, or None: it is well
    pid, memory_bytes, uptime_seconds  of the process, where there is one
    """

    what: str
    detail: str
    next: str | None = None
    pid: int | None = None
    memory_bytes: int | None = None
    uptime_seconds: float | None = None


def report(settings: Settings) -> list[Line]:
    """Ask everything there is, in the order in which it is to be mended."""
    all_servers = {server.name: server for server in servers.servers(settings)}
    lines = []
    for server in all_servers.values():
        ailment = servers.ailment(server)
        lines.append(_server(server, ailment))
        if ailment is None and server.name == "cassandra":
            lines.append(_schema(settings))
            if all(line.next is None for line in lines if line.what == "kafka"):
                lines += _topics(settings.kafka, schema.holder(settings.cassandra).items_topic)
        if ailment is None and server.name == "triton":
            lines += _models(settings)
    return [*lines, worker(settings), *_http(settings)]


def is_well(lines: list[Line]) -> bool:
    """Whether nothing is to be mended."""
    return all(line.next is None for line in lines)


def table(lines: list[Line], home: Path) -> Table:
    """The report for a terminal.

    home  whose servers these are
    """
    made = Table()
    for heading in ("", "what", "pid", "memory", "up for", "detail", "next"):
        made.add_column(heading, overflow="fold")
    for line in lines:
        made.add_row(
            "[green]✓" if line.next is None else "[red]✗",
            line.what,
            "" if line.pid is None else str(line.pid),
            "" if line.memory_bytes is None else f"{line.memory_bytes / 2**20:,.0f} MiB",
            "" if line.uptime_seconds is None else _duration(line.uptime_seconds),
            line.detail,
            line.next or "",
        )
    total = sum(line.memory_bytes or 0 for line in lines)
    made.caption = f"{total / 2**30:.1f} GiB of memory in all; home: {home}"
    return made


def _server(server: Server, ailment: str | None) -> Line:
    process = server.process.find()
    where = f"{server.host}, ports {', '.join(map(str, server.ports))}"
    if process is None and ailment is None:
        return Line(server.name, f"{where}, not started from here")
    if process is None:
        return Line(server.name, "not running", next="anabranch up")
    uptime = time.time() - process.create_time()
    mend = "anabranch up" if uptime < servers.START_PATIENCE else RESTART  # it may be starting: `up` waits for it
    return Line(
        server.name,
        where if ailment is None else f"{ailment}; log: {server.process.log}",
        next=None if ailment is None else mend,
        pid=process.pid,
        memory_bytes=server.process.memory(),
        uptime_seconds=uptime,
    )


def _topics(kafka: Kafka, items_topic: str) -> list[Line]:
    counts, expected = topics.partition_counts(kafka, items_topic), topics.all_of(items_topic)
    absent = [topic.name for topic in expected if topic.name not in counts]
    if absent:
        return [Line("topics", f"missing: {', '.join(absent)}", next="anabranch topics create")]
    wanted = {topic.name: topic.partitions(kafka) for topic in expected}
    odd = [f"{name} has {counts[name]}, not {count}" for name, count in wanted.items() if counts[name] != count]
    if odd:
        return [Line("topics", f"partitions: {'; '.join(odd)}", next="anabranch up --fresh")]
    ordered = sum(topic.ordered for topic in expected)
    detail = f"{len(counts) - ordered} of {kafka.partitions} partitions each, {ordered} of one; items: {items_topic}"
    return [Line("topics", detail)]


def _schema(settings: Settings) -> Line:
    present, newest = schema.version(settings.cassandra), schema.newest()
    if present < newest:
        return Line("schema", f"version {present}, where {newest} is needed", next="anabranch up")
    if present > newest:
        return Line("schema", f"version {present}, newer than this program's {newest}", next="anabranch up --fresh")
    return Line("schema", f"keyspace {settings.cassandra.keyspace}, version {present}")


def _models(settings: Settings) -> list[Line]:
    unready = triton.unready(settings.triton)
    ready = [name for name in triton.models() if name not in unready]
    bad = [Line(f"model {name}", reason, next=RESTART) for name, reason in unready.items()]
    busy = [Line(f"model {name}", _work(done)) for name, done in sorted(triton.work(settings.triton).items())]
    return [*bad, Line("models", f"ready: {', '.join(ready) or 'none'}"), *busy]


def _work(done: triton.Work) -> str:
    """What a model has done, for people.

    >>> _work(triton.Work(1_200, 100, 0.0004, 0.0051))
    '1,200 contents, 12.0 to a batch; an answer took 5.1 ms, 0.4 of them waiting'
    """
    took, waited = done.took_seconds * 1e3, done.waited_seconds * 1e3
    handled = f"{done.contents:,} contents, {done.contents / max(done.batches, 1):.1f} to a batch"
    return f"{handled}; an answer took {took:.1f} ms, {waited:.1f} of them waiting"


def worker(settings: Settings) -> Line:
    """What the worker that this home knows of says of itself."""
    where = f"{settings.metrics.host}:{settings.metrics.port}"
    line = _process("worker", f"http://{where}", servers.worker_process(settings))
    return line or Line("worker", f"nothing answers at {where}", next="anabranch worker")


def _http(settings: Settings) -> list[Line]:
    """The HTTP server, which not everybody needs."""
    http = settings.http
    scheme = "https" if http.certificate_file else "http"
    line = _process("http", f"{scheme}://{http.host}:{http.port}", servers.http_process(settings))
    return [line] if line else []


def _process(what: str, url: str, process: Process) -> Line | None:
    """What one of our own processes says of itself; None when none answers."""
    report = _report(f"{url}/readyz")
    if report is None:
        return None
    shown = _metrics(f"{url}/metrics")
    found = process.find()
    memory = shown.get("process_resident_memory_bytes")
    started = shown.get("process_start_time_seconds")
    waiting = shown.get("anabranch_consumer_lag_events")
    retries = shown.get("anabranch_dependency_retries")
    wrong = "; ".join(f"{name}: {why}" for name, why in report.wrong.items())
    told = [wrong or f"ready, at {url}"]
    told += [] if wrong or waiting is None else [f"{waiting:,.0f} events waiting"]
    told += [f"{retries:,.0f} calls tried again"] if retries else []
    told += [f"breaker of {server} {state}" for server, state in report.breakers.items() if state != "closed"]
    return Line(
        what,
        "; ".join(told),
        next=_mend(report.wrong) if wrong else None,
        pid=found.pid if found else None,
        memory_bytes=int(memory) if memory else None,
        uptime_seconds=time.time() - started if started else None,
    )


def _mend(wrong: Mapping[str, str]) -> str:
    """What to do about what a process says is wrong; where nothing helps it is coming up, and the next look tells."""
    if wrong.keys() & SERVERS:
        return "anabranch up"
    return "anabranch rebuild --embed" if "space" in wrong else "anabranch status"


def _report(url: str) -> Report | None:
    """What a process says of itself; None when it does not answer, or something else does."""
    answer = _get(url)
    try:
        return None if answer is None else msgspec.json.decode(answer, type=Report)
    except msgspec.DecodeError:
        return None


def _metrics(url: str) -> dict[str, float]:
    """Metric -> the sum over its labels; without those that have no value yet, and empty when nothing answers."""
    families = text_string_to_metric_families((_get(url) or b"").decode())
    return {each.name: sum(sample.value for sample in each.samples) for each in families if each.samples}


def _get(url: str) -> bytes | None:
    """The body of an answer, be it of an error; None when there is none."""
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 (the URL is our own)
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    except (OSError, http.client.HTTPException):
        return None
    return body


def _duration(seconds: float) -> str:
    """A short time for people.

    >>> _duration(59), _duration(3_700), _duration(200_000)
    ('59 s', '1 h 1 min', '2 d 7 h')
    """
    minutes, hours, days = int(seconds // 60), int(seconds // 3_600), int(seconds // 86_400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"
