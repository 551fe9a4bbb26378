"""Up and down: the three servers together."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from deploy.local import cassandra, downloads, kafka, triton
from deploy.local.process import Process
from streams import settings as settings_module
from streams import topics
from streams.adapters import schema
from streams.errors import AnabranchError
from streams.settings import PREFIX, Settings

MIN_FREE_BYTES = 3 * 1024**3
START_PATIENCE = 120.0


class CannotStart(AnabranchError):
    """Something that the servers need is missing; the message says what to do."""


class Server(Struct, frozen=True):
    """One server: how to start it, and how to ask whether it is well.

    ports    what it listens on: setting -> number
    ailment  what keeps it from serving, or None
    """

    name: str
    process: Process
    ports: dict[str, int]
    host: str
    start: Callable[[], None]
    ailment: Callable[[], str | None]


def servers(settings: Settings) -> list[Server]:
    """The three servers, started or not."""
    home = settings.home.resolve()
    fetched = settings.downloads_folder.resolve()
    run, logs = home / "run", home / "logs"

    def start_kafka() -> None:
        jars = downloads.maven_jars("kafka", fetched)
        Process("kafka", run, logs).start(kafka.command(settings.kafka, jars, home / "kafka"))

    def start_cassandra() -> None:
        jars = downloads.maven_jars("cassandra", fetched)
        Process("cassandra", run, logs).start(cassandra.command(settings.cassandra, jars, home / "cassandra"))

    def start_triton() -> None:
        place = downloads.triton_home(fetched)
        Process("triton", run, logs).start(triton.command(settings.triton, place), env=triton.environment(place))

    return [
        Server(
            "kafka",
            Process("kafka", run, logs),
            {"KAFKA__PORT": settings.kafka.port, "KAFKA__CONTROLLER_PORT": settings.kafka.controller_port},
            settings.kafka.host,
            start_kafka,
            lambda: kafka.ailment(settings.kafka),
        ),
        Server(
            "cassandra",
            Process("cassandra", run, logs),
            {"CASSANDRA__PORT": settings.cassandra.port, "CASSANDRA__STORAGE_PORT": settings.cassandra.storage_port},
            settings.cassandra.host,
            start_cassandra,
            lambda: cassandra.ailment(settings.cassandra),
        ),
        Server(
            "triton",
            Process("triton", run, logs),
            {
                "TRITON__HTTP_PORT": settings.triton.http_port,
                "TRITON__GRPC_PORT": settings.triton.grpc_port,
                "TRITON__METRICS_PORT": settings.triton.metrics_port,
            },
            settings.triton.host,
            start_triton,
            lambda: triton.ailment(settings.triton),
        ),
    ]


def up(settings: Settings, console: Console, *, fresh: bool = False, free_ports: bool = False) -> Settings:
    """Start what is not running, wait until all is well, create topics and tables.

    fresh       stop the servers and clear their data first
    free_ports  where a port is taken, take another, and note it in `<home>/ports.env`

    Returns the settings with the ports in use. Raises CannotStart.
    """
    check_machine(settings.home)
    if fresh:
        down(settings)
        for folder in ("kafka", "cassandra"):
            shutil.rmtree(settings.home / folder, ignore_errors=True)
    settings = _settle_ports(settings, free_ports)
    columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor() as pool:
        starting = [pool.submit(_bring_up, server, progress) for server in servers(settings)]
        for each in starting:
            each.result()
    topics.create(settings.kafka)
    schema.migrate(settings.cassandra)
    return settings


def down(settings: Settings) -> list[str]:
    """Stop the servers that run; their names."""
    with ThreadPoolExecutor() as pool:
        ours = servers(settings)
        stopped = list(pool.map(lambda server: server.process.stop(), ours))
    return [server.name for server, was_running in zip(ours, stopped, strict=True) if was_running]


def check_machine(home: Path) -> None:
    """Java 17, Maven and room on the disk. Raises CannotStart."""
    java = _output(["java", "-version"], "Java 17 (Debian: apt-get install openjdk-17-jre-headless)")
    version = re.search(r'version "(\d+)', java)
    if not version or int(version[1]) not in (17, 21):
        raise CannotStart(f"Java 17 is needed, found: {java.splitlines()[0] if java else 'nothing'}")
    _output(["mvn", "-version"], "Maven (Debian: apt-get install maven)")
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    if free < MIN_FREE_BYTES:
        raise CannotStart(f"{home.resolve()} has {free / 1024**3:.1f} GiB free, where 3 are needed")


def _output(command: list[str], needed: str) -> str:
    if shutil.which(command[0]) is None:
        raise CannotStart(f"{needed} is needed and {command[0]!r} is not on the PATH")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _settle_ports(settings: Settings, free_ports: bool) -> Settings:
    """Make sure the ports of servers yet to be started are free."""
    moved: dict[str, int] = {}
    for server in servers(settings):
        if server.process.find():
            continue
        for name, port in server.ports.items():
            if _is_free(server.host, port):
                continue
            if not free_ports:
                raise CannotStart(
                    f"port {port} of {server.name} is taken by another program;"
                    f" set {PREFIX}{name} to another, or use: anabranch up --free-ports"
                )
            moved[PREFIX + name] = _any_free_port(server.host)
    if not moved:
        return settings
    noted = dict(line.split("=") for line in settings.ports_file.read_text().split()) if settings.ports_file.exists() else {}
    settings.ports_file.write_text("".join(f"{key}={port}\n" for key, port in (noted | moved).items()))
    overruled = [key for key in moved if key in os.environ]
    if overruled:
        raise CannotStart(f"{', '.join(overruled)} is set to a port that is taken; unset it to let one be picked")
    return settings_module.load(home=settings.home, downloads=settings.downloads)


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _any_free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _bring_up(server: Server, progress: Progress) -> None:
    task = progress.add_task(f"{server.name}: starting", total=1)
    if server.process.find() is None:
        progress.update(task, description=f"{server.name}: fetching (once) and starting")
        server.start()
    deadline = time.monotonic() + START_PATIENCE
    while (ailment := server.ailment()) is not None:
        if server.process.find() is None:
            raise CannotStart(f"{server.name} ended at its start; its log says:\n{server.process.last_words()}")
        if time.monotonic() > deadline:
            raise CannotStart(f"{server.name} is not well after {START_PATIENCE:.0f} s: {ailment}; see {server.process.log}")
        time.sleep(0.2)
    where = ", ".join(f"{server.host}:{port}" for port in server.ports.values())
    progress.update(task, completed=1, description=f"{server.name}: up at {where}")
