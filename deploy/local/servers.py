"""Up and down: the three servers together."""

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from deploy.local import cassandra, credentials, downloads, kafka, machine, ports, triton
from deploy.local.process import Process
from streams import access, topics
from streams.adapters import schema
from streams.deep import registry
from streams.errors import AnabranchError
from streams.settings import Settings, load

NAMES = ("kafka", "cassandra", "triton")
START_PATIENCE = 120.0
DATA = ("kafka", "cassandra", "faust")  # the folders of a home that hold what `--fresh` clears


class CannotStart(AnabranchError):
    """A server did not come up; the message says why, or ends with its log."""


class Server(Struct, frozen=True):
    """One server: how to start it, and how to ask whether it is well.

    ports    what it listens on; clients come to the first
    ailment  what keeps it from serving, or None
    admit    make the user as whom `ailment` asks, where a new server has none yet
    """

    name: str
    process: Process
    host: str
    ports: list[int]
    start: Callable[[], None]
    ailment: Callable[[], str | None]
    admit: Callable[[], None]


def servers(settings: Settings) -> list[Server]:
    """The three servers, started or not."""
    home = settings.home.resolve()
    cache = settings.downloads_folder.resolve()
    secrets = settings.secrets_folder.resolve() if settings.secrets_folder.exists() else None
    processes = {name: Process(name, home / "run", home / "logs") for name in NAMES}

    def start_kafka() -> None:
        jars = downloads.fetch("kafka", cache)
        processes["kafka"].start(kafka.command(settings.kafka, jars, home / "kafka", secrets))

    def start_cassandra() -> None:
        jars = downloads.fetch("cassandra", cache)
        processes["cassandra"].start(cassandra.command(settings.cassandra, jars, home / "cassandra", secrets))

    def start_triton() -> None:
        files = downloads.fetch("triton", cache)
        shipped = registry.repository(settings.models_folder.resolve())
        command = triton.command(settings.triton, files, shipped, secrets)
        processes["triton"].start(command, env=triton.environment(files))

    starts = {"kafka": start_kafka, "cassandra": start_cassandra, "triton": start_triton}
    ailments: dict[str, Callable[[], str | None]] = {
        "kafka": lambda: kafka.ailment(settings.kafka),
        "cassandra": lambda: cassandra.ailment(settings.cassandra),
        "triton": lambda: triton.ailment(settings.triton),
    }
    admit = {"cassandra": lambda: cassandra.take_over(settings.cassandra)} if secrets else {}
    hosts, numbers = ports.hosts(settings), ports.named(settings)
    return [
        Server(
            name,
            process,
            hosts[name],
            list(numbers[name].values()),
            starts[name],
            ailments[name],
            admit.get(name, lambda: None),
        )
        for name, process in processes.items()
    ]


def up(
    settings: Settings,
    console: Console | None = None,
    *,
    fresh: bool = False,
    free_ports: bool = False,
    secure: bool = False,
) -> Settings:
    """Start what is not running, wait until all is well, create topics and tables.

    console     where progress is shown; nowhere if None
    fresh       stop the servers and clear their data first
    free_ports  where a port is taken, take another, and note it in `<home>/ports.env`
    secure      let in only users with a password or certificate, over TLS; so it stays for this home

    Returns the settings with the ports in use. A Triton model that fails to load does not keep the rest down:
    ask `status` for it. Raises AnabranchError: MachineLacks, PortTaken, DownloadFailed or CannotStart.
    """
    console = console or Console(quiet=True)
    with downloads.locked(settings.home / "run" / "up.lock"):
        if fresh:
            down(settings)
            for name in DATA:
                shutil.rmtree(settings.home / name, ignore_errors=True)
        if secure and not settings.secrets_folder.exists():
            settings = _secure(settings)
        _stop_triton_if_models_are_missing(settings)
        missing = [server.name for server in servers(settings) if server.process.find() is None]
        cache = settings.downloads_folder.resolve()
        fetching = any(not downloads.folder_of(name, cache).exists() for name in missing)
        machine.check(settings.home, fetching=fetching)
        if free_ports and missing:  # what is to be started later meets no other's ports either
            missing += [each.name for each in ours(settings) if each.find() is None]
        settings = ports.settle(settings, missing, free_ports=free_ports)
        try:
            start_and_wait(servers(settings), console)
        except KeyboardInterrupt:
            console.print("interrupted: stopping what was being started")
            _stop([server for server in servers(settings) if server.name in missing])
            raise
        if settings.secrets_folder.exists():
            _add_users(settings)
        prepare(settings)
        return settings


