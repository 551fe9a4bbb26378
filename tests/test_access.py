"""The least that each role needs."""

from kafka.admin import ACLOperation, ACLPermissionType

from streams.access import kafka_rights
from streams.events import EVENT_TYPES
from streams.settings import Roles
from streams.topics import TOPICS

ROLES = Roles(worker="w", producer="p", consumer="c", http="h")


def rights(roles: Roles) -> set[tuple[str, str, str]]:
    return {
        (right.principal, right.operation.name, right.resource_pattern.resource_name)
        for right in kafka_rights("group", roles)
    }


def test_where_no_role_is_named_nothing_is_granted() -> None:
    assert rights(Roles()) == set()


def test_a_producer_writes_events_and_a_consumer_reads_lists() -> None:
    events = {"events.click", "events.view", "events.upload", "events.profile", "events.query", "events.forget"}
    assert rights(Roles(producer="p")) == {("User:p", "WRITE", topic) for topic in events}
    read = {"recommendations", "search.results", "forgotten", "c-"}
    assert rights(Roles(consumer="c")) == {("User:c", "READ", name) for name in read}


def test_the_http_server_reads_what_lists_are_made_of_and_writes_events_and_what_its_answers_showed() -> None:
    given = rights(Roles(http="h"))
    read = {topic for _, operation, topic in given if operation == "READ"}
    made_of = {"recommendations", "search.results", "experiments", "interactions", "items.embedded"}
    assert read == {*made_of, "moderation.queue", "moderation.decisions"}
    assert {topic for _, operation, topic in given if operation == "WRITE"} == {*EVENT_TYPES, "search.shown"}


def test_a_worker_writes_no_events_but_dead_letters() -> None:
    written = {topic for _, operation, topic in rights(Roles(worker="w")) if operation == "WRITE"}
    memory, answers = {"items.embedded", "interactions"}, {"recommendations", "search.results", "forgotten"}
    answers |= {"experiments", "moderation.queue", "moderation.decisions", "search.shown"}
    assert written == {*memory, *answers, "events.rejected"}


def test_a_worker_has_to_do_with_every_topic() -> None:
    granted = {right.resource_pattern.resource_name for right in kafka_rights("group", Roles(worker="w"))}
    assert granted == {"group", *(topic.name for topic in TOPICS)}


def test_nobody_creates_changes_or_deletes() -> None:
    for right in kafka_rights("group", ROLES):
        assert right.operation in (ACLOperation.READ, ACLOperation.WRITE)
        assert right.permission_type is ACLPermissionType.ALLOW
        assert right.resource_pattern.resource_name not in ("*", "")
