"""deploy/k8s: what the API server would take, for programs, settings and ports that exist."""

import copy
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate
import pytest
import yaml
from typer.main import get_command

from deploy.local import triton
from streams.adapters.cassandra import CassandraStore
from streams.cli import app
from streams.settings import Http, Kafka, Metrics, Settings, Triton, load
from streams.topics import TOPICS
from streams.web.health import Health

FOLDER = Path(__file__).parents[2] / "deploy" / "k8s"
OLDEST = "1.30"  # of Kubernetes, with `preStop.sleep`
FILES = ["prepare.yaml", "worker.yaml", "http.yaml", "triton.yaml", "network.yaml"]
PORTS = {
    "worker": {"metrics": Metrics().port},
    "http": {"http": Http().port},
    "triton": {"http": Triton().http_port, "grpc": Triton().grpc_port, "metrics": Triton().metrics_port},
    "prepare": {},
}
OURS = ["prepare", "worker", "http"]
WORKLOADS = ("Deployment", "StatefulSet", "Job")


def read(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


RESOURCES = [each for name in FILES for each in read(name)]
PODS = {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in RESOURCES if each["kind"] in WORKLOADS}


def container(name: str) -> dict[str, Any]:
    (found,) = PODS[name]["containers"]
    return dict(found)


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = (each for each in RESOURCES if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def shared() -> Mapping[str, str]:
    lines = (FOLDER / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def environment(name: str) -> Mapping[str, str]:
    return {**shared(), **{each["name"]: each["value"] for each in container(name)["env"]}}


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As a container has them, with its secrets in a folder."""
    for key, value in environment(request.param).items():
        if value.startswith("/run/secrets/"):
            file = tmp_path / Path(value).name
            file.write_text("secret")
            value = str(file)
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("ANABRANCH_HOME", str(tmp_path))
    return load()


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version().rpartition(".")[0]])
@pytest.mark.parametrize("resource", RESOURCES, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_the_api_server_would_take_it(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("components", [[], ["keda"], ["gpu"], ["models"], ["keda", "gpu", "models"]])
def test_kustomize_puts_it_together(components: list[str], tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no `kubectl` here")
    shutil.copytree(FOLDER, tmp_path / "k8s")
    ours = {"resources": ["./k8s"], "components": [f"./k8s/{each}" for each in components]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(ours))
    made = subprocess.run(["kubectl", "kustomize", tmp_path], capture_output=True, text=True, check=True).stdout
    resources = list(yaml.safe_load_all(made))
    assert {each["metadata"]["namespace"] for each in resources} == {"anabranch"}
    assert ("ScaledObject" in {each["kind"] for each in resources}) == ("keda" in components)
    (triton,) = (each for each in resources if each["kind"] == "Deployment" and each["metadata"]["name"] == "triton")
    limits = triton["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert ("nvidia.com/gpu" in limits) == ("gpu" in components)
    assert ("initContainers" in triton["spec"]["template"]["spec"]) == ("models" in components)
    (generated,) = {each["metadata"]["name"] for each in resources if each["kind"] == "ConfigMap"}
    for job in (each for each in resources if each["kind"] == "CronJob"):
        assert generated in str(job), "jobs are told what all processes are told"
    assert not re.search(r"image: anabranch-\w+$", made, re.MULTILINE), "every image has a tag"


def patched(kind: str, name: str) -> dict[str, Any]:
    """A resource as the component of deep models leaves it."""
    made = copy.deepcopy(named(kind, name))
    (component,) = read("models/kustomization.yaml")
    for each in component["patches"]:
        if each["target"] == {"kind": kind, "name": name}:
            for change in yaml.safe_load(each["patch"]):
                assert change["op"] == "add"
                *way, last = change["path"].removeprefix("/").split("/")
                place: Any = made
                for step in way:
                    place = place[int(step) if isinstance(place, list) else step]
                if last == "-":
                    place.append(change["value"])
                else:
                    place[last] = change["value"]
    return made


TRAINING = read("models/training.yaml")
JOBS = {each["metadata"]["name"]: each["spec"]["jobTemplate"]["spec"] for each in TRAINING if each["kind"] == "CronJob"}


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version().rpartition(".")[0]])
@pytest.mark.parametrize(
    "resource",
    [
        *TRAINING,
        patched("Deployment", "triton"),
        *(patched("NetworkPolicy", name) for name in ("triton", "worker", "to-the-servers")),
    ],
    ids=lambda each: f"{each['kind']}-{each['metadata']['name']}",
)
def test_the_api_server_would_take_what_deep_models_need(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


def test_with_deep_models_triton_is_started_as_the_local_one_and_reads_what_the_jobs_write() -> None:
    pod = patched("Deployment", "triton")["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    local = triton.command(Triton(), Path("/any"), Path("/shipped"))
    same = [each for each in local if each.startswith(("--model-control", "--load", "--exit", "--strict"))]
    assert set(same) <= set(server["args"]) and "--load-model=*" in same
    (repository,) = (each for each in server["args"] if each.startswith("--model-repository=/var"))
    folder = repository.removeprefix("--model-repository=")
    home = Path(shared()["ANABRANCH_HOME"])
    assert Path(folder) == home / "models" / "repository"
    (made,) = pod["initContainers"]
    assert made["command"] == ["mkdir", "-p", folder] and made["image"] == server["image"]
    (claim,) = (each for each in TRAINING if each["kind"] == "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    mount = {"name": "models", "mountPath": str(home / "models")}
    assert {**mount, "readOnly": True} in server["volumeMounts"]
    volume = {"name": "models", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
    assert volume in pod["volumes"]
    for job in JOBS.values():
        (trainer,) = job["template"]["spec"]["containers"]
        assert mount in trainer["volumeMounts"] and volume in job["template"]["spec"]["volumes"]
        assert trainer["image"] == server["image"]


@pytest.mark.parametrize("name", ["retrain", "decide"])
def test_jobs_of_deep_models_run_commands_that_exist_and_reach_whom_they_ask(name: str) -> None:
    (trainer,) = JOBS[name]["template"]["spec"]["containers"]
    command: Any = get_command(app)
    for word in trainer["args"]:
        command = command.commands[word] if hasattr(command, "commands") else command
    assert command.name == name
    component = JOBS[name]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
    assert component in str(patched("NetworkPolicy", "triton")["spec"]["ingress"][0])
    assert component in str(patched("NetworkPolicy", "worker")["spec"]["ingress"][0])
    assert component in str(patched("NetworkPolicy", "to-the-servers")["spec"]["podSelector"])


def test_every_file_is_part_of_it() -> None:
    (whole,) = read("kustomization.yaml")
    assert whole["resources"] == FILES
    assert {each.name for each in FOLDER.glob("*.yaml")} == {*FILES, "kustomization.yaml"}


@pytest.mark.parametrize("settings", OURS, indirect=True)
def test_every_variable_is_a_setting_that_takes_its_value(settings: Settings) -> None:
    assert settings.kafka.tls and settings.cassandra.tls
    assert settings.kafka.password and settings.cassandra.password
    assert settings.triton.host == named("Service", "triton")["metadata"]["name"]
    assert settings.metrics.host == "0.0.0.0"


@pytest.mark.parametrize("name", OURS)
def test_no_variable_is_without_effect(name: str) -> None:
    known = {"ANABRANCH_HOME", "ANABRANCH_CACHE"} | {
        f"ANABRANCH_{group}__{setting}".upper()
        for group, field in Settings.model_fields.items()
        if hasattr(field.default, "model_fields_set")
        for setting in type(field.default).model_fields
    }
    assert environment(name).keys() <= known


@pytest.mark.parametrize("name", OURS)
def test_what_is_read_from_a_file_is_mounted_and_no_password_is_in_a_manifest(name: str) -> None:
    mounted = {each["mountPath"] for each in container(name)["volumeMounts"]}
    for key, value in environment(name).items():
        assert not re.search(r"PASSWORD$|TOKEN$|KEY$", key)
        if key.endswith("_FILE"):
            assert str(Path(value).parent) in mounted
        if key in ("ANABRANCH_HOME", "ANABRANCH_CACHE"):
            assert any(Path(value).is_relative_to(each) for each in mounted)


@pytest.mark.parametrize("name", OURS)
def test_what_is_started_is_a_command_of_anabranch(name: str) -> None:
    assert container(name)["image"] == "anabranch-worker"
    (command,) = container(name)["args"]
    assert command in get_command(app).commands


@pytest.mark.parametrize("name", PODS)
def test_ports_are_those_of_the_settings(name: str) -> None:
    assert {each["name"]: each["containerPort"] for each in container(name).get("ports", [])} == PORTS[name]


@pytest.mark.parametrize("name", ["worker", "http"])
def test_probes_ask_what_is_answered(name: str) -> None:
    alive, ready = (route.path for route in list(Health().routes())[:2])
    probed = {kind: container(name)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: each["path"] for kind, each in probed.items()} == {
        "startup": alive, "liveness": alive, "readiness": ready,
    }  # fmt: skip
    assert {each["port"] for each in probed.values()} <= PORTS[name].keys()


def test_a_worker_that_drains_is_not_killed_meanwhile() -> None:
    patience = signature(CassandraStore.connect).parameters["give_up_after"].default
    assert PODS["worker"]["terminationGracePeriodSeconds"] > patience
    budget = named("PodDisruptionBudget", "worker")["spec"]
    assert budget["maxUnavailable"] == 1 and named("StatefulSet", "worker")["spec"]["replicas"] > 1


@pytest.mark.parametrize("name", PODS)
def test_no_process_has_more_rights_than_it_needs(name: str) -> None:
    assert PODS[name]["securityContext"]["runAsNonRoot"] is True
    assert PODS[name]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert PODS[name]["automountServiceAccountToken"] is False
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container(name)["resources"]["limits"]


def test_selectors_find_the_pods_they_are_for() -> None:
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in RESOURCES
        if each["kind"] in WORKLOADS
    }
    for each in RESOURCES:
        if each["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            assert each["spec"]["selector"]["matchLabels"].items() <= labels[each["metadata"]["name"]].items()
        if each["kind"] == "Service":
            assert each["spec"]["selector"].items() <= labels[each["metadata"]["name"]].items()
            assert {port["targetPort"] for port in each["spec"]["ports"]} <= PORTS[each["metadata"]["name"]].keys()


def open_ports() -> Iterator[tuple[str, int | str]]:
    for each in RESOURCES:
        if each["kind"] == "NetworkPolicy":
            for rule in [*each["spec"].get("egress", []), *each["spec"].get("ingress", [])]:
                yield from ((each["metadata"]["name"], port["port"]) for port in rule["ports"])


def test_the_network_lets_through_what_the_settings_name() -> None:
    outwards = {port for name, port in open_ports() if name == "to-the-servers"}
    named_there = {int(shared()["ANABRANCH_KAFKA__PORT"]), 9042, Triton().grpc_port, Metrics().port, 53}
    assert outwards == named_there
    for name, port in open_ports():
        assert isinstance(port, int) or port in PORTS[name]


def test_what_decodes_the_files_of_strangers_reaches_nobody() -> None:
    for each in RESOURCES:
        if each["kind"] == "NetworkPolicy" and "egress" in each["spec"]:
            (expression,) = each["spec"]["podSelector"]["matchExpressions"]
            assert "triton" not in expression["values"]
    assert named("NetworkPolicy", "nothing-else")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


KEDA = jsonschema_rs.validator_for(yaml.safe_load((Path(__file__).parent / "keda.yaml").read_text()))


@pytest.mark.parametrize("resource", read("keda/scaling.yaml"), ids=lambda each: each["kind"])
def test_keda_would_take_it(resource: dict[str, Any]) -> None:
    KEDA.validate(resource)


def test_how_keda_is_to_scale_is_what_an_autoscaler_takes() -> None:
    scaled, _ = read("keda/scaling.yaml")
    spec = {
        "scaleTargetRef": scaled["spec"]["scaleTargetRef"],
        "minReplicas": scaled["spec"]["minReplicaCount"],
        "maxReplicas": scaled["spec"]["maxReplicaCount"],
        "behavior": scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
    }
    made = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "x"}, "spec": spec}
    kubernetes_validate.validate(made, OLDEST, strict=True)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("spec", "triggers", 0, "metadata", "lagThreshold"), 3000),
        (("spec", "triggers", 0, "metadata", "lagTreshold"), "3000"),
        (("spec", "triggers", 0, "metadata", "tls"), "true"),
        (("spec", "maxReplicas"), 8),
    ],
)
def test_a_mistake_in_what_keda_reads_is_found(place: tuple[str | int, ...], value: object) -> None:
    resource, _ = read("keda/scaling.yaml")
    *way, last = place
    spot: Any = resource
    for step in way:
        spot = spot[step]
    spot[last] = value
    assert not KEDA.is_valid(resource)


def test_workers_are_added_by_what_waits_in_topics_that_exist_and_no_more_than_there_are_partitions() -> None:
    scaled, _ = read("keda/scaling.yaml")
    target = scaled["spec"]["scaleTargetRef"]
    assert named(target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
    assert scaled["spec"]["maxReplicaCount"] == int(shared()["ANABRANCH_KAFKA__PARTITIONS"])
    assert scaled["spec"]["minReplicaCount"] == named("StatefulSet", "worker")["spec"]["replicas"]
    asked = [each["metadata"] for each in scaled["spec"]["triggers"]]
    assert {each["topic"] for each in asked} <= {topic.name for topic in TOPICS}
    assert {each["consumerGroup"] for each in asked} == {Kafka().group}
    kafka = f"{shared()['ANABRANCH_KAFKA__HOST']}:{shared()['ANABRANCH_KAFKA__PORT']}"
    assert {each["bootstrapServers"] for each in asked} == {kafka}
