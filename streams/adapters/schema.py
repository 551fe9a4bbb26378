"""Brings Cassandra's keyspace to the schema this worker needs."""

import re
from pathlib import Path

from cassandra.cluster import Session

from streams.adapters import connections
from streams.settings import Cassandra

SCHEMA = Path(__file__).parents[2] / "deploy" / "cassandra" / "schema.cql"
VERSIONS = "schema_versions"  # the table that says which steps have been applied
# Names of keyspaces and tables cannot be parameters of a statement. Ours are constants, or of a pattern that settings
# have: hence `noqa: S608`.


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


def newest() -> int:
    """The version this program needs."""
    return max(steps(SCHEMA.read_text()))


def version(settings: Cassandra) -> int:
    """The version the keyspace has; 0 without one. Raises StoreUnavailable."""
    with connections.cassandra(settings) as session:
        return _version(session, settings.keyspace)


def migrate(settings: Cassandra) -> int:
    """Apply the steps that the keyspace lacks; the version it then has. Raises StoreUnavailable.

    Where none is lacking it only reads: a worker needs no right to change the schema once `anabranch prepare` has.
    """
    with connections.cassandra(settings) as session:
        present = _version(session, settings.keyspace)
        return present if present >= newest() else _apply(session, settings, present)


def _apply(session: Session, settings: Cassandra, present: int) -> int:
    session.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {settings.keyspace} WITH replication ="
        f" {{'class': 'SimpleStrategy', 'replication_factor': {settings.replication_factor}}}"
    )
    session.set_keyspace(settings.keyspace)
    session.execute(f"CREATE TABLE IF NOT EXISTS {VERSIONS} (name text, version int, PRIMARY KEY (name, version))")
    for version, statements in steps(SCHEMA.read_text()).items():
        if version > present:
            for statement in statements:
                session.execute(statement)
            session.execute(f"INSERT INTO {VERSIONS} (name, version) VALUES ('anabranch', %s)", (version,))  # noqa: S608
            present = version
    return present


def _version(session: Session, keyspace: str) -> int:
    known = session.cluster.metadata.keyspaces.get(keyspace)
    if known is None or VERSIONS not in known.tables:
        return 0
    rows = session.execute(f"SELECT version FROM {keyspace}.{VERSIONS} WHERE name = 'anabranch'")  # noqa: S608
    return max((row.version for row in rows), default=0)
