"""Commands that start, stop and show what runs: servers, workers, HTTP."""

from typing import Annotated

import typer

from streams.cli.common import console
from streams.settings import load

app = typer.Typer()


@app.command()
def up(
    fresh: Annotated[bool, typer.Option(help="Clear all data first.")] = False,
    free_ports: Annotated[bool, typer.Option(help="Take other ports where the usual ones are in use.")] = False,
    secure: Annotated[bool, typer.Option("--secure", help="Let in known users only, over TLS; it stays so.")] = False,
) -> None:
    """Start Kafka, Cassandra and Triton, and create topics and tables. Data is kept between runs."""
    from deploy.local import servers

    settings = servers.up(load(), console, fresh=fresh, free_ports=free_ports, secure=secure)
    console.print(
        f"logs: {settings.home / 'logs'}   next: [bold]anabranch worker[/], stop with: [bold]anabranch down[/]"
    )


@app.command()
def down() -> None:
    """Stop the servers that `up` started. Data is kept."""
    from deploy.local import servers

    settings = load()
    stopped = servers.down(settings)
    nothing = f"nothing: none runs that was started from {settings.home.resolve()} (ANABRANCH_HOME)"
    console.print(f"stopped: {', '.join(stopped) or nothing}", highlight=False, soft_wrap=True)


@app.command()
def status() -> None:
    """Show what is up, and for what is unwell the next command. Exit code 1 when something is."""
    from deploy.local import status as health

    settings = load()
    lines = health.report(settings)
    console.print(health.table(lines, settings.home.resolve()))
    raise typer.Exit(0 if health.is_well(lines) else 1)


@app.command()
def prepare() -> None:
    """Create missing topics and tables and grant rights, where the servers are not started by `up`."""
    from deploy.local import servers

    servers.prepare(load())
    console.print("topics, tables and rights are there")


@app.command()
def worker(
    processes: Annotated[int, typer.Option(min=1, help="So many, at metrics ports one after the other.")] = 1,
) -> None:
    """Run a worker: it learns from events and refreshes lists. SIGTERM or Ctrl-C finishes the batch in hand."""
    import uvloop

    from streams.logs import set_up_logs

    set_up_logs()
    settings = load("worker")
    if processes > 1:
        from streams.processes import run_workers

        raise typer.Exit(uvloop.run(run_workers(processes, settings.metrics.port)))
    from streams.app import run_worker

    uvloop.run(run_worker(settings))


@app.command()
def serve() -> None:
    """Answer over HTTP: lists, items, users, events, and a page that shows the stream at work; until Ctrl-C."""
    import uvloop

    from streams.logs import set_up_logs
    from streams.serve import run

    set_up_logs()
    uvloop.run(run(load("http")))
