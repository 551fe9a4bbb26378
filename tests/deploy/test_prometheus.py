"""A real Prometheus takes the configuration, its alerts go off when they are to, and every panel shows something."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

from deploy.local.ports import choose
from deploy.observability import DASHBOARD, ROOT, Shown, shown
from tests.deploy.test_observability import RULES

FOLDER = ROOT / "deploy" / "prometheus"
pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="there is no Prometheus on this machine: apt install prometheus",
)


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_and_the_rules_are_valid() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "config", "prometheus.yml")


def test_alerts_go_off_when_they_are_to_and_not_before() -> None:
    promtool("test", "rules", "alerts.test.yml")
    tested = re.findall(r"alertname: (\w+)\n\s+eval_time: .*\n\s+exp_alerts", (FOLDER / "alerts.test.yml").read_text())
    assert set(tested) == {rule["alert"] for rule in RULES}, "each goes off in some test"


class Touched:
    """A metric like one of ours, of another registry: what other tests count is left alone."""

    def __init__(self, like: Shown, registry: CollectorRegistry) -> None:
        kinds: dict[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}
        made = kinds[like.kind](like.name, like.tells, like.labels, registry=registry)
        child = made.labels(*("x" for _ in like.labels)) if like.labels else made
        self._observe = child.observe if like.kind == "histogram" else child.inc

    def touch(self) -> None:
        """Count or measure something."""
        self._observe(1)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Prometheus as configured, but for ports and patience, which has scraped such metrics as ours a few times."""
    folder = tmp_path_factory.mktemp("prometheus")
    worker, own = choose(), choose()
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    touched = [Touched(each, registry) for each in shown()]
    server, thread = start_http_server(worker, "127.0.0.1", registry=registry)
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms", "scrape_timeout": "200ms"}
    configuration["rule_files"] = [str(FOLDER / "alerts.yml")]
    for job in configuration["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{worker}"]}]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration))
    command = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}"]
    process = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{own}"],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("wb"),
    )
    address = f"http://127.0.0.1:{own}"
    deadline = time.monotonic() + 60
    try:
        while not _scraped_often_enough(address):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            for each in touched:
                each.touch()
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()
        server.shutdown()
        thread.join()


def ask(address: str, expression: str) -> list[Any]:
    with urlopen(f"{address}/api/v1/query?{urlencode({'query': expression})}", timeout=10) as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
        return found


def _scraped_often_enough(address: str) -> bool:
    try:
        counted = ask(address, "min(count_over_time(anabranch_events_rejected_total[1m]))")
    except OSError:
        return False
    return bool(counted) and float(counted[0]["value"][1]) >= 3


def test_workers_are_scraped(prometheus: str) -> None:
    up = {each["metric"]["job"]: each["value"][1] for each in ask(prometheus, "up")}
    assert up == {"anabranch-worker": "1", "anabranch-http": "1"}


def test_every_panel_shows_something(prometheus: str) -> None:
    panels = [each for each in json.loads(DASHBOARD.read_text())["panels"] if each["type"] != "row"]
    expressions = [target["expr"].replace("$__rate_interval", "1m") for panel in panels for target in panel["targets"]]
    assert len(expressions) >= len(shown())
    assert [each for each in expressions if not ask(prometheus, each)] == []


def test_every_rule_is_evaluated_without_an_error(prometheus: str) -> None:
    with urlopen(f"{prometheus}/api/v1/rules", timeout=10) as answer:
        [group] = json.load(answer)["data"]["groups"]
    assert {rule["name"] for rule in group["rules"]} == {rule["alert"] for rule in RULES}
    assert all(rule["health"] == "ok" for rule in group["rules"]), group
