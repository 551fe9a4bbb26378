"""Brings Cassandra's keyspace to the schema this worker needs."""

import re
from pathlib import Path

from cassandra.cluster import Session
from msgspec import Struct

from streams.adapters import connections
from streams.errors import StoreMoved, StoreUnavailable
from streams.events import ITEMS
from streams.settings import Cassandra

SCHEMA = Path(__file__).parents[2] / "deploy" / "cassandra" / "schema.cql"
VERSIONS = "schema_versions"  # the table that says which steps have been applied
ACTIVE = "active"
SWITCHING = "users and items are being moved to another keyspace; if nobody does: anabranch rebuild"
HOLDING = ("users", "items", "owners", "forgotten")
# Names of keyspaces and tables cannot be parameters of a statement. Ours are constants, or of a pattern that settings
# have: hence `noqa: S608`.


class Active(Struct, frozen=True):
    """Which keyspace holds users and items, and which topic the log of items.

    switching  others are about to take their place: nobody is to begin with these
    """

    keyspace: str
    items_topic: str
    switching: bool = False


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
    """Apply the steps that the keyspace lacks, and the one that holds the users; the version they then have.

    Raises StoreUnavailable.
    """
    with connections.cassandra(settings) as session:
        return bring_up(session, settings)


def bring_up(session: Session, settings: Cassandra) -> int:
    """As `migrate`, over a connection there is.

    Where nothing is lacking it only reads: a worker needs no right to change the schema once `anabranch prepare` has.
    """
    present = _brought_up(session, settings, settings.keyspace)
    keyspace = active(session, settings.keyspace).keyspace
    return present if keyspace == settings.keyspace else _brought_up(session, settings, keyspace)


def check(session: Session, settings: Cassandra, keyspace: str) -> None:
    """Raises StoreUnavailable where a keyspace lacks what this program needs."""
    if (present := _version(session, keyspace)) < newest():
        raise StoreUnavailable(
            f"Cassandra at {settings.address}: keyspace {keyspace!r} has schema version {present}, and this program"
            f" needs {newest()}; as an administrator: anabranch prepare"
        )


def create_next(settings: Cassandra) -> str:
    """A new keyspace to rebuild users and items in; its name. Raises StoreUnavailable."""
    with connections.cassandra(settings) as session:
        keyspace = f"{settings.keyspace}_{max(_rebuilt(session, settings.keyspace), default=1) + 1}"
        _apply(session, settings, keyspace, 0)
        return keyspace


def drop_unused(settings: Cassandra) -> list[str]:
    """Drop the keyspaces that rebuilding has made and that do not hold the users; their names.

    Raises StoreUnavailable; StoreMoved while one of them is being put in place.
    """
    with connections.cassandra(settings) as session:
        now = active(session, settings.keyspace)
        if now.switching:
            raise StoreMoved(SWITCHING)
        unused = [name for name in _rebuilt(session, settings.keyspace).values() if name != now.keyspace]
        for name in unused:
            session.execute(f"DROP KEYSPACE {name}")
        return unused


def _rebuilt(session: Session, keyspace: str) -> dict[int, str]:
    """Number -> the keyspace of that number, of all that were made beside this one."""
    pattern = re.compile(rf"{keyspace}_(\d+)")
    return {
        int(found[1]): name for name in sorted(session.cluster.metadata.keyspaces) if (found := pattern.fullmatch(name))
    }


def holder(settings: Cassandra) -> Active:
    """Where users and items are. Raises StoreUnavailable."""
    with connections.cassandra(settings) as session:
        return active(session, settings.keyspace)


def active(session: Session, keyspace: str) -> Active:
    """Where users and items are, as the keyspace of the settings says."""
    known = session.cluster.metadata.keyspaces.get(keyspace)
    if known is None or ACTIVE not in known.tables:
        return Active(keyspace, ITEMS)
    row = session.execute(f"SELECT * FROM {keyspace}.{ACTIVE} WHERE name = 'anabranch'").one()  # noqa: S608
    if row is None:
        return Active(keyspace, ITEMS)
    # Before the step of the schema that adds it, there is no such column.
    return Active(row.keyspace_name, getattr(row, "items_topic", None) or ITEMS, bool(row.switching))


def activate(settings: Cassandra, now: Active) -> None:
    """Say where users and items are. Raises StoreUnavailable."""
    with connections.cassandra(settings) as session:
        session.execute(
            f"INSERT INTO {settings.keyspace}.{ACTIVE} (name, keyspace_name, items_topic, switching)"  # noqa: S608
            " VALUES ('anabranch', %s, %s, %s)",
            (now.keyspace, now.items_topic, now.switching),
        )


def empty(settings: Cassandra, keyspace: str) -> None:
    """Erase the users and items of a keyspace that no longer holds them: drop it, unless it is that of the settings."""
    with connections.cassandra(settings) as session:
        if keyspace != settings.keyspace:
            session.execute(f"DROP KEYSPACE IF EXISTS {keyspace}")
            return
        for table in HOLDING:
            session.execute(f"TRUNCATE {keyspace}.{table}")


def _brought_up(session: Session, settings: Cassandra, keyspace: str) -> int:
    present = _version(session, keyspace)
    return present if present >= newest() else _apply(session, settings, keyspace, present)


def _apply(session: Session, settings: Cassandra, keyspace: str, present: int) -> int:
    session.execute(f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication(settings)}")
    session.set_keyspace(keyspace)
    session.execute(f"CREATE TABLE IF NOT EXISTS {VERSIONS} (name text, version int, PRIMARY KEY (name, version))")
    for version, statements in steps(SCHEMA.read_text()).items():
        if version > present:
            for statement in statements:
                session.execute(statement)
            session.execute(f"INSERT INTO {VERSIONS} (name, version) VALUES ('anabranch', %s)", (version,))  # noqa: S608
            present = version
    return present


def replication(settings: Cassandra) -> dict[str, str | int]:
    """How many copies there are of a row, and where, in Cassandra's words.

    >>> replication(Cassandra(datacenters={"berlin": 3, "porto": 2}, datacenter="berlin"))
    {'class': 'NetworkTopologyStrategy', 'berlin': 3, 'porto': 2}
    """
    if settings.datacenters:
        return {"class": "NetworkTopologyStrategy", **settings.datacenters}
    return {"class": "SimpleStrategy", "replication_factor": settings.replication_factor}


def _version(session: Session, keyspace: str) -> int:
    known = session.cluster.metadata.keyspaces.get(keyspace)
    if known is None or VERSIONS not in known.tables:
        return 0
    rows = session.execute(f"SELECT version FROM {keyspace}.{VERSIONS} WHERE name = 'anabranch'")  # noqa: S608
    return max((row.version for row in rows), default=0)
