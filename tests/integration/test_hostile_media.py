"""Media that mean harm, from Kafka through the worker and Triton to `items.embedded`.

150 items by default; `pytest tests/integration/test_hostile_media.py --hostile-files 2000` sends so many.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.request import urlopen

import msgspec
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.local import servers as local_servers
from deploy.local import triton
from deploy.local.worker import RunningWorker, running_worker
from streams.events import MAX_EVENT_BYTES, Embedded, Upload
from streams.producer import EventProducer
from streams.settings import Settings
from tests.integration.running import TopicReader
from tests.media import DECODERS, file_of, picture, refused

pytestmark = pytest.mark.servers
NOW = 1_700_000_000.0
MORE_MEMORY = 500 * 2**20  # bytes that any one process may grow by
FORBIDDEN = {
    "file:///etc/passwd": "FileRefused",
    "file:///proc/self/environ": "FileRefused",
    "http://127.0.0.1:1/": "HttpRefused",
    "http://169.254.169.254/latest/meta-data": "HttpRefused",
    "http://[::1]/": "HttpRefused",
    "ftp://example.org/a.png": "SchemeRefused",
    "s3://someone/secret": "SchemeRefused",
    "javascript:alert(1)": "SchemeRefused",
    "data:image/png;base64,@@@": "InlineUnreadable",
    "data:image/png": "InlineUnreadable",
}
"""URIs that name what is none of the sender's business, and how they are refused."""


@pytest.fixture(scope="module")
def worker(servers: Settings) -> Iterator[RunningWorker]:
    with running_worker(servers) as running:
        yield running


def test_hostile_media_are_refused_by_name_and_harm_nothing_else(
    servers: Settings, worker: RunningWorker, hostile_files: int
) -> None:
    announced = TopicReader(servers, "items.embedded")
    expected = expectations(hostile_files)
    healthy = Upload(
        event_id="u-healthy", ts=NOW, item_id="healthy", title="A frog", media={"image": inline(file_of(picture(1)))}
    )
    with EventProducer(servers.kafka.address) as producer:
        producer.send(healthy)
        producer.flush()
        announced.read(1)  # all is warm: what is measured from here on is the harm done
        before = processes(servers, worker)
        counted_before = refusals(servers)
        for upload, _ in expected.values():
            producer.send(upload)
        producer.send(msgspec.structs.replace(healthy, event_id="u-healthy-still", item_id="healthy-still"))
        producer.flush()
        items = {
            item.item_id: item
            for item in (msgspec.json.decode(each.value, type=Embedded) for each in announced.read(len(expected) + 1))
        }
    announced.close()
    for item_id, (upload, reasons) in expected.items():
        item = items[item_id]
        assert set(item.refused) == set(reasons), (item_id, item.refused)
        for part, reason in reasons.items():
            assert item.refused[part].startswith(reason), (item_id, item.refused)
        assert set(item.vectors) == {"text", "fused", *upload.media} - set(reasons)
    assert set(items["healthy-still"].vectors) == {"text", "image", "fused"} and not items["healthy-still"].refused
    assert refusals(servers) - counted_before == Counter(
        (part, reason.partition(":")[0]) for _, reasons in expected.values() for part, reason in reasons.items()
    )
    assert triton.unready(servers.triton) == {}
    after = processes(servers, worker)
    assert after.keys() == before.keys(), "a process has died or was started anew"
    grown = {name: after[name] - before[name] for name in before}
    assert max(grown.values()) < MORE_MEMORY, grown
    print(
        f"{len(expected)} items refused as {summary(expected)}; grown by {sum(grown.values()) / 2**20:.0f} MiB in all"
    )


def expectations(files: int) -> dict[str, tuple[Upload, dict[str, str]]]:
    """Item -> its upload, and what is to be refused of it: part -> how the reason begins.

    Every item has a title to live on, and every third a good picture beside what harms.
    """
    good = inline(file_of(picture(1)))
    harms = [(part, uri, reason) for part in DECODERS for uri, reason in FORBIDDEN.items()]
    share = -(-(files - len(harms)) // len(DECODERS))
    for part in DECODERS:
        small = (pair for pair in refused(part) if len(pair[0]) < MAX_EVENT_BYTES // 2)
        harms += [(part, inline(content), reason) for content, reason in islice(small, share)]
    found = {}
    for number, (part, uri, reason) in enumerate(harms[:files]):
        media = {part: uri} | ({"image": good} if number % 3 == 0 and part != "image" else {})
        item_id = f"hostile-{number}"
        upload = Upload(
            event_id=f"u-{item_id}", ts=NOW, item_id=item_id, title=f"A harmless title {number}", media=media
        )
        found[item_id] = upload, {part: reason}
    return found


def inline(content: bytes) -> str:
    return f"data:application/octet-stream;base64,{b64encode(content).decode()}"


def processes(servers: Settings, worker: RunningWorker) -> dict[str, int]:
    """Triton, each of its models and the worker -> peak resident bytes of the process until now."""
    server = next(each for each in local_servers.servers(servers) if each.name == "triton").process.find()
    assert server is not None
    found = [server, *server.children(recursive=True), psutil.Process(worker.pid)]
    return {f"{each.name()} {each.pid}": peak(each.pid) for each in found}


def peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def refusals(servers: Settings) -> Counter[tuple[str, str]]:
    """(modality, reason) -> parts refused, as the worker counts them."""
    body = urlopen(f"http://{servers.metrics.host}:{servers.metrics.port}/metrics", timeout=5).read().decode()
    return Counter(
        {
            (sample.labels["modality"], sample.labels["reason"]): int(sample.value)
            for family in text_string_to_metric_families(body)
            for sample in family.samples
            if sample.name == "anabranch_parts_refused_total"
        }
    )


def summary(expected: dict[str, tuple[Upload, dict[str, str]]]) -> str:
    counts = Counter(reason.partition(":")[0] for _, reasons in expected.values() for reason in reasons.values())
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
