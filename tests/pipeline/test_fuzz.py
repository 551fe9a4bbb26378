"""Whatever comes in a topic: nothing crashes, each message is counted once, and what is accepted counts once.

`make fuzz` sends a million; the bar is shown then.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import pytest
from prometheus_client import REGISTRY
from rich.console import Console
from threadpoolctl import threadpool_limits

from encoders.errors import Refused
from encoders.profile import ProfileEncoder
from streams.adapters.cassandra import encode_user
from streams.core.user import UserState
from streams.core.verification import Log, compare
from streams.errors import Rejected
from streams.events import REASONS, Upload, decode
from streams.ports import Embeddings, Outgoing
from streams.progress import bars
from streams.verify import replayed
from tests.fakes import FakeEmbedder, FakeStore
from tests.fuzzing import NOW, Fuzzer, batches
from tests.pipeline.test_pipeline import FILMS, Loop, World

QUIET = 10_000  # messages up to which no bar is shown


class Encoding(FakeStore):
    """Encodes users as Cassandra wants them, and keeps no copy: there are a million writes."""

    async def write_users(self, users: Collection[UserState], epochs: Mapping[int, int]) -> None:
        for user in users:
            encode_user(user)
        self._check_epochs(epochs)


class Forgetful(Loop):
    """Keeps nothing of what was published but dead letters."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        self.messages += [message for message in messages if message.topic == "events.rejected"]
        await self.bring_back(messages)


class Reading(FakeEmbedder):
    """Reads profiles as the real encoder does."""

    async def embed(self, modality: str, contents: Sequence[bytes]) -> Embeddings:
        made = await super().embed(modality, contents)
        if modality != "profile":
            return made
        errors = [_refusal(content) for content in contents]
        vectors = [None if error else vector for vector, error in zip(made.vectors, errors, strict=True)]
        return Embeddings(vectors, errors, made.languages, made.words)


def _refusal(traits: bytes) -> str:
    try:
        ProfileEncoder().read(traits)
    except Refused as refusal:
        return str(refusal)
    return ""


def counted() -> Counter[str]:
    """What the metrics say has become of messages."""
    found: Counter[str] = Counter()
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name in ("anabranch_events_total", "anabranch_events_duplicate_total"):
                found["accepted"] += int(sample.value)
            if sample.name == "anabranch_events_rejected_total":
                found["rejected"] += int(sample.value)
            if sample.name == "anabranch_parts_refused_total" and sample.labels["modality"] == "profile":
                found["accepted"] += int(sample.value)
    return found


async def test_whatever_comes_each_message_is_accepted_or_rejected_and_counts_once(
    fuzzed: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    count, seed = fuzzed
    threadpool_limits(1)  # as a worker does
    world = World(Encoding())
    world.pipeline.embedder = Reading()
    world.pipeline.sink = world.sink = Forgetful()
    world.sink.replica = world.replica
    await world.open_cinema()
    handlers = {
        "events.click": world.pipeline.interactions,
        "events.view": world.pipeline.interactions,
        "events.upload": world.pipeline.uploads,
        "events.profile": world.pipeline.profiles,
    }
    before, accepted, reasons = counted(), [], Counter[str]()
    with capsys.disabled(), bars(Console(quiet=count <= QUIET)) as progress:
        task = progress.add_task(f"messages of seed {seed}", total=count)
        for batch in batches(seed, count):
            await handlers[batch[0].topic](batch)
            for message in batch:
                try:
                    accepted.append(decode(message.topic, message.value, key=message.key, now=NOW))
                except Rejected as refusal:
                    reasons[refusal.reason] += 1
            progress.advance(task, len(batch))
    told = counted() - before
    assert told == {"accepted": len(accepted), "rejected": reasons.total()}, f"seed {seed}"
    assert told.total() == count
    assert reasons.keys() <= REASONS.keys() and len(accepted) > count / 3, f"seed {seed}"
    assert Counter(dict(letter.headers)["reason"].decode() for letter in world.sink.on("events.rejected")) == reasons

    uploads = Counter(event.item_id for event in accepted if isinstance(event, Upload))
    changed = FILMS.keys() | {item_id for item_id, count in uploads.items() if count > 1}
    policy = world.pipeline.policy
    log = Log(world.pipeline.replica.item_vectors.get, changed, True, policy.taste_half_life, policy.dedup_window)
    users = world.pipeline._owned.users
    differences = [
        f"{user_id}: {difference}"
        for user_id, events in replayed(accepted, policy).items()
        if (difference := compare(user_id, events, users.get(user_id), log))
    ]
    assert differences == [], f"seed {seed}"


def test_whatever_comes_as_a_query_is_read_or_refused_for_a_known_reason(fuzzed: tuple[int, int]) -> None:
    count, seed = fuzzed
    fuzzer, told = Fuzzer(seed), Counter[str]()
    for message in fuzzer.batch("events.query", count // 10):
        try:
            told[decode(message.topic, message.value, key=message.key, now=NOW).__class__.__name__] += 1
        except Rejected as refusal:
            told[refusal.reason] += 1
    assert told.keys() <= REASONS.keys() | {"Query"}, f"seed {seed}"
    assert told["Query"] > count / 30, f"seed {seed}"
