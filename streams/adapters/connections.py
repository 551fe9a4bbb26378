"""Short connections to Kafka and Cassandra, for a few questions and orders; what goes wrong is said in full."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from cassandra import DriverException, Unauthorized
from cassandra.cluster import NoHostAvailable, Session
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from streams.adapters import clients
from streams.adapters.refusal import refusal
from streams.errors import KafkaUnavailable, StoreUnavailable
from streams.settings import Cassandra, Kafka

T = TypeVar("T")


def kafka(kind: Callable[..., T], to: Kafka | str, **options: Any) -> T:
    """A client of kafka-python, which the caller closes. Raises KafkaUnavailable.

    to  the settings; or only host:port, for a broker that lets anybody in
    """
    try:
        return kind(**{"bootstrap_timeout_ms": 10_000} | clients.kafka(to) | options)
    except KafkaError as error:
        reason = refusal(to, error) if isinstance(to, Kafka) else f"Kafka at {to}: {error}"
        raise KafkaUnavailable(reason) from error


@contextmanager
def kafka_admin(to: Kafka, **options: Any) -> Iterator[KafkaAdminClient]:
    """Raises KafkaUnavailable, also for an order that Kafka refuses."""
    admin = kafka(KafkaAdminClient, to, **options)
    try:
        yield admin
    except KafkaError as error:
        raise KafkaUnavailable(f"Kafka at {to.address}: {error}") from error
    finally:
        admin.close()


@contextmanager
def cassandra(to: Cassandra, *, request_timeout: float = 30.0) -> Iterator[Session]:
    """Raises StoreUnavailable, also for a statement that our role may not execute."""
    cluster = clients.cassandra(to, request_timeout=request_timeout)
    try:
        with told_in_full(to):
            yield cluster.connect()
    finally:
        cluster.shutdown()


@contextmanager
def told_in_full(to: Cassandra) -> Iterator[None]:
    """What the driver raises, as StoreUnavailable that says what to do."""
    try:
        yield
    except Unauthorized as error:
        raise StoreUnavailable(f"Cassandra at {to.address}: {error}; as an administrator: anabranch prepare") from error
    except (NoHostAvailable, DriverException) as error:
        raise StoreUnavailable(refusal(to, error)) from error
