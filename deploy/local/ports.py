"""Which ports the servers get, and the note of those that are not the usual ones."""

import os
import random
import socket
from collections.abc import Collection, Iterable, Mapping

from streams import settings as settings_module
from streams.errors import AnabranchError
from streams.settings import PREFIX, Settings

# Below the ports of outgoing connections, which could take one between its choice and its use.
CHOICE = range(20_000, 32_000)


class PortTaken(AnabranchError):
    """Another program listens where a server is to; the message says which setting moves it."""


def named(settings: Settings) -> dict[str, dict[str, int]]:
    """Server -> the settings that say where it listens -> port. The worker's metrics and `serve` are among them."""
    kafka, cassandra, triton = settings.kafka, settings.cassandra, settings.triton
    return {
        "kafka": {"KAFKA__PORT": kafka.port, "KAFKA__CONTROLLER_PORT": kafka.controller_port},
        "cassandra": {"CASSANDRA__PORT": cassandra.port, "CASSANDRA__STORAGE_PORT": cassandra.storage_port},
        "triton": {
            "TRITON__GRPC_PORT": triton.grpc_port,
            "TRITON__HTTP_PORT": triton.http_port,
            "TRITON__METRICS_PORT": triton.metrics_port,
        },
        "worker": {"METRICS__PORT": settings.metrics.port},
        "http": {"HTTP__PORT": settings.http.port},
    }


def hosts(settings: Settings) -> dict[str, str]:
    """Server -> the address it listens at."""
    return {
        "kafka": settings.kafka.host,
        "cassandra": settings.cassandra.host,
        "triton": settings.triton.host,
        "worker": settings.metrics.host,
        "http": settings.http.host,
    }


def settle(settings: Settings, starting: Iterable[str], *, free_ports: bool) -> Settings:
    """Make sure that the servers about to start have ports to themselves; the settings with those ports.

    starting    names of the servers that do not run yet
    free_ports  where a port is taken, choose another and note it in `<home>/ports.env`

    Raises PortTaken.
    """
    moved: dict[str, int] = {}
    for server in starting:
        host = hosts(settings)[server]
        for name, port in named(settings)[server].items():
            if is_free(port, host):
                continue
            key = PREFIX + name
            if not free_ports:
                raise PortTaken(
                    f"port {port} of {server} is taken by another program;"
                    f" set {key} to another, or let one be chosen: anabranch up --free-ports"
                )
            if key in os.environ:
                raise PortTaken(f"{key}={port} is taken by another program; unset it to let another be chosen")
            moved[key] = choose(host, but=moved.values())
    return note(settings, moved) if moved else settings


def choose_all(settings: Settings) -> Settings:
    """Other ports for everything, so that a second set of servers can run beside the usual one."""
    chosen: dict[str, int] = {}
    for each in named(settings).values():
        for name in each:
            chosen[PREFIX + name] = choose(but=chosen.values())
    return note(settings, chosen)


def note(settings: Settings, chosen: Mapping[str, int]) -> Settings:
    """Write the ports down where every command reads them; the settings with those ports."""
    file = settings.ports_file
    before = dict(line.split("=", 1) for line in file.read_text().split()) if file.exists() else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    written = file.with_suffix(".part")
    written.write_text("".join(f"{key}={port}\n" for key, port in (before | dict(chosen)).items()))
    written.replace(file)
    return settings_module.load(home=settings.home, downloads=settings.downloads)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether anything listens there: a question that costs next to nothing."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def choose(host: str = "127.0.0.1", *, but: Collection[int] = ()) -> int:
    """A port that is free now, at random, so that two who choose at once hardly choose the same.

    but  those that are spoken for, though nobody listens there yet
    """
    return next(port for port in random.sample(CHOICE, len(CHOICE)) if port not in but and is_free(port, host))
