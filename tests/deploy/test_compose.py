"""docker-compose.yml: the same servers and settings as `anabranch up`."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local import cassandra, kafka, triton
from streams.settings import Cassandra, Kafka, Metrics, Settings, Triton, Worker, load

REPOSITORY = Path(__file__).parents[2]
COMPOSE = REPOSITORY / "docker-compose.yml"


def with_defaults(text: str) -> str:
    """The text with each `${NAME:-default}` as it is where NAME is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(with_defaults(COMPOSE.read_text()))["services"]
    return services


@pytest.fixture
def in_container(services: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings as the worker's container has them."""
    for key, value in services["worker"]["environment"].items():
        monkeypatch.setenv(key, str(value))
    monkeypatch.setenv("ANABRANCH_HOME", str(tmp_path))
    return load()


def test_everything_that_stays_up_tells_whether_it_is_well(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"prepare"}


def test_the_worker_starts_when_topics_tables_and_models_are_there(services: dict[str, Any]) -> None:
    assert services["worker"]["depends_on"] == {
        "prepare": {"condition": "service_completed_successfully"},
        "triton": {"condition": "service_healthy"},
    }


def test_the_worker_finds_the_other_services(in_container: Settings, services: dict[str, Any]) -> None:
    assert in_container.kafka.host in services
    assert in_container.cassandra.host in services
    assert in_container.triton.host in services
    told_to_clients = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"INSIDE://{in_container.kafka.address}" in told_to_clients.split(",")


def test_all_else_is_as_without_containers(in_container: Settings) -> None:
    assert in_container.worker == Worker()
    assert in_container.cassandra == Cassandra(host="cassandra")
    assert in_container.triton == Triton(host="triton")
    assert in_container.kafka == Kafka(host="kafka", port=19092)


def test_the_usual_ports_are_published_on_loopback_alone(services: dict[str, Any]) -> None:
    published = {port for service in services.values() for port in service.get("ports", [])}
    assert published == {
        f"127.0.0.1:{port}:{port}"
        for port in (
            Kafka().port,
            Cassandra().port,
            Triton().http_port,
            Triton().grpc_port,
            Triton().metrics_port,
            Metrics().port,
        )
    }


def test_kafka_is_set_as_the_local_one(services: dict[str, Any]) -> None:
    environment = services["kafka"]["environment"]
    found = {key: str(environment["KAFKA_" + key.upper().replace(".", "_")]) for key in kafka.TUNING}
    assert found == kafka.TUNING
    assert environment["KAFKA_HEAP_OPTS"] == kafka.HEAP


def test_cassandra_is_set_as_the_local_one(services: dict[str, Any]) -> None:
    options = services["cassandra"]["environment"]["JVM_EXTRA_OPTS"]
    found = dict(re.findall(r"-Dcassandra\.settings\.(\w+)=(\S+)", options))
    assert found == {key: str(value) for key, value in cassandra.TUNING.items()}


def test_triton_serves_the_same_models_in_the_same_way(services: dict[str, Any]) -> None:
    there = services["triton"]
    local = triton.command(Triton(), Path("/any"))
    assert {"--exit-on-error=false", "--strict-readiness=true"} <= set(there["command"]) & set(local)
    assert there["volumes"] == ["./triton_models:/models:ro"]
    assert (REPOSITORY / "triton_models").samefile(triton.MODELS)


def test_what_is_built_and_copied_exists(services: dict[str, Any]) -> None:
    for service in ("worker", "triton"):
        dockerfile = REPOSITORY / services[service]["build"]["dockerfile"]
        sent = dockerfile.with_name(dockerfile.name + ".dockerignore").read_text()
        for copied in re.findall(r"^COPY (.+) \S+$", dockerfile.read_text(), flags=re.MULTILINE):
            for name in copied.split():
                assert (REPOSITORY / name).exists()
                assert f"!{name}" in sent.splitlines() or name.endswith(".lock")


def test_docker_compose_reads_it() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("there is no `docker compose` here")
    for more in ([], ["-f", "deploy/docker/gpu.yml"]):
        command = ["docker", "compose", "-f", "docker-compose.yml", *more, "config", "--quiet"]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
