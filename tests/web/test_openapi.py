"""The OpenAPI document tells the truth: schemathesis asks for everything in it, rightly and wrongly."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.web.world import HttpWorld


@contextmanager
def running() -> Iterator[str]:
    """The application among fakes, on a thread of its own; where it answers."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def do(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(timeout=60)

    world = HttpWorld(moderated=True)
    do(world.open())
    do(world.click("ada", "alien"))
    do(world.upload("odd", title="a mild film"))
    try:
        yield f"http://127.0.0.1:{world.client.port}"
    finally:
        do(world.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running() as url:
        yield url


ENDPOINTS = [(each.method, each.path) for each in HttpWorld().api.endpoints() if not each.path.endswith("/stream")]


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), ENDPOINTS, ids=lambda part: part)
def test_what_is_asked_for_rightly_or_wrongly_is_answered_as_described(
    url: str, method: str, path: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_url(f"{url}/openapi.json")[path][method]

    # What is sent can be refused for what no schema says, such as a time in the future.
    excluded = [positive_data_acceptance] if method == "POST" else []

    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=url, timeout=20, excluded_checks=excluded)

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "of what takes no parameters, nothing can be wrong"
