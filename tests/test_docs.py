"""What the documentation says is what the code does."""

import json
import re
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
import yaml
from typer.testing import CliRunner

from deploy import reference
from deploy.observability import shown
from streams import events, knowledge, rules
from streams.cli import app
from streams.core.experiments import plan
from streams.core.experiments.plan import ArmSettings, Experiment
from streams.events import REASONS, schemas
from streams.settings import load
from streams.topics import TOPICS
from streams.web.answers import Problem
from streams.web.health import Report
from tests.pages import PAGES, ROOT, Block, blocks
from tests.web.world import HttpWorld


@pytest.mark.parametrize("topic", schemas())
def test_the_schema_in_the_docs_is_that_of_the_code(topic: str) -> None:
    stored = json.loads((ROOT / "docs" / "schemas" / f"{topic}.json").read_text())
    assert stored == schemas()[topic], "run: anabranch topics schemas docs/schemas"


@pytest.mark.parametrize("name", reference.pages())
def test_the_reference_is_that_of_the_code(name: str) -> None:
    assert (reference.FOLDER / name).read_text() == reference.pages()[name], "run: python -m deploy.reference"


def test_every_reason_for_a_refusal_is_in_the_docs_word_for_word() -> None:
    page = (ROOT / "docs" / "events.md").read_text()
    table = re.search(r"<!-- reasons -->(.*)<!-- /reasons -->", page, re.DOTALL)
    assert table is not None
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table[1], re.MULTILINE)) == REASONS


