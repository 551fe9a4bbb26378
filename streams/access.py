"""Who may do what in Kafka and Cassandra: the least that each role needs.

A worker reads events, what answers showed and the logs of the shared memory, writes those, lists, answers and dead
letters, and reads and writes the rows of its keyspace. A producer writes events. A consumer reads lists and answers, in
groups whose names begin with its own name and a hyphen. The HTTP server reads both, the logs of the shared memory, the
uploads that wait for moderators, what these decided and the rows, and writes events and what its answers showed. None
of them creates, changes or drops anything. The log of items is whatever begins with its name: embedded anew, it has a
number after it.
"""

import time
from collections.abc import Iterator

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from streams.adapters import connections
from streams.errors import KafkaUnavailable
from streams.events import DECISIONS, EVENT_TYPES, ITEMS, QUEUE, SHOWN
from streams.replica import INTERACTIONS
from streams.settings import Cassandra, Kafka, Roles, Settings

EVENTS = tuple(EVENT_TYPES)
ANSWERS = ("recommendations", "search.results")
OUTCOMES = "experiments"
FORGOTTEN = "forgotten"
REJECTED = "events.rejected"
PREFIXED = ACLResourcePatternType.PREFIXED
IN_FORCE_SECONDS = 60.0
EVERY_RIGHT = ACLFilter(
    None,
    None,
    ACLOperation.ANY,
    ACLPermissionType.ANY,
    ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
)


def grant(settings: Settings) -> None:
    """Give the roles of the settings their rights; those who have them keep them. Raises AnabranchError."""
    grant_in_kafka(settings.kafka, settings.roles)
    if settings.roles.worker:
        grant_in_cassandra(settings.cassandra, settings.roles.worker, "SELECT", "MODIFY")
    if settings.roles.http:
        grant_in_cassandra(settings.cassandra, settings.roles.http, "SELECT")


def kafka_rights(group: str, roles: Roles) -> Iterator[ACL]:
    """The entries of Kafka's access control lists.

    group  the workers' consumer group
    """
    read, write = ACLOperation.READ, ACLOperation.WRITE
    if roles.worker:
        yield from (_allow(roles.worker, read, topic) for topic in (*EVENTS, INTERACTIONS, SHOWN))
        written = (INTERACTIONS, *ANSWERS, SHOWN, OUTCOMES, FORGOTTEN, REJECTED, QUEUE, DECISIONS)
        yield from (_allow(roles.worker, write, topic) for topic in written)
        yield from (_allow(roles.worker, each, ITEMS, pattern=PREFIXED) for each in (read, write))
        yield _allow(roles.worker, read, group, ResourceType.GROUP)
    if roles.producer:
        yield from (_allow(roles.producer, write, topic) for topic in EVENTS)
    if roles.consumer:
        yield from (_allow(roles.consumer, read, topic) for topic in (*ANSWERS, FORGOTTEN))
        mine = f"{roles.consumer}-"
        yield _allow(roles.consumer, read, mine, ResourceType.GROUP, PREFIXED)
    if roles.http:
        yield from (_allow(roles.http, read, topic) for topic in (INTERACTIONS, *ANSWERS, OUTCOMES, QUEUE, DECISIONS))
        yield _allow(roles.http, read, ITEMS, pattern=PREFIXED)
        yield from (_allow(roles.http, write, topic) for topic in (*EVENTS, SHOWN))


def grant_in_kafka(kafka: Kafka, roles: Roles) -> None:
    """Add what is missing to the access control lists, and return once that is in force. Raises AnabranchError."""
    rights = list(kafka_rights(kafka.group, roles))
    if not rights:
        return
    with connections.kafka_admin(kafka) as admin:
        failed = admin.create_acls(rights)["failed"]
        if failed:
            reason = failed[0].__name__
            raise KafkaUnavailable(f"Kafka at {kafka.address} did not let {kafka.username!r} grant rights: {reason}")
        _wait_until_in_force(admin, set(rights), kafka)


def _wait_until_in_force(admin: KafkaAdminClient, rights: set[ACL], kafka: Kafka) -> None:
    """Brokers hear of new rights a moment after they are granted, and of new topics before: until then, they refuse."""
    deadline = time.monotonic() + IN_FORCE_SECONDS
    while lacking := rights - set(admin.describe_acls(EVERY_RIGHT)[0]):
        if time.monotonic() > deadline:
            raise KafkaUnavailable(
                f"Kafka at {kafka.address} does not know {len(lacking)} of {len(rights)} rights"
                f" {IN_FORCE_SECONDS:.0f} s after they were granted"
            )
        time.sleep(0.05)


def grant_in_cassandra(cassandra: Cassandra, role: str, *rights: str) -> None:
    """Give a role rights on the rows of our keyspace: SELECT, MODIFY. Raises StoreUnavailable."""
    with connections.cassandra(cassandra) as session:
        for right in rights:
            session.execute(f'GRANT {right} ON KEYSPACE {cassandra.keyspace} TO "{role}"')


def _allow(
    user: str,
    operation: ACLOperation,
    name: str,
    kind: ResourceType = ResourceType.TOPIC,
    pattern: ACLResourcePatternType = ACLResourcePatternType.LITERAL,
) -> ACL:
    return ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name, pattern))