def _secure(settings: Settings) -> Settings:
    """Make keys and passwords; the settings with them."""
    running = [server.name for server in servers(settings) if server.process.find()]
    if running:
        raise CannotStart(f"{', '.join(running)} already let anybody in; stop them first: anabranch down")
    credentials.make(settings)
    return load(home=settings.home, downloads=settings.downloads)


def _add_users(settings: Settings) -> None:
    """Make the users that are noted in the folder of secrets; those of them that exist get the noted password."""
    cassandra.lock_out_the_known_user(settings.cassandra)
    for identity, known_to in credentials.IDENTITIES.items():
        user = load(identity, home=settings.home, downloads=settings.downloads)
        if identity != "admin":
            kafka.add_user(settings.kafka, user.kafka)
            if "cassandra" in known_to:
                cassandra.add_user(settings.cassandra, user.cassandra)


def prepare(settings: Settings) -> None:
    """Create the topics and tables that are missing, and give the roles their rights."""
    schema.migrate(settings.cassandra)
    topics.create(settings, schema.holder(settings.cassandra).items_topic)
    access.grant(settings)


def down(settings: Settings) -> list[str]:
    """Stop what runs in the background of this home, our own first so that they can drain; the names."""
    stopped = [each.name for each in ours(settings) if each.stop()]
    return stopped + _stop(servers(settings))


def worker_process(settings: Settings) -> Process:
    """The worker that runs in the background of this home, if one does."""
    return ours(settings)[1]


def http_process(settings: Settings) -> Process:
    """The HTTP server that runs in the background of this home, if one does."""
    return ours(settings)[0]


def ours(settings: Settings) -> tuple[Process, Process]:
    """The HTTP server and the worker."""
    home = settings.home.resolve()
    return Process("http", home / "run", home / "logs"), Process("worker", home / "run", home / "logs")


def ailment(server: Server) -> str | None:
    """What keeps a server from serving. The cheap question first: a client that finds nothing tries for long."""
    if not ports.listens(server.ports[0], server.host):
        return f"nothing listens at {server.host}:{server.ports[0]}"
    return server.ailment()


def _stop(some: list[Server]) -> list[str]:
    """Stop servers side by side; the names of those that were running."""
    with ThreadPoolExecutor() as pool:
        ended = list(pool.map(lambda server: server.process.stop(), some))
    return [server.name for server, was_running in zip(some, ended, strict=True) if was_running]


def _stop_triton_if_models_are_missing(settings: Settings) -> None:
    """So that a model that was added or mended is loaded when Triton starts again."""
    server = next(each for each in servers(settings) if each.name == "triton")
    if server.process.find() and ailment(server) is None and triton.unready(settings.triton):
        server.process.stop()


def start_and_wait(all_servers: list[Server], console: Console) -> None:
    """Start what is not running, side by side, and wait until each is well. Raises CannotStart."""
    columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    given_up = threading.Event()
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor() as pool:
        starting = [pool.submit(_bring_up, server, progress, given_up) for server in all_servers]
        try:
            for each in starting:
                each.result()
        finally:
            given_up.set()


def _bring_up(server: Server, progress: Progress, given_up: threading.Event) -> None:
    task = progress.add_task(f"{server.name}: is it well?", total=1)
    if server.process.find() is None:
        progress.update(task, description=f"{server.name}: fetching (once) and starting")
        server.start()
        progress.update(task, description=f"{server.name}: starting")
    deadline = time.monotonic() + START_PATIENCE
    while (problem := ailment(server)) is not None:
        if server.process.find() is None:
            raise CannotStart(
                f"{server.name} ended at its start; {server.process.log} ends:\n{server.process.last_words()}"
            )
        if time.monotonic() > deadline:
            raise CannotStart(
                f"{server.name} is not well after {START_PATIENCE:.0f} s: {problem}; see {server.process.log}"
            )
        if given_up.wait(0.2):
            return
        if ports.listens(server.ports[0], server.host):
            server.admit()
    where = f"{server.host}, ports {', '.join(map(str, server.ports))}"
    progress.update(task, completed=1, description=f"{server.name}: up at {where}")
