"""`anabranch`: every command says what it does, and what to do next when it cannot."""

from typing import Annotated

import typer
from rich.console import Console

from streams.errors import AnabranchError
from streams.settings import load

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
console = Console()


@app.command()
def up(
    fresh: Annotated[bool, typer.Option(help="Clear all data first.")] = False,
    free_ports: Annotated[bool, typer.Option(help="Take other ports where the usual ones are in use.")] = False,
) -> None:
    """Start Kafka, Cassandra and Triton, and create topics and tables. Data is kept between runs."""
    from deploy.local import servers

    settings = servers.up(load(), console, fresh=fresh, free_ports=free_ports)
    console.print(f"logs: {settings.home / 'logs'}   next: [bold]anabranch worker[/], stop with: [bold]anabranch down[/]")


@app.command()
def down() -> None:
    """Stop the servers that `up` started. Data is kept."""
    from deploy.local import servers

    stopped = servers.down(load())
    console.print(f"stopped: {', '.join(stopped) or 'nothing, none was running'}")


@app.command()
def worker() -> None:
    """Run one worker: it learns from events and refreshes lists. SIGTERM or Ctrl-C finishes the batch in hand."""
    import asyncio

    from streams.app import run_worker
    from streams.logs import set_up_logs

    set_up_logs()
    asyncio.run(run_worker(load()))


def main() -> None:
    """The entry point: known errors are one red line, not a traceback."""
    try:
        app()
    except AnabranchError as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}:[/] {error}", highlight=False)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
