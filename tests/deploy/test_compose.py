"""docker-compose.yml: the same servers and settings as `anabranch up`."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from deploy.local import cassandra, kafka, triton
from streams.adapters.cassandra import CassandraStore
from streams.settings import Cassandra, Http, Kafka, Metrics, Settings, Triton, Worker, load

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
    assert {name for name, service in services.items() if "healthcheck" not in service} == {
        "prepare",
        "trainer",
    }


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
            Http().port,
            9090,  # Prometheus
            3000,  # Grafana
        )
    }


def test_what_needs_more_than_the_repository_is_started_on_demand(services: dict[str, Any]) -> None:
    on_demand = {name: service["profiles"] for name, service in services.items() if "profiles" in service}
    assert on_demand == {
        "trainer": ["train"],
        "http": ["http"],
        "prometheus": ["observability"],
        "grafana": ["observability"],
    }


def test_the_http_server_lets_in_those_with_a_token_and_looks_at_the_worker(
    services: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = services["http"]["environment"]
    assert environment.keys() > services["worker"]["environment"].keys()
    assert environment["ANABRANCH_HTTP__TOKEN_FILE"] == f"/run/secrets/{services['http']['secrets'][0]}"
    (tmp_path / "tokens").touch()
    for key, value in (environment | {"ANABRANCH_HTTP__TOKEN_FILE": tmp_path / "tokens"}).items():
        monkeypatch.setenv(key, str(value))
    http = load().http
    assert http.workers == (f"worker:{Metrics().port}",) and http.port == Http().port


def test_prometheus_asks_services_at_the_ports_where_they_show_metrics(services: dict[str, Any]) -> None:
    settings = yaml.safe_load((REPOSITORY / "deploy" / "docker" / "prometheus.yml").read_text())
    asked = [each for job in settings["scrape_configs"] for each in job["dns_sd_configs"]]
    ports = {"worker": Metrics().port, "http": Http().port, "triton": Triton().metrics_port}
    assert {name: each["port"] for each in asked for name in each["names"]} == ports
    assert ports.keys() <= services.keys()


def test_grafana_reads_from_prometheus_and_finds_the_dashboards(services: dict[str, Any]) -> None:
    provisioned = REPOSITORY / "deploy" / "docker" / "grafana"
    (source,) = yaml.safe_load((provisioned / "datasources" / "prometheus.yml").read_text())["datasources"]
    (boards,) = yaml.safe_load((provisioned / "dashboards" / "anabranch.yml").read_text())["providers"]
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert host in services and f"127.0.0.1:{port}:{port}" in services[host]["ports"]
    mounted = {target: source for source, target, *_ in (each.split(":") for each in services["grafana"]["volumes"])}
    assert mounted[boards["options"]["path"]] == "./deploy/grafana"
    assert mounted["/etc/grafana/provisioning"] == "./deploy/docker/grafana"


def test_a_worker_has_time_to_finish_what_it_has_in_hand(services: dict[str, Any]) -> None:
    patience = signature(CassandraStore.connect).parameters["give_up_after"].default
    assert float(services["worker"]["stop_grace_period"].removesuffix("s")) > patience


def test_kafka_is_set_as_the_local_one(services: dict[str, Any]) -> None:
    environment = services["kafka"]["environment"]
    found = {key: str(environment["KAFKA_" + key.upper().replace(".", "_")]) for key in kafka.TUNING}
    assert found == kafka.TUNING
    assert environment["KAFKA_HEAP_OPTS"] == kafka.HEAP


def test_cassandra_is_set_as_the_local_one(services: dict[str, Any]) -> None:
    options = services["cassandra"]["environment"]["JVM_EXTRA_OPTS"]
    found = dict(re.findall(r"-Dcassandra\.settings\.(\w+)=(\S+)", options))
    assert found == {key: str(value) for key, value in cassandra.TUNING.items()}
    assert cassandra.REGION in options.split()


def test_triton_serves_the_same_models_in_the_same_way(services: dict[str, Any]) -> None:
    dockerfile = (REPOSITORY / services["triton"]["build"]["dockerfile"]).read_text()
    local = triton.command(Triton(), Path("/any"), Path("/shipped"))
    command = re.search(r"^CMD (.+)$", dockerfile.replace("\\\n", ""), re.MULTILINE)
    assert command is not None
    places = ("--backend-directory", "--grpc-", "--http-", "--metrics-", "--model-repository")
    found, wanted = (
        [each for each in said[1:] if not each.startswith(places)] for said in (json.loads(command[1]), local)
    )
    assert found == wanted
    assert "--model-repository=/models" in command[1] and "\nCOPY triton_models /models\n" in dockerfile
    assert (REPOSITORY / "triton_models").samefile(triton.MODELS)


def test_what_the_trainer_ships_lies_where_triton_loads_from(
    services: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, server = services["trainer"], services["triton"]
    assert trainer["image"] == server["image"] and trainer["volumes"] == server["volumes"]
    for key, value in trainer["environment"].items():
        monkeypatch.setenv(key, str(value))
    models = load().models_folder
    assert server["volumes"] == [f"models:{models}"]
    dockerfile = (REPOSITORY / server["build"]["dockerfile"]).read_text()
    assert f'"--model-repository={models}/repository"' in dockerfile
    [made] = re.findall(r"^RUN install --directory --owner 10001 (.+)$", dockerfile, re.MULTILINE)
    assert {str(models.parent), str(models), f"{models}/repository"} == set(made.split())
    assert load().http.workers == (f"worker:{Metrics().port}",)


def test_the_worker_goes_without_what_only_developers_need() -> None:
    left_out = re.search(r"grep -vE '(.+)'", (REPOSITORY / "deploy" / "docker" / "worker.Dockerfile").read_text())
    assert left_out is not None
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wanted = [each for extra in declared["project"]["optional-dependencies"].values() for each in extra]
    for requirement in set(declared["dependency-groups"]["dev"]) - set(wanted):
        assert re.match(left_out[1], f"{Requirement(requirement).name}=="), requirement


WITHOUT = """
import importlib.metadata, re, sys

left_out = re.compile(sys.argv[1])
packages = importlib.metadata.packages_distributions()
absent = {name for name, by in packages.items() if all(left_out.match(f"{each.lower()}==") for each in by)}


class Absent:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"the image has no {name}")


assert {"torch", "pytest"} <= absent
sys.meta_path.insert(0, Absent())
import streams.app, streams.cli, streams.embedding_anew, streams.explaining, streams.moderating, streams.privacy
import streams.processes, streams.rebuild, streams.serve, streams.verify

streams.app.ContentModerator()
"""
"""As in the worker's image: what it leaves out cannot be imported."""


def test_the_image_of_the_worker_has_all_that_its_commands_import() -> None:
    dockerfile = (REPOSITORY / "deploy" / "docker" / "worker.Dockerfile").read_text()
    left_out, *weights = re.findall(r"grep (?:-vE )?'(.+)' \S+\.lock", dockerfile)
    locked = (REPOSITORY / "weights.lock").read_text()
    others = [name for name in re.findall(r"^(\S+)==", locked, re.MULTILINE) if f"^{name}==" not in weights]
    absent = f"{left_out}|^({'|'.join(map(re.escape, others))})=="
    done = subprocess.run([sys.executable, "-c", WITHOUT, absent], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["worker", "triton"])
def test_an_image_runs_as_a_user_who_is_not_root_and_has_a_number(name: str) -> None:
    dockerfile = (REPOSITORY / "deploy" / "docker" / f"{name}.Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == ["10001"]


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
