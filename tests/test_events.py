"""Good events pass whatever else they carry; bad ones are told apart by a reason."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import Rejected
from streams.events import EVENT_TYPES, MAX_EVENT_BYTES, MESSAGE_TYPES, REASONS, Click, decode, schemas

NOW = 1_700_000_000.0
GOOD: dict[str, Any] = {"event_id": "e1", "user_id": "ada", "item_id": "42", "ts": NOW - 5}


def click(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def without(field: str) -> bytes:
    return json.dumps({name: value for name, value in GOOD.items() if name != field}).encode()


def read(value: bytes | None, key: bytes = b"ada", topic: str = "events.click") -> Any:
    return decode(topic, value, key=key, now=NOW)


def bad_clicks(now: float) -> list[tuple[str, bytes | None]]:
    """Every way in which a click can be malformed, with the reason it shall be refused for."""
    return [
        ("empty", None),
        ("empty", b""),
        ("oversized", click(note="x" * MAX_EVENT_BYTES)),
        ("not_utf8", b'{"event_id": "\xff\xfe"}'),
        ("not_json", b"{"),
        ("not_json", b"event_id=e1"),
        ("not_json", click() + b"}"),
        ("not_json", b'{"deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        ("not_finite", click(ts=math.nan)),
        ("not_finite", click(dwell_s=math.inf)),
        ("not_finite", click().replace(b"1699999995.0", b"1e999")),
        ("not_an_object", b"[1, 2]"),
        ("not_an_object", b'"click"'),
        ("not_an_object", b"null"),
        ("unknown_version", click(version=2)),
        ("unknown_version", click(version=99, item_id={"new": "shape"})),
        ("missing_field", without("event_id")),
        ("missing_field", without("user_id")),
        ("missing_field", without("item_id")),
        ("missing_field", without("ts")),
        ("wrong_type", click(user_id=7)),
        ("wrong_type", click(item_id=None)),
        ("wrong_type", click(ts="yesterday")),
        ("wrong_type", click(position=1.5)),
        ("wrong_type", click(version="1")),
        ("out_of_range", click(position=-1)),
        ("out_of_range", click(dwell_s=-0.1)),
        ("out_of_range", click(item_id="")),
        ("out_of_range", click(item_id="x" * 129)),
        ("out_of_range", click(item_id="line\nbreak")),
        ("bad_time", click(ts=0)),
        ("bad_time", click(ts=-5)),
        ("future", click(ts=now + 3_600)),
    ]


BAD = bad_clicks(NOW)


def test_a_profile_says_something() -> None:
    """What is said of oneself, what is allowed, or both."""
    common = {"event_id": "e", "user_id": "ada", "ts": NOW}
    for said in ({"traits": {"age": 36}}, {"profiling": False}, {"use_profile": True, "traits": {}}):
        decode("events.profile", json.dumps(common | said).encode(), key=b"ada", now=NOW)
    with pytest.raises(Rejected, match="use_profile") as refusal:
        decode("events.profile", json.dumps(common).encode(), key=b"ada", now=NOW)
    assert refusal.value.reason == "missing_field"


@pytest.mark.parametrize(("reason", "value"), BAD)
def test_a_bad_click_is_refused_with_its_reason(reason: str, value: bytes | None) -> None:
    with pytest.raises(Rejected) as refusal:
        read(value)
    assert refusal.value.reason == reason
    assert refusal.value.detail


def test_an_event_under_another_key_is_refused_since_it_would_reach_the_wrong_worker() -> None:
    with pytest.raises(Rejected) as refusal:
        read(click(), key=b"bob")
    assert refusal.value.reason == "wrong_key"


@pytest.mark.parametrize(
    ("reason", "upload"),
    [
        ("nothing_to_embed", {}),
        ("unknown_part", {"media": {"smell": "data:,rose"}}),
        ("unknown_part", {"media": {"profile": "data:,rose"}}),
        ("out_of_range", {"title": "x" * 1001}),
    ],
)
def test_a_bad_upload_is_refused_with_its_reason(reason: str, upload: dict[str, Any]) -> None:
    value = json.dumps({"event_id": "e", "item_id": "42", "ts": 1.0} | upload).encode()
    with pytest.raises(Rejected) as refusal:
        read(value, key=b"42", topic="events.upload")
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("reason", "query"),
    [
        ("unknown_part", {"media": {"text": "data:,rose"}}),
        ("out_of_range", {"text": "x" * 2_001}),
        ("out_of_range", {"limit": 0}),
        ("out_of_range", {"offset": 901}),
        ("out_of_range", {"filters": {"genre": []}}),
        ("wrong_type", {"filters": {"genre": "Comedy"}}),
    ],
)
def test_a_bad_query_is_refused_with_its_reason(reason: str, query: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as refusal:
        read(json.dumps({"event_id": "q1", "ts": 1.0} | query).encode(), key=b"q1", topic="events.query")
    assert refusal.value.reason == reason


def test_a_query_may_ask_for_nothing_in_particular_and_need_not_say_who_asks() -> None:
    query = read(b'{"event_id": "q1", "ts": 1.0}', key=b"q1", topic="events.query")
    assert (query.text, query.media, query.user_id, query.limit) == ("", {}, None, 10)


def test_an_event_up_to_five_minutes_ahead_is_a_clock_astray_and_passes() -> None:
    assert read(click(ts=NOW + 299)).ts == NOW + 299


def test_fields_from_a_newer_producer_are_ignored() -> None:
    assert read(click(mood="curious", nested={"a": [1]})) == read(click())


def test_every_reason_is_explained() -> None:
    raised = {reason for reason, _ in BAD} | {"wrong_key", "wrong_partition", "nothing_to_embed", "unknown_part"}
    assert raised == set(REASONS)


def test_a_producer_of_the_first_version_need_not_name_it() -> None:
    assert read(click()) == read(click(version=1))


@given(st.binary(max_size=200))
def test_no_bytes_whatever_crash_the_reader(value: bytes) -> None:
    for topic in EVENT_TYPES:
        with pytest.raises(Rejected):
            decode(topic, value, key=b"", now=NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "position", "version", "dwell_s"]), json_values))
def test_any_json_is_either_a_click_or_refused_for_a_known_reason(fields: dict[str, Any]) -> None:
    try:
        assert isinstance(read(json.dumps(GOOD | fields).encode()), Click)
    except Rejected as refusal:
        assert refusal.reason in REASONS


def test_every_topic_has_a_schema_that_names_its_required_fields() -> None:
    published = schemas()
    assert set(published) == set(MESSAGE_TYPES)
    definition = published["events.click"]["$defs"]["Click"]
    assert set(definition["required"]) == {"event_id", "user_id", "item_id", "ts"}
