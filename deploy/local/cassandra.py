"""Cassandra as one process."""

from pathlib import Path

from cassandra.cluster import Session
from pydantic import SecretStr

from deploy.local.machine import QUICK_JAVA
from streams.adapters import connections
from streams.errors import StoreUnavailable
from streams.settings import Cassandra

HEAP = "-Xmx1g"
# Memtables are cut from slabs of 1 MiB. In regions of as much, which is what so small a heap gets, each of them takes
# two to itself: 400 slabs filled the heap, and Cassandra ended for want of memory. Also in docker-compose.yml.
REGION = "-XX:G1HeapRegionSize=4m"
# For a small machine, and batches of many users. Nothing is acknowledged before it is on disk: with `periodic`, a
# killed process forgets what it acknowledged in its last 100 ms, mapped memory or not, as it has not yet noted there
# how far its log goes (CASSANDRA-13987); elsewhere replicas make up for that, but here is one node. One whose disk is
# full ends, and can be started once there is room: with `stop` it stays as a process that serves nobody. Also in
# docker-compose.yml.
TUNING = {
    "commitlog_sync": "batch",
    "commitlog_segment_size": "16MiB",
    "commit_failure_policy": "die",
    "disk_failure_policy": "die",
    "concurrent_reads": 16,
    "concurrent_writes": 16,
    "memtable_heap_space": "128MiB",
    "memtable_offheap_space": "128MiB",
    "file_cache_size": "64MiB",
    "networking_cache_size": "32MiB",
    "batch_size_warn_threshold": "50KiB",
    "unlogged_batch_across_partitions_warn_threshold": 64,  # partitions of the same replicas share a batch
    "auto_snapshot": "false",
}
# What Java 17 closes and Cassandra needs open: the JDK modules of its own jvm17-server.options.
EXPORTS = [
    "java.base/jdk.internal.misc", "java.base/jdk.internal.ref", "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi", "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server", "java.sql/java.sql", "java.base/java.lang.ref", "java.base/jdk.internal.reflect",
    "jdk.unsupported/sun.misc", "jdk.compiler/com.sun.tools.javac.file",
]  # fmt: skip
OPENS = [
    "java.base/java.lang.module", "java.base/jdk.internal.loader", "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect", "java.base/jdk.internal.math", "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar", "jdk.management/com.sun.management.internal", "java.base/sun.nio.ch",
    "java.base/java.io", "java.base/java.lang", "java.base/java.lang.reflect", "java.base/java.math",
    "java.base/java.net", "java.base/java.nio", "java.base/java.nio.charset", "java.base/java.nio.file.spi",
    "java.base/java.time", "java.base/java.util", "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic", "java.base/java.util.concurrent.locks",
    "java.rmi/sun.rmi.transport.tcp",
]  # fmt: skip


def configure(settings: Cassandra, folder: Path, secrets: Path | None = None) -> Path:
    """Write `cassandra.yaml`; the path of the file.

    secrets  the folder of `credentials`, for a server that lets in only those it knows
    """
    file = folder / "cassandra.yaml"
    data = folder / "data"
    lines = {
        "cluster_name": "anabranch",
        "num_tokens": 1,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "data_file_directories": f"[{data / 'data'}]",
        "commitlog_directory": data / "commitlog",
        "saved_caches_directory": data / "saved_caches",
        "hints_directory": data / "hints",
        "cdc_raw_directory": data / "cdc_raw",
        "listen_address": settings.host,
        "rpc_address": settings.host,
        "native_transport_port": settings.port,
        "storage_port": settings.storage_port,
        "endpoint_snitch": "SimpleSnitch",
        **TUNING,
    }
    text = "".join(f"{key}: {value}\n" for key, value in (lines | (_secured(secrets) if secrets else {})).items())
    seed = f"{settings.host}:{settings.storage_port}"
    text += (
        "seed_provider:\n  - class_name: org.apache.cassandra.locator.SimpleSeedProvider\n"
        f'    parameters:\n      - seeds: "{seed}"\n'
    )
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    (folder / "logback.xml").write_text(
        '<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender"><encoder>'
        "<pattern>%date %level %logger{0}: %msg%n</pattern></encoder></appender>"
        '<root level="WARN"><appender-ref ref="out"/></root></configuration>\n'
    )
    return file


