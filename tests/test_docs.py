"""What the documentation says is what the code does."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy import reference
from streams.cli import app
from streams.core.experiments.plan import ArmSettings, Experiment, read
from streams.events import REASONS, schemas
from streams.settings import Settings
from streams.topics import TOPICS
from tests.web.world import HttpWorld

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]


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


def test_every_plan_in_the_docs_can_be_carried_out_and_every_setting_of_one_is_told_of() -> None:
    page = (ROOT / "docs" / "experiments.md").read_text()
    plans = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert plans and all(read(each).layers for each in plans)
    rows = " ".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))
    told = set(re.findall(r"`(\w+)`", rows))
    assert told == {*Experiment.__struct_fields__, *ArmSettings.__struct_fields__}


@pytest.mark.servers
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_python_example_runs(
    example: str, servers: Settings, http: str, capsys: pytest.CaptureFixture[str]
) -> None:
    here = example.replace("127.0.0.1:9092", servers.kafka.address).replace("127.0.0.1:8020", http)
    exec(compile(here, "example", "exec"), {})


@pytest.mark.servers
def test_every_request_in_the_docs_is_answered(http: str) -> None:
    page = (ROOT / "docs" / "http.md").read_text()
    requests = [each for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) for each in block.split("\ncurl ")]
    asked = [each for each in requests if "127.0.0.1:8020" in each]
    assert len(asked) >= 3
    for each in asked:
        command = "curl " + each.removeprefix("curl ").replace("127.0.0.1:8020", http)
        answer = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
        assert answer.returncode == 0 and json.loads(answer.stdout), command


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
