"""Versions of the ranker come and go in the real Triton, while a worker makes lists."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.worker import RunningWorker, running_worker
from streams.adapters.ranker import TritonModels, TritonRanker
from streams.deep.registry import ModelRefused, Registry, State
from streams.deep.rollout import damage, take_another_network
from streams.errors import RankerUnavailable
from streams.events import Click, Upload
from streams.ports import Arms
from streams.producer import EventProducer
from streams.replay import ListWatcher, play
from streams.settings import Settings
from tests.deep.versions import question, version
from tests.encoders.training.deep.worlds import two_tastes
from tests.integration.running import until, upload

pytestmark = pytest.mark.servers
NOW = 1_700_000_000.0
ROUNDS = count()


@pytest.fixture
def registry(servers: Settings) -> Iterator[Registry]:
    registry = Registry(servers.models_folder, TritonModels(servers.triton))
    yield registry
    while registry.state != State():
        registry.roll_back()


@pytest.fixture
def ship(registry: Registry, tmp_path: Path) -> Callable[[str], int]:
    def ship(name: str) -> int:
        return registry.ship(version(tmp_path / name))

    return ship


@pytest.fixture
def worker(servers: Settings) -> Iterator[RunningWorker]:
    with running_worker(servers) as running:
        yield running


async def test_triton_serves_what_the_registry_says_and_tells_workers_so(
    servers: Settings, registry: Registry, ship: Callable[[str], int]
) -> None:
    ranker = TritonRanker(servers.triton, seconds=5.0)
    try:
        assert await ranker.arms() == Arms()
        first, second = ship("first"), ship("second")
        assert await ranker.arms() == Arms(), "what is only shipped serves nobody"
        registry.canary(first, 1.0)
        registry.promote()
        registry.canary(second, 0.25)
        assert await ranker.arms() == Arms(first, second, 0.25, shipped=(*range(1, second + 1),))
        for each in (first, second):
            assert (await ranker.score(each, question())).shape == (2, 6)
        third = ship("third")
        registry.load(third)
        assert (await ranker.arms()).loaded == {first, second, third}
        assert (await ranker.score(third, question())).shape == (2, 6)
        registry.unload(third)
        registry.roll_back()
        assert await ranker.arms() == Arms(first, shipped=(*range(1, third + 1),))
        with pytest.raises(RankerUnavailable, match=f"version {second} of the ranker"):
            await ranker.score(second, question())
    finally:
        await ranker.close()


def test_what_is_damaged_or_answers_wrongly_is_refused_and_the_others_go_on(
    servers: Settings, registry: Registry, ship: Callable[[str], int], tmp_path: Path
) -> None:
    good = ship("good")
    registry.canary(good, 1.0)
    registry.promote()
    broken, wrong = version(tmp_path / "broken"), version(tmp_path / "wrong")
    damage(broken)
    take_another_network(wrong, version(tmp_path / "other", slope=3.0))
    for folder, reason in ((broken, "corrupt"), (wrong, "unloadable")):
        with pytest.raises(ModelRefused) as refused:
            registry.ship(folder)
        assert refused.value.reason == reason
    assert "answers up to" in str(refused.value)
    assert registry.state == State(stable=good)
    assert TritonModels(servers.triton).ask(question(), good).shape == (2, 6)


def test_a_worker_follows_and_judges_what_is_shipped_and_every_event_gets_its_list(
    servers: Settings, registry: Registry, ship: Callable[[str], int], worker: RunningWorker
) -> None:
    log = two_tastes()
    upload(
        servers,
        [
            Upload(event_id=f"shipped-{number}", ts=NOW, item_id=item_id, title=log.texts[number])
            for number, item_id in enumerate(log.item_ids)
        ],
    )
    first, second = ship("first"), ship("second")
    with EventProducer(servers.kafka.address) as producer, ListWatcher(servers.kafka.address) as watcher:

        def clicks(name: str) -> None:
            """One after the other: each list is out before the next click, so that it can be judged by it."""
            for step in range(3):
                for user in range(8):
                    item = log.item_ids[(user + 2 * step) % len(log.item_ids)]
                    play(
                        producer,
                        [
                            Click(
                                event_id=f"{name}-{user}-{step}", ts=NOW + step, user_id=f"{name}-{user}", item_id=item
                            )
                        ],
                        before=watcher.expect,
                    )
                watcher.wait(patience=60)

        clicks("without")
        assert choices(servers) == {}
        registry.canary(first, 1.0)
        registry.promote()
        until(lambda: follows(servers, clicks, first))
        registry.canary(second, 0.5)
        until(lambda: follows(servers, clicks, second))
        registry.promote()
        clicks("promoted")
        registry.roll_back()
        clicks("rolled-back")
        assert watcher.report.unanswered == set()


def follows(servers: Settings, clicks: Callable[[str], None], version: int) -> bool:
    """Whether the worker has judged a version by now, after some more clicks of other users."""
    clicks(f"version-{version}-{next(ROUNDS)}")
    return choices(servers).get(version, 0) > 0


def choices(servers: Settings) -> dict[int, float]:
    """Version -> choices that the worker has judged it by."""
    with urlopen(f"http://{servers.metrics.host}:{servers.metrics.port}/metrics") as answer:
        families = {each.name: each for each in text_string_to_metric_families(answer.read().decode())}
    family = families["anabranch_ranker_choices"]
    return {int(sample.labels["version"]): sample.value for sample in family.samples}
