"""What all tests may use."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from deploy.local import ports
from deploy.local import servers as local_servers
from streams.settings import Settings, load
from tests.integration.running import serving

# How long an example takes says more about the machine than about the code.
hypothesis_settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("untimed")


MODERATORS_KEY = "a key of these moderators"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hostile-files", type=int, default=150, help="hostile media to send through the whole stream")
    parser.addoption("--fuzzed", type=int, default=5_000, help="fuzzed messages to send through the pipeline")
    parser.addoption("--fuzz-seed", type=int, default=1, help="what they are drawn from")


@pytest.fixture(scope="session")
def hostile_files(request: pytest.FixtureRequest) -> int:
    """How many hostile media to send."""
    count: int = request.config.getoption("--hostile-files")
    return count


@pytest.fixture(scope="session")
def fuzzed(request: pytest.FixtureRequest) -> tuple[int, int]:
    """How many fuzzed messages to send, and the seed they are drawn from."""
    return request.config.getoption("--fuzzed"), request.config.getoption("--fuzz-seed")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Real Kafka, Cassandra and Triton, started once, with data and ports of their own: nothing else is disturbed."""
    downloads = load().downloads_folder.resolve()
    settings = ports.choose_all(load(home=tmp_path_factory.mktemp("home"), downloads=downloads))
    try:
        yield local_servers.up(settings)
    finally:
        local_servers.down(settings)


@pytest.fixture(scope="session")
def http(servers: Settings) -> Iterator[str]:
    """`anabranch serve` beside them, for moderators, too; where it answers, once it is ready."""
    moderating = {"ANABRANCH_MODERATION__ENABLED": "true", "ANABRANCH_MODERATION__KEY": MODERATORS_KEY}
    with serving(servers, **moderating) as address:
        yield address
