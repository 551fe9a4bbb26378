"""Kafka as one process: broker and controller in one (KRaft), no ZooKeeper."""

import subprocess
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from streams.settings import Kafka

HEAP = "-Xmx512m"
# One broker, few threads, events larger than their limit taken in (they are dead-lettered). Also in docker-compose.yml.
TUNING = {
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "auto.create.topics.enable": "false",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "message.max.bytes": str(4 * 1024 * 1024),
    "replica.fetch.max.bytes": str(4 * 1024 * 1024),
}


def java(jars: Path, logging: Path, main: str, *arguments: str) -> list[str]:
    """The command line of one of Kafka's programs."""
    memory = [HEAP, "-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError"]
    return ["java", *memory, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{jars}/*", main, *arguments]


def configure(settings: Kafka, folder: Path) -> Path:
    """Write `server.properties`; the path of the file."""
    file = folder / "server.properties"
    listeners = f"PLAINTEXT://{settings.host}:{settings.port}"
    controller = f"CONTROLLER://{settings.host}:{settings.controller_port}"
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{settings.host}:{settings.controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{listeners},{controller}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(folder / "data"),
        **TUNING,
    }
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    (folder / "log4j2.properties").write_text(
        "rootLogger.level=warn\nrootLogger.appenderRef.out.ref=out\nappender.out.type=Console\nappender.out.name=out\n"
        "appender.out.layout.type=PatternLayout\nappender.out.layout.pattern=%d %p %c: %m%n\n"
    )
    return file


def command(settings: Kafka, jars: Path, folder: Path) -> list[str]:
    """How to start it; formats the data folder first if it is new."""
    properties = configure(settings, folder)
    logging = folder / "log4j2.properties"
    if not (folder / "data" / "meta.properties").exists():
        tool = java(jars, logging, "kafka.tools.StorageTool")
        made = subprocess.run([*tool, "random-uuid"], capture_output=True, text=True, check=True).stdout.split()[-1]
        subprocess.run(
            [*tool, "format", "-t", made, "-c", str(properties), "--ignore-formatted"],
            capture_output=True,
            check=True,
        )
    return java(jars, logging, "kafka.Kafka", str(properties))


def ailment(settings: Kafka) -> str | None:
    """What keeps it from serving, or None when it is well."""
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=settings.bootstrap_servers, request_timeout_ms=3_000, bootstrap_timeout_ms=3_000
        )
    except (KafkaError, OSError, ValueError) as error:
        return f"no answer at {settings.bootstrap_servers}: {error}"
    try:
        admin.list_topics()
        return None
    except KafkaError as error:
        return f"it answers, but lists no topics: {error}"
    finally:
        admin.close()
