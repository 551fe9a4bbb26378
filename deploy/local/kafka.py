"""Kafka as one process: broker and controller in one (KRaft), no ZooKeeper."""

import subprocess
from pathlib import Path

from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from deploy.local.credentials import write_private
from deploy.local.machine import QUICK_JAVA
from streams.adapters import connections
from streams.errors import KafkaUnavailable
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
    machine = [HEAP, QUICK_JAVA, "-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError"]
    return ["java", *machine, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{jars}/*", main, *arguments]


def configure(settings: Kafka, folder: Path, secrets: Path | None = None) -> Path:
    """Write `server.properties`; the path of the file.

    secrets  the folder of `credentials`, for a broker that lets in only those it knows
    """
    file = folder / "server.properties"
    protocol = "SASL_SSL" if secrets else "PLAINTEXT"
    listeners = f"{protocol}://{settings.host}:{settings.port}"
    controller = f"CONTROLLER://{settings.host}:{settings.controller_port}"
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{settings.host}:{settings.controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{listeners},{controller}",
        "advertised.listeners": listeners,
        "inter.broker.listener.name": protocol,
        "listener.security.protocol.map": f"{protocol}:{protocol},CONTROLLER:{'SSL' if secrets else 'PLAINTEXT'}",
        "log.dirs": str(folder / "data"),
        **TUNING,
        **(_secured(settings, secrets) if secrets else {}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_private(file, "".join(f"{key}={value}\n" for key, value in values.items()).encode())
    (folder / "log4j2.properties").write_text(
        "rootLogger.level=warn\nrootLogger.appenderRef.out.ref=out\nappender.out.type=Console\nappender.out.name=out\n"
        "appender.out.layout.type=PatternLayout\nappender.out.layout.pattern=%d %p %c: %m%n\n"
    )
    return file


def _secured(settings: Kafka, secrets: Path) -> dict[str, str]:
    """Users come in by password over TLS, and may do what access control lists say; the controller asks the broker for
    its certificate. The administrator is known from this file, so that there is somebody to make the other users."""
    password = settings.password.get_secret_value() if settings.password else ""
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
    admin = f'username="{settings.username}" password="{password}" user_{settings.username}="{password}"'
    return {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{plain} required {admin};",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{scram} required;",
        "listener.name.controller.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(secrets / "kafka.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(secrets / "ca.pem"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{settings.username};User:CN=kafka",
    }


def add_user(admin: Kafka, user: Kafka) -> None:
    """Let a user in by its password (SCRAM), from now on. Raises KafkaUnavailable."""
    assert user.username is not None and user.password is not None
    password = user.password.get_secret_value()
    credential = UserScramCredentialUpsertion(user.username, ScramMechanism.SCRAM_SHA_512, password)
    with connections.kafka_admin(admin) as client:
        problem = client.alter_user_scram_credentials([credential])[user.username]
    if problem:
        raise KafkaUnavailable(f"Kafka at {admin.address} did not take user {user.username!r}: {problem}")


def command(settings: Kafka, jars: Path, folder: Path, secrets: Path | None = None) -> list[str]:
    """How to start it; formats the data folder first if it is new."""
    properties = configure(settings, folder, secrets)
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
    patience = {"request_timeout_ms": 3_000, "bootstrap_timeout_ms": 3_000}
    try:
        with connections.kafka_admin(settings, **patience) as admin:
            admin.list_topics()
        return None
    except KafkaUnavailable as error:
        return str(error)
