"""Brings Cassandra's keyspace to the schema this worker needs."""

import re
from pathlib import Path

from cassandra import DriverException
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import RoundRobinPolicy

from streams.errors import StoreUnavailable
from streams.settings import Cassandra

SCHEMA = Path(__file__).parents[2] / "deploy" / "cassandra" / "schema.cql"


def steps(text: str) -> dict[int, list[str]]:
    """Version -> its statements, in order.

    >>> steps("-- version 1\\nCREATE TABLE a (x int); -- of x\\n-- version 2\\nDROP TABLE a;")
    {1: ['CREATE TABLE a (x int)'], 2: ['DROP TABLE a']}
    """
    parts = re.split(r"^-- version (\d+)\s*$", text, flags=re.MULTILINE)
    versions = zip(map(int, parts[1::2]), parts[2::2], strict=True)
    return {version: _statements(body) for version, body in versions}


def _statements(body: str) -> list[str]:
    without_comments = re.sub(r"--.*$", "", body, flags=re.MULTILINE)
    return [statement.strip() for statement in without_comments.split(";") if statement.strip()]


def migrate(settings: Cassandra) -> int:
    """Apply the steps that the keyspace lacks; the version it then has. Raises StoreUnavailable."""
    profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), request_timeout=30)
    cluster = Cluster([settings.host], port=settings.port, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    try:
        return _apply(cluster.connect(), settings)
    except (NoHostAvailable, DriverException) as error:
        raise StoreUnavailable(f"Cassandra at {settings.host}:{settings.port}: {error}") from error
    finally:
        cluster.shutdown()


def _apply(session: Session, settings: Cassandra) -> int:
    session.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {settings.keyspace} WITH replication ="
        f" {{'class': 'SimpleStrategy', 'replication_factor': {settings.replication_factor}}}"
    )
    session.set_keyspace(settings.keyspace)
    session.execute("CREATE TABLE IF NOT EXISTS schema_versions (name text, version int, PRIMARY KEY (name, version))")
    rows = session.execute("SELECT version FROM schema_versions WHERE name = 'anabranch'")
    present = max((row.version for row in rows), default=0)
    for version, statements in steps(SCHEMA.read_text()).items():
        if version > present:
            for statement in statements:
                session.execute(statement)
            session.execute("INSERT INTO schema_versions (name, version) VALUES ('anabranch', %s)", (version,))
            present = version
    return present
