"""Under a key, nobody's id leaves the edge; who has the key asks by the real one."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from streams import producer as producers
from streams.events import Click, Upload
from streams.producer import EventProducer
from streams.settings import Kafka, SettingsError, load
from tests.pipeline.test_pipeline import NOW
from tests.web.world import HttpWorld

KEY = "k" * 32
KAFKA = Kafka(pseudonym_key=SecretStr(KEY))
ADA = hmac.new(KEY.encode(), b"ada", hashlib.sha256).hexdigest()
CLICK = Click(event_id="e-1", user_id="ada", item_id="alien", ts=NOW - 1)


class Sent:
    """Kafka's producer, of which it is known what it was given."""

    def __init__(self, *_: object, **__: object) -> None:
        self.messages: list[dict[str, Any]] = []

    def send(self, topic: str, **message: Any) -> "Sent":
        self.messages.append(message)
        return self

    def add_errback(self, _: object) -> None: ...


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent = Sent()
    monkeypatch.setattr(producers.connections, "kafka", lambda *_, **__: sent)
    return sent


@pytest.mark.parametrize(
    ("to", "options", "user"), [(KAFKA, {}, ADA), (KAFKA, {"as_they_are": True}, "ada"), (Kafka(), {}, "ada")]
)
def test_a_producer_sends_what_stands_for_the_user_and_where_there_is_no_key_the_user(
    sent: Sent, to: Kafka, options: dict[str, Any], user: str
) -> None:
    producer = EventProducer(to, **options)
    producer.send(CLICK)
    producer.send(Upload(event_id="u", item_id="ada", title="Ada", ts=NOW))
    click, upload = sent.messages
    assert click["key"] == user.encode() and msgspec.json.decode(click["value"])["user_id"] == user
    assert upload["key"] == b"ada"


@pytest.fixture
async def world() -> AsyncIterator[HttpWorld]:
    world = HttpWorld(pseudonym=KAFKA.pseudonym)
    await world.open()
    yield world
    await world.close()


async def test_over_http_the_real_id_goes_in_and_comes_out_and_no_further(world: HttpWorld) -> None:
    event = msgspec.to_builtins(CLICK) | {"colour": "red"}
    assert (await world.post("/events/click", event))[0] == 202
    [message] = world.sink.messages
    assert message.key == ADA.encode() and msgspec.json.decode(message.value) == event | {"user_id": ADA}
    await world.click(ADA, "alien", "star")
    assert set(world.store.users) == {ADA}
    for path in ("recommendations", "explanations/love", ""):
        status, answer = await world.get(f"/users/ada/{path}".rstrip("/"))
        assert (status, answer["user_id"]) == (200, "ada")
    _, made = await world.get("/users/ada/recommendations")
    assert made["list_version"] == world.worker.lists()[-1].list_version
    _, found = await world.get("/search?q=space&user_id=ada")
    assert found["user_id"] == "ada"
    assert (await world.get("/users/bob"))[0] == 404


def test_a_key_that_could_be_guessed_is_refused_and_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEY not in repr(KAFKA) and KEY not in KAFKA.model_dump_json()
    monkeypatch.setenv("ANABRANCH_KAFKA__PSEUDONYM_KEY", "hunter2")
    with pytest.raises(SettingsError, match="ANABRANCH_KAFKA__PSEUDONYM_KEY has to have 32") as refusal:
        load()
    assert "hunter2" not in str(refusal.value)
