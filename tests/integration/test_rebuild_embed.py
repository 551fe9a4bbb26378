"""All items are embedded again beside a running worker, once Triton serves other weights; on servers of their own."""

import asyncio
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from kafka import KafkaAdminClient
from rich.console import Console

from deploy.local import ports, status, triton
from deploy.local import servers as local_servers
from deploy.local.worker import RunningWorker, running_worker
from encoders.contract import DIM, MODALITIES
from encoders.projection import FOLDER_SETTING, Projection
from streams import embedding_anew
from streams import rebuild as rebuilding
from streams.adapters import schema
from streams.adapters.triton import TritonEmbedder
from streams.core.vectors import Vector, from_bytes
from streams.errors import EmbedderUnavailable
from streams.events import Click, Embedded, Event, Upload
from streams.pipeline.embedding import Fuse
from streams.ports import Embedder, Media
from streams.producer import EventProducer
from streams.rebuild import rebuild
from streams.replay import ListWatcher, play
from streams.settings import Settings, load
from streams.verify import verify
from tests.integration.running import USER_TOPICS, TopicReader, handled, serving, until, upload

pytestmark = pytest.mark.servers
QUIET = Console(quiet=True)
MODELS = ("text_encoder", "profile_encoder")  # all that these tests need: seconds and memory saved
WORDS = ("space", "horror", "romance", "paris", "war", "western", "music", "dance", "robot", "frog", "sea", "train")


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Iterator[Settings]:
    home, downloads = tmp_path_factory.mktemp("embed"), load().downloads_folder.resolve()
    for model in MODELS:
        shutil.copytree(triton.MODELS / model, home / "models" / model)
    patch.setattr(triton, "MODELS", home / "models")
    settings = ports.choose_all(load(home=home, downloads=downloads))
    try:
        yield local_servers.up(settings)
    finally:
        local_servers.down(settings)


@pytest.fixture
def watcher(own: Settings) -> Iterator[ListWatcher]:
    with ListWatcher(own.kafka.address) as watcher:
        yield watcher


def an_upload(name: str, words: str) -> Upload:
    return Upload(event_id=f"u-{name}", ts=time.time(), item_id=name, title=words)


def serve_other_weights(settings: Settings, folder: Path, patch: pytest.MonkeyPatch, seed: int) -> None:
    """Triton with a projection of text that it has not had before."""
    generator = np.random.default_rng(seed)
    weight = generator.standard_normal((MODALITIES["text"].native_dim, DIM)).astype(np.float32)
    Projection(np.zeros(len(weight), np.float32), weight).save(MODALITIES["text"], folder)
    patch.setenv(FOLDER_SETTING, str(folder))
    next(each for each in local_servers.servers(settings) if each.name == "triton").process.stop()
    local_servers.up(settings)


async def embedded_now(settings: Settings, texts: Sequence[str]) -> tuple[list[Vector | None], str]:
    embedder = TritonEmbedder(settings.triton)
    try:
        answer = await embedder.embed("text", [text.encode() for text in texts])
        return list(answer.vectors), answer.space
    finally:
        await embedder.close()


def items_of(settings: Settings, topic: str) -> dict[str, Embedded]:
    reader = TopicReader(settings, topic, from_start=True)
    messages = [msgspec.json.decode(each.value, type=Embedded) for each in reader.read_all()]
    reader.close()
    return {item.item_id: item for item in messages}


def topics_there(settings: Settings) -> set[str]:
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.address)
    try:
        return {name for name in admin.list_topics() if name.startswith("items.embedded")}
    finally:
        admin.close()


def click(watcher: ListWatcher, settings: Settings, name: str, count: int = 6) -> None:
    """Each of some people clicks, and has a list."""
    clicks: list[Event] = [
        Click(event_id=f"{name}-{n}", user_id=f"user-{n % 4}", item_id=f"film {(5 * n) % 12}", ts=time.time())
        for n in range(count)
    ]
    with EventProducer(settings.kafka.address) as producer:
        play(producer, clicks, before=watcher.expect)
    watcher.wait(patience=120)
    assert watcher.report.unanswered == set()


def send(settings: Settings, one: Upload) -> None:
    with EventProducer(settings.kafka.address) as producer:
        producer.send(one)


def is_clean(settings: Settings) -> bool:
    until(lambda: handled(settings, *USER_TOPICS, "events.upload"))
    report = asyncio.run(verify(settings, QUIET))
    return report.is_clean and report.in_motion == 0 and report.users >= 4