def _secured(secrets: Path) -> dict[str, str]:
    """Users come in by password over TLS and may do what their role may; other nodes come in by certificate."""
    pem = "ssl_context_factory: {class_name: org.apache.cassandra.security.PEMBasedSslContextFactory}"
    files = f"keystore: {secrets / 'cassandra.pem'}, truststore: {secrets / 'ca.pem'}"
    return {
        "authenticator": "PasswordAuthenticator",
        "authorizer": "CassandraAuthorizer",
        "role_manager": "CassandraRoleManager",
        "client_encryption_options": f"{{enabled: true, optional: false, {pem}, {files}}}",
        "server_encryption_options": f"{{internode_encryption: all, require_client_auth: true, {pem}, {files}}}",
    }


def take_over(settings: Cassandra) -> None:
    """Make our administrator, as the user whom every new Cassandra knows, and whose password everybody knows."""
    known = settings.model_copy(update={"username": "cassandra", "password": SecretStr("cassandra")})
    try:
        with connections.cassandra(known, request_timeout=3) as session:
            _set_role(session, settings, superuser=True)
    except StoreUnavailable:
        return  # it is not up yet; or somebody has taken over, and that user is locked out


def lock_out_the_known_user(settings: Cassandra) -> None:
    """Nobody comes in any more with the password that everybody knows. Raises StoreUnavailable."""
    with connections.cassandra(settings) as session:
        session.execute("ALTER ROLE cassandra WITH SUPERUSER = false AND LOGIN = false")


def add_user(admin: Cassandra, user: Cassandra) -> None:
    """Let a user in by its password. Raises StoreUnavailable."""
    with connections.cassandra(admin) as session:
        _set_role(session, user, superuser=False)


def _set_role(session: Session, user: Cassandra, *, superuser: bool) -> None:
    assert user.password is not None
    session.execute(f'CREATE ROLE IF NOT EXISTS "{user.username}"')
    session.execute(
        f'ALTER ROLE "{user.username}" WITH SUPERUSER = {superuser} AND LOGIN = true AND PASSWORD = %s',
        (user.password.get_secret_value(),),
    )


def command(settings: Cassandra, jars: Path, folder: Path, secrets: Path | None = None) -> list[str]:
    """How to start it."""
    yaml = configure(settings, folder, secrets)
    return [
        "java",
        HEAP,
        QUICK_JAVA,
        "-Xms256m",
        "-XX:+UseG1GC",
        REGION,
        "-XX:MaxDirectMemorySize=256m",
        "-XX:+ExitOnOutOfMemoryError",
        *(f"--add-exports={each}=ALL-UNNAMED" for each in EXPORTS),
        *(f"--add-opens={each}=ALL-UNNAMED" for each in OPENS),
        "-Djdk.attach.allowAttachSelf=true",
        f"-Dcassandra.config=file://{yaml}",
        f"-Dlogback.configurationFile={folder / 'logback.xml'}",
        f"-Dcassandra.storagedir={folder / 'data'}",
        f"-Dcassandra.logdir={folder / 'data' / 'logs'}",
        "-Dcassandra.ring_delay_ms=0",
        "-Dcassandra.shutdown_announce_in_ms=0",  # there are no other nodes to tell
        "-Dcassandra.skip_wait_for_gossip_to_settle=0",
        "-Dcassandra.superuser_setup_delay_ms=0",
        "-Dcassandra-foreground=yes",
        "-cp",
        f"{jars}/*",
        "org.apache.cassandra.service.CassandraDaemon",
    ]


def ailment(settings: Cassandra) -> str | None:
    """What keeps it from serving, or None when it is well."""
    try:
        with connections.cassandra(settings, request_timeout=3) as session:
            session.execute("SELECT release_version FROM system.local")
        return None
    except StoreUnavailable as error:
        return str(error)
