"""Imports point one way, so that each part can be read, tested and replaced by itself."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW_PIPELINE = [
    *("streams.core", "streams.events", "streams.errors", "streams.spaces", "streams.metrics", "streams.tracing"),
    "encoders.contract",
]
# part -> what of this project it may import
ALLOWED = {
    "streams/core": ["streams.core", "encoders.contract"],
    "streams/events.py": ["streams.errors", "encoders.contract"],
    "streams/errors.py": [],
    "streams/spaces.py": ["streams.errors"],
    "streams/metrics.py": ["streams.core", "streams.tracing"],
    "streams/tracing.py": ["streams.errors"],
    "streams/ports.py": ["streams.core", "streams.events", "streams.errors", "encoders.contract"],
    "streams/queries.py": [*BELOW_PIPELINE, "streams.ports", "streams.pipeline", "streams.search", "streams.shown"],
    "streams/shown.py": [*BELOW_PIPELINE, "streams.ports"],
    "streams/search.py": [*BELOW_PIPELINE, "streams.ports", "streams.replica"],
    "streams/held.py": ["streams.core", "streams.events"],
    "streams/replica.py": [*BELOW_PIPELINE, "streams.ports"],
    "streams/advice.py": [*BELOW_PIPELINE, "streams.ports"],
    "streams/pipeline": [
        "streams.pipeline",
        *BELOW_PIPELINE,
        *("streams.ports", "streams.replica", "streams.advice", "streams.shown"),
    ],
    "streams/agents.py": ["streams.pipeline", "streams.ports", "streams.events", "streams.tracing"],
    "streams/adapters": [
        "streams.adapters",
        *BELOW_PIPELINE,
        "streams.ports",
        "streams.settings",
        "encoders.fusion",
        "encoders.moderation",
    ],
    "streams/web": ["streams.web", *BELOW_PIPELINE, "streams.ports", "streams.held", "streams.advice"],
    "encoders": ["encoders"],
    "triton_models": ["encoders"],
}
THROUGHPUT = ROOT / "encoders" / "throughput.py"  # measures Triton against the encoders in process
CLIENTS = ("faust", "kafka", "aiokafka", "cassandra", "tritonclient")
WITHOUT_CLIENTS = [
    "streams/core",
    "streams/events.py",
    "streams/held.py",
    "streams/replica.py",
    "streams/pipeline",
    "streams/search.py",
    "streams/shown.py",
    "streams/ports.py",
    "encoders",
]


def files(part: str) -> list[Path]:
    path = ROOT / part
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


def imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    assert files(part), f"{part} is gone"
    for file in files(part):
        for name in imports(file):
            if name.split(".")[0] in ("streams", "encoders", "deploy", "tests"):
                allowed = any(name == each or name.startswith(f"{each}.") for each in ALLOWED[part])
                assert allowed, f"{file.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("part", WITHOUT_CLIENTS)
def test_the_core_knows_no_client(part: str) -> None:
    for file in set(files(part)) - {THROUGHPUT}:
        for name in imports(file):
            assert name.split(".")[0] not in CLIENTS, f"{file.relative_to(ROOT)} imports {name}"


def test_the_core_has_no_clock_and_no_input_or_output() -> None:
    for file in files("streams/core"):
        for name in imports(file):
            assert name.split(".")[0] not in ("time", "datetime", "asyncio", "socket", "pathlib", "os", "logging"), (
                f"{file.relative_to(ROOT)} imports {name}"
            )