def test_every_topic_is_in_the_readme() -> None:
    page = (ROOT / "README.md").read_text()
    assert set(re.findall(r"^\| `([\w.]+)` \|", page, re.MULTILINE)) == {topic.name for topic in TOPICS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_docs_exists_with_its_options(page: Path) -> None:
    for command in re.findall(r"(?:^|`|bin/)anabranch ([a-z][^`\n#]*)", page.read_text()):
        words = command.split()
        names = [word for word in words if not word.startswith("-")]
        options = [word for word in words if word.startswith("--")]
        shown = CliRunner().invoke(app, [*names[:2], "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
        assert shown.exit_code == 0, f"anabranch {command}: {shown.output}"
        for option in options:
            assert option in shown.output, f"anabranch {command} has no {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_in_the_docs_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_test_that_the_threat_model_leans_on_exists() -> None:
    table = re.search(r"<!-- threats -->(.*)<!-- /threats -->", (ROOT / "docs" / "security.md").read_text(), re.DOTALL)
    assert table is not None
    named = set(re.findall(r"`(test_\w+)`", table[1]))
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 30 and named <= set(re.findall(r"def (test_\w+)\(", tests))


def test_every_setting_of_a_plan_is_told_of() -> None:
    page = (ROOT / "docs" / "experiments.md").read_text()
    rows = " ".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))
    told = set(re.findall(r"`(\w+)`", rows))
    assert told == {*Experiment.__struct_fields__, *ArmSettings.__struct_fields__}


def read_json(block: Block, tmp_path: Path) -> None:
    """As JSON-LD of knowledge where it says so, else as events, a line each: by their topic, or queries."""
    if "@context" in block.text:
        read_knowledge(block, tmp_path)
        return
    for line in block.text.splitlines():
        event = json.loads(line)
        events.read(event.pop("topic", "events.query"), json.dumps(event).encode(), now=time.time())


def read_yaml(block: Block, tmp_path: Path) -> None:
    """As rules or as a plan of experiments."""
    if block.text.startswith("rules:"):
        file = tmp_path / "rules.yaml"
        file.write_text(block.text)
        assert rules.read(file)
    else:
        assert plan.read(block.text).layers


def read_knowledge(block: Block, tmp_path: Path) -> None:
    file = tmp_path / f"films.{block.language}"
    file.write_text(block.text)
    assert knowledge.read(file)


def read_variables(block: Block, tmp_path: Path) -> None:
    """As the environment of a process."""
    with pytest.MonkeyPatch.context() as environment:
        for line in block.text.splitlines():
            environment.setenv(*line.split("=", 1))
        load(home=tmp_path)


def read_printed(block: Block, tmp_path: Path) -> None:
    """What a program answers; what is no JSON is for people, and is not looked at."""
    if block.text.startswith("{"):
        kind = Report if "wrong" in block.text else Problem
        assert msgspec.json.decode(block.text, type=kind, strict=True)


READERS = {
    "json": read_json,
    "yaml": read_yaml,
    "csv": read_knowledge,
    "ini": read_variables,
    "": read_printed,
}
"""Language of a block -> what reads it. `bash` and `python` are run: tests/integration/test_pages.py."""

DRAWN = {"mermaid"}  # by whoever shows the page


@pytest.mark.parametrize("block", [each for page in PAGES for each in blocks(page, *READERS)], ids=str)
def test_what_stands_in_a_block_is_taken_by_what_reads_it(block: Block, tmp_path: Path) -> None:
    READERS[block.language](block, tmp_path)


def test_every_block_is_read_run_or_drawn_and_one_that_is_not_run_says_why() -> None:
    every = [each for page in PAGES for each in blocks(page)]
    assert {each.language for each in every} == {*READERS, *DRAWN, "bash", "python"}
    fences = sum(page.read_text().count("```") for page in PAGES)
    assert fences == 2 * len(every)
    marks = sum(page.read_text().count("\n<!-- not run") for page in PAGES)
    not_run = [each for each in every if each.not_run]
    assert marks == len(not_run) and {each.language for each in not_run} == {"bash"}
    assert Counter(each.not_run for each in not_run) == {
        "goes on until Ctrl-C; tests/deploy/test_prometheus.py runs Prometheus so": 1,
        "installs packages; tests/deploy/test_wheel.py installs the wheel": 1,
        "needs Docker": 2,
        "needs a cluster": 2,
        "needs fresh data, which no other page would have": 1,
        "needs users of Kafka and Cassandra; tests/integration/test_secured.py makes them": 1,
        "sets up what the tests run in": 4,
        "takes five minutes": 1,
        "takes hours": 4,
    }


def test_what_is_named_in_a_block_that_is_not_run_exists() -> None:
    for block in [each for page in PAGES for each in blocks(page, "bash") if each.not_run]:
        named = set(re.findall(r"(?:^|[ =])((?:deploy|tests)/[\w./-]+|docker-compose\.yml|\w+\.lock)", block.text))
        named |= set(re.findall(r"tests/[\w/]+\.py", block.not_run))
        assert [each for each in named if not (ROOT / each).exists()] == [], str(block)
        for target in re.findall(r"^make (\w+)", block.text, re.MULTILINE):
            assert f"\n{target}:" in (ROOT / "Makefile").read_text(), f"{block}: make {target}"


def test_what_is_named_of_docker_and_kubernetes_exists() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    profiles = {profile for service in compose.values() for profile in service.get("profiles", [])}
    objects = {
        f"{each['kind'].lower()}/{each['metadata']['name']}"
        for file in (ROOT / "deploy" / "k8s").rglob("*.yaml")
        for each in yaml.safe_load_all(file.read_text())
        if "metadata" in each
    }
    secrets = {
        name
        for file in (ROOT / "deploy" / "k8s").rglob("*.yaml")
        for name in re.findall(r"secretName: ([\w-]+)", file.read_text())
    }
    text = "".join(block.text for page in PAGES for block in blocks(page, "bash") if block.not_run)
    assert set(re.findall(r"--profile (\w+)", text)) <= profiles
    assert set(re.findall(r"docker compose run --rm (\w+)", text)) <= set(compose)
    assert set(re.findall(r"\b(?:job|statefulset|deployment)/\w+", text)) <= objects
    assert set(re.findall(r"secret generic (\S+)", text)) <= secrets


def test_every_metric_that_the_docs_name_exists() -> None:
    known = {each.name for each in shown()}
    for page in PAGES:
        code = " ".join(re.findall(r"`([^`\n]+)`", page.read_text()))
        for name in re.findall(r"\b(anabranch_\w+_\w+)\b(?!\.\.\.)", code):
            assert name in known, f"{page.name}: {name}"


def test_everything_that_can_be_asked_over_http_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "http.md").read_text()
    table = re.search(r"^## Ask\n(.*?)\n\n[^|\n]", page, re.DOTALL | re.MULTILINE)
    assert table is not None
    documented: set[str] = set()
    for path in re.findall(r"`(?:GET|POST) ([^`?]+)[^`]*`", table[1]):
        kinds = re.search(r"{(\w+(?:,\w+)+)}", path)
        documented |= {path.replace(kinds[0], kind) for kind in kinds[1].split(",")} if kinds else {path}
    endpoints = HttpWorld().api.endpoints()
    assert documented - {"/healthz"} == {re.sub(r"{(user|item)_id}", "{id}", each.path) for each in endpoints}