def restart(worker: RunningWorker) -> None:
    """Once it has ended by itself."""
    until(lambda: worker.exit_code() is not None, patience=60)
    worker.start()


def test_after_it_every_item_is_in_the_space_of_the_new_weights_and_lists_go_on(
    own: Settings, watcher: ListWatcher, patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with running_worker(own) as worker:
        upload(own, [an_upload(f"film {n}", f"{word} {WORDS[n - 1]}") for n, word in enumerate(WORDS)])
        gone = Upload(event_id="gone", ts=time.time(), item_id="film 11", withdrawn=True)
        send(own, gone)
        click(watcher, own, "before")
        assert is_clean(own)
        old = items_of(own, "items.embedded")
        assert {item.spaces["text"] for item in old.values() if not item.withdrawn} != {""}

        serve_other_weights(own, tmp_path, patch, seed=1)
        send(own, an_upload("late", "late robot"))
        until(lambda: "space" in (worker.report() or pytest.fail("no answer")).wrong)
        [line] = [line for line in status.report(own) if line.what == "worker"]
        assert line.next == "anabranch rebuild --embed" and "uploads wait" in line.detail
        click(watcher, own, "meanwhile")
        assert not handled(own, "events.upload") and "late" not in items_of(own, "items.embedded")

        outcome = asyncio.run(rebuild(own, QUIET, embed=True))

        assert (outcome.items_again, outcome.parts_lost) == (len(WORDS), 0)
        where = schema.holder(own.cassandra)
        assert (
            (where.keyspace, where.items_topic)
            == (outcome.after, outcome.items_after)
            != (
                outcome.before,
                "items.embedded",
            )
        )
        until(lambda: topics_there(own) == {outcome.items_after})
        restart(worker)
        until(lambda: handled(own, "events.upload"))
        new = items_of(own, outcome.items_after)
        assert new.keys() == old.keys() | {"late"} and new["film 11"].withdrawn
        listed = [item for item in new.values() if not item.withdrawn]
        vectors, space = asyncio.run(embedded_now(own, [item.title for item in listed]))
        assert {item.spaces["text"] for item in listed} == {space} != {old["film 1"].spaces["text"]}
        for item, vector in zip(listed, vectors, strict=True):
            assert vector is not None
            np.testing.assert_allclose(from_bytes(item.vectors["text"]), vector, atol=1e-4)
        assert is_clean(own)
        click(watcher, own, "after")
        until(worker.is_ready)
        assert status.is_well([line for line in status.report(own) if line.what in ("topics", "worker", "schema")])
        with serving(own):
            pass
        assert is_clean(own)


def test_what_is_uploaded_while_the_others_are_embedded_is_there_afterwards(
    own: Settings, watcher: ListWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    before = schema.holder(own.cassandra)

    async def embed_and_upload(
        some: Sequence[embedding_anew.ToEmbed], *, embedder: Embedder, media: Media, fuse: Fuse, moderated: bool
    ) -> list[Embedded]:
        """As each group is embedded, the worker handles one more upload, twice; then no more come."""
        if len(sent) < 2:
            sent.append(f"meanwhile {len(sent)}")
            await asyncio.to_thread(upload, own, [an_upload(sent[-1], "sea train")], before.items_topic)
        return await embedding_anew.embed_anew(some, embedder=embedder, media=media, fuse=fuse, moderated=moderated)

    monkeypatch.setattr(rebuilding, "embed_anew", embed_and_upload)
    monkeypatch.setattr(rebuilding, "FEW", 1)
    with running_worker(own) as worker:
        until(worker.is_ready)
        outcome = asyncio.run(rebuild(own, QUIET, embed=True, keep=True))
        assert len(sent) == 2 and outcome.items == len(WORDS) + 1 + 2
        restart(worker)
        click(watcher, own, "third")
        assert is_clean(own)
        assert items_of(own, outcome.items_after).keys() >= set(sent)
    assert topics_there(own) == {before.items_topic, outcome.items_after}
    assert before.items_topic in rebuilding.drop_unused(own)
    until(lambda: topics_there(own) == {outcome.items_after})


def test_what_was_made_in_vain_is_deleted(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> list[Embedded]:
        raise EmbedderUnavailable("the wire is cut")

    before = schema.holder(own.cassandra)
    monkeypatch.setattr(rebuilding, "embed_anew", broken)
    with pytest.raises(EmbedderUnavailable, match="the wire is cut"):
        asyncio.run(rebuild(own, QUIET, embed=True))
    assert schema.holder(own.cassandra) == before
    until(lambda: topics_there(own) == {before.items_topic})
