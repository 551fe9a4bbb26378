"""Which ports the servers get."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.ports import PortTaken
from streams.settings import Settings, load


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return ports.choose_all(load(home=tmp_path))


@pytest.fixture
def taken(settings: Settings) -> Iterator[int]:
    """Kafka's port, with another program on it."""
    with socket.socket() as other:
        other.bind((settings.kafka.host, settings.kafka.port))
        other.listen()
        yield settings.kafka.port


def test_all_chosen_ports_differ_and_are_free(settings: Settings) -> None:
    chosen = [port for numbers in ports.named(settings).values() for port in numbers.values()]
    assert len(set(chosen)) == len(chosen)
    assert all(ports.is_free(port) for port in chosen)
    assert not any(ports.listens(port) for port in chosen)


def test_later_commands_read_the_chosen_ports(settings: Settings) -> None:
    assert ports.named(load(home=settings.home)) == ports.named(settings)


def test_free_ports_are_kept(settings: Settings) -> None:
    assert ports.settle(settings, ["kafka", "cassandra", "triton"], free_ports=True) == settings


def test_a_taken_port_is_refused_with_the_setting_that_moves_it(settings: Settings, taken: int) -> None:
    with pytest.raises(PortTaken, match=f"port {taken} of kafka .* ANABRANCH_KAFKA__PORT .* --free-ports"):
        ports.settle(settings, ["kafka"], free_ports=False)


def test_another_is_chosen_where_that_is_allowed(settings: Settings, taken: int) -> None:
    settled = ports.settle(settings, ["kafka"], free_ports=True)
    assert settled.kafka.port != taken
    assert load(home=settings.home).kafka.port == settled.kafka.port
    assert settled.cassandra == settings.cassandra


def test_a_port_that_the_environment_fixes_is_not_moved(
    settings: Settings, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_KAFKA__PORT", str(taken))
    with pytest.raises(PortTaken, match="unset it"):
        ports.settle(settings, ["kafka"], free_ports=True)


def test_the_ports_of_a_running_server_are_not_asked_for(settings: Settings, taken: int) -> None:
    assert ports.settle(settings, ["triton"], free_ports=False) == settings


def test_no_port_is_chosen_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "CHOICE", range(20_000, 20_030))
    for turn in range(20):
        settings = ports.choose_all(load(home=tmp_path / str(turn)))
        chosen = [port for each in ports.named(settings).values() for port in each.values()]
        assert len(set(chosen)) == len(chosen)
