"""`anabranch`: every command says what it does, and what to do next when it cannot."""

import asyncio
import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from streams.deep import commands
from streams.errors import AnabranchError
from streams.settings import load

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)


class Catalogue(StrEnum):
    """What the demo can show."""

    movielens = "movielens"
    stamps = "stamps"


class Against(StrEnum):
    """What lists can be compared with."""

    baselines = "baselines"
    ablations = "ablations"
    nothing = "nothing"


class Recorded(StrEnum):
    """Real activity to be judged on."""

    movielens = "movielens"
    nowplaying = "nowplaying"


topics_app = typer.Typer(no_args_is_help=True, help="The topics and their schemas.")
app.add_typer(topics_app, name="topics")
rules_app = typer.Typer(no_args_is_help=True, help="Business rules that lists keep to.")
app.add_typer(rules_app, name="rules")
moderate_app = typer.Typer(no_args_is_help=True, help="Uploads that wait for a moderator.")
app.add_typer(moderate_app, name="moderate")
train_app = typer.Typer(no_args_is_help=True, help="Train what the encoders and fusion can learn, and measure it.")
app.add_typer(train_app, name="train")
experiments_app = typer.Typer(no_args_is_help=True, help="Try things on some users, and see what comes of it.")
app.add_typer(experiments_app, name="experiments")
commands.add_to(train_app)
app.command()(commands.retrain)
app.add_typer(commands.models_app, name="models")
console = Console()


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

    stopped = servers.down(load())
    console.print(f"stopped: {', '.join(stopped) or 'nothing, none was running'}")


@app.command()
def status() -> None:
    """Show what is up, and for what is unwell the next command. Exit code 1 when something is."""
    from deploy.local import status as health

    lines = health.report(load())
    console.print(health.table(lines))
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


@app.command()
def demo(
    catalogue: Annotated[
        Catalogue, typer.Option(help="Films and real clicks, or stamps with pictures and sounds.")
    ] = Catalogue.movielens,
    events: Annotated[int, typer.Option(min=1, help="Events to replay, oldest first.")] = 12_000,
    speed: Annotated[float | None, typer.Option(min=0, help="Events a second; 0 plays as fast as it goes.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave servers and worker running.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Write the last screen there, as SVG.")] = None,
) -> None:
    """Show the whole system at work, on fresh data; leaves nothing running."""
    from streams import demo as show

    show.run(
        load(),
        console,
        catalogue=catalogue.value,
        events=events,
        events_per_second=speed,
        keep=keep,
        picture=picture,
    )


@app.command()
def replay(
    events: Annotated[int, typer.Option(min=1, help="Recorded events to replay, of 100,943.")] = 200_000,
    speed: Annotated[float, typer.Option(min=0, help="Events a second; 0 plays as fast as it goes.")] = 0,
    patience: Annotated[float, typer.Option(min=1, help="Seconds without any list after which to give up.")] = 30,
) -> None:
    """Play MovieLens-100k into a running system, and report what came back. Exit code 1 if an event got no list."""
    from streams import replay as player

    report = player.replay(load(), console, events=events, events_per_second=speed, patience=patience)
    console.print(player.summary(report))
    raise typer.Exit(1 if report.unanswered else 0)


@app.command()
def verify(
    named: Annotated[int, typer.Option(min=1, help="Users and items to name, of those that differ.")] = 20,
) -> None:
    """Compare Cassandra's users and items with a replay of the events in Kafka. Exit code 1 when any differ."""
    import asyncio

    from streams import verify as verification

    report = asyncio.run(verification.verify(load(), console, named=named))
    console.print(verification.summary(report))
    for line in verification.named(report, named):
        console.print(line, markup=False, highlight=False)
    raise typer.Exit(0 if report.is_clean else 1)


@app.command()
def rebuild(
    since: Annotated[
        datetime | None, typer.Option("--from", help="Leave out what came before; without it the whole log counts.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not erase the users and items of before.")] = False,
) -> None:
    """Make users and items anew from the events in Kafka, beside running workers, and put them in place at once."""
    import asyncio

    from streams import rebuild as rebuilding

    moment = since.astimezone().timestamp() if since else None
    outcome = asyncio.run(rebuilding.rebuild(load(), console, since=moment, keep=keep))
    console.print(rebuilding.summary(outcome))
    console.print("workers and `anabranch serve` have ended, or do within seconds: start them again", highlight=False)


@app.command()
def evaluate(
    offline: Annotated[bool, typer.Option("--offline", help="In this process, without servers.")] = False,
    log: Annotated[
        Path | None, typer.Option(help="With --offline: events as JSON lines to replay, in place of a data set.")
    ] = None,
    dataset: Annotated[Recorded, typer.Option(help="Offline, real activity to replay.")] = Recorded.movielens,
    clicks: Annotated[int | None, typer.Option(min=100, help="Judge at most so many clicks, the oldest.")] = None,
    views: Annotated[
        bool, typer.Option("--views", help="Offline, replay MovieLens' ratings below 4 as views.")
    ] = False,
    rate: Annotated[
        float, typer.Option(min=0, help="Clicks a second; 0 waits for each list before the next click.")
    ] = 0,
    against: Annotated[
        Against | None, typer.Option(help="What to compare with, in this process; offline, baselines unless told.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Offline, a setting of the recommender.")
    ] = None,
    held: Annotated[
        bool, typer.Option("--held", help="Offline, judge the list made right after the user's event before.")
    ] = False,
    compare: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Compare with lists that --lists wrote, too.")
    ] = None,
    lists: Annotated[Path | None, typer.Option(help="Write the judged lists there, one JSON array a line.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write report.html, .png, .md and .json into that folder.")
    ] = None,
) -> None:
    """Judge the lists that the running system publishes, on MovieLens-100k and fresh data; or any log, offline."""
    from streams.evaluate.run import Wanted
    from streams.evaluate.run import evaluate as judge

    if (log or dataset != Recorded.movielens) and not offline:
        raise typer.BadParameter("only MovieLens goes through the running system: add --offline")
    default = Against.baselines if offline else Against.nothing
    wanted = Wanted(
        offline=offline,
        file=log,
        dataset=dataset.value,
        clicks=clicks,
        views=views,
        clicks_per_second=rate,
        against=(against or default).value,
        changes=_pairs(set_),
        held=held,
        compared={name: Path(file) for name, file in _pairs(compare).items()},
        lists=lists,
        folder=report,
    )
    judge(load(), console, wanted)


def _pairs(given: list[str] | None) -> dict[str, str]:
    """NAME=VALUE, any number of times."""
    if wrong := [each for each in given or [] if "=" not in each]:
        raise typer.BadParameter(f"{wrong[0]!r} is not NAME=VALUE")
    return dict(each.split("=", 1) for each in given or [])


def _pairs_of_lists(given: list[str] | None) -> dict[str, list[str]]:
    """NAME=VALUE, any number of times, a name also."""
    found: dict[str, list[str]] = {}
    for each in given or []:
        _pairs([each])
        name, _, value = each.partition("=")
        found.setdefault(name, []).append(value)
    return found


@app.command()
def scale(
    items: Annotated[list[int] | None, typer.Option(min=100, help="Size of a catalogue; may be given again.")] = None,
    clicks_per_item: Annotated[float, typer.Option(min=1, help="Clicks learned for each item, measured ones in.")] = 10,
) -> None:
    """Measure what an event costs the recommender as the catalogue grows, in this process, on one core."""
    from streams.evaluate import report
    from streams.evaluate import scale as costs

    sizes = items or [1_000, 3_000, 10_000, 30_000, 100_000]
    points = costs.run(load().downloads_folder, console, sizes, clicks_per_item=clicks_per_item)
    console.print(report.table(costs.sheet(points)))


@app.command("evaluate-search")
def evaluate_search(
    films: Annotated[
        Path | None, typer.Option(help="A folder with items.jsonl and posters/ of films, in place of the stamps.")
    ] = None,
    tastes: Annotated[
        bool, typer.Option("--tastes", help="With --films: what it is worth to know who asks, over MovieLens' clicks.")
    ] = False,
    items: Annotated[
        list[int] | None, typer.Option(min=1_000, help="Measure what a search takes among so many; may be given again.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the tables into.")] = None,
) -> None:
    """Ask for what is known to be there, by words alone, vectors alone and both; in this process, without servers."""
    from streams.evaluate.search.run import evaluate

    evaluate(load(), console, folder=films, tastes=tastes, sizes=items or [], page=report)


@app.command("evaluate-explanations")
def evaluate_explanations(
    clicks: Annotated[int, typer.Option(min=500, help="Of MovieLens-100k, the oldest.")] = 4_000,
    users: Annotated[int, typer.Option(min=1, help="Users whose lists are explained.")] = 10,
    past: Annotated[int, typer.Option(min=3, max=20, help="Past items of each that are taken away in turn.")] = 8,
) -> None:
    """Compare what explanations state with what is measured: a log replayed without each click, in this process."""
    from streams.evaluate import fidelity, report

    found = fidelity.run(load().downloads_folder, console, clicks=clicks, users=users, past=past)
    console.print(report.table(fidelity.sheet(found)))


@app.command("evaluate-diversity")
def evaluate_diversity(
    clicks: Annotated[int | None, typer.Option(min=1_000, help="Of MovieLens-100k, the oldest; else all.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Judge one in so many clicks of the last half.")] = 5,
    trait: Annotated[str, typer.Option(help="Of profiles, by whose values Recall is told apart.")] = "gender",
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the table into.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw Recall against each measure there, as PNG.")] = None,
) -> None:
    """Show what diversity, calibration and limits of exposure cost and give, on MovieLens-100k, in this process."""
    from streams.bench.report import write_between
    from streams.evaluate import plots, tradeoff
    from streams.evaluate import report as reports

    points = tradeoff.run(load().downloads_folder, console, clicks=clicks, every=every, trait=trait)
    console.print(reports.table(tradeoff.sheet(points)))
    if report:
        write_between(report, reports.markdown(tradeoff.sheet(points)), tradeoff.MARKS)
    if picture:
        picture.write_bytes(plots.png(tradeoff.draw(points)))


@app.command("evaluate-attack")
def evaluate_attack(
    clicks: Annotated[int, typer.Option(min=1_000, help="Of MovieLens-100k, the oldest, before the attack.")] = 10_000,
) -> None:
    """Push unpopular items by floods of clicks, with and without each defence, in this process."""
    from streams.evaluate import attack, report

    outcomes = attack.run(load().downloads_folder, console, clicks=clicks)
    console.print(report.table(attack.sheet(outcomes)))


@app.command()
def bench(
    events: Annotated[int, typer.Option(min=1_000, max=99_000, help="Recorded events in the backlog.")] = 30_000,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each variant is measured.")] = 2,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the result into.")] = None,
) -> None:
    """Measure a worker beside an empty Faust agent, without lists and without Faust, on servers of its own."""
    from streams.bench.run import run

    run(load(), console, events=events, rounds=rounds, report=report)


@app.command()
def faults(
    events: Annotated[int, typer.Option(min=1_000, help="Events that flow meanwhile.")] = 200_000,
    count: Annotated[int, typer.Option(min=1, help="Faults; of seven, one strikes all workers.")] = 50,
    workers: Annotated[int, typer.Option(min=2, help="Workers.")] = 3,
    seed: Annotated[int | None, typer.Option(help="Of an earlier run, to strike as it did.")] = None,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the result into.")] = None,
) -> None:
    """Kill and stop workers and servers at random while events flow. Exit code 1 unless every event counted once."""
    from streams import verify as verification
    from streams.bench.report import write_between
    from streams.faults.report import MARKS, markdown, table, verdict
    from streams.faults.run import run

    outcome = run(load(), console, events=events, faults=count, workers=workers, seed=seed)
    console.print(table(outcome))
    console.print(verdict(outcome), highlight=False)
    for line in verification.named(outcome.verified, limit=20):
        console.print(line, markup=False, highlight=False)
    if report:
        write_between(report, markdown(outcome), MARKS)
    raise typer.Exit(0 if outcome.is_clean else 1)


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=1, help="How long.")] = 30,
    share: Annotated[float, typer.Option(min=0.01, max=1, help="Of the worker's capacity, which is measured.")] = 0.7,
) -> None:
    """Load a worker steadily and watch its memory, lag and latency, on servers of its own. Exit code 1 on a loss."""
    from streams import soak as long_run

    outcome = long_run.run(load(), console, minutes=minutes, share=share)
    console.print(long_run.summary(outcome))
    raise typer.Exit(1 if outcome.unanswered else 0)


@app.command()
def recs(user_id: str) -> None:
    """Show the list a user has now."""
    from streams.consumer import latest

    found = latest(load("consumer").kafka, user_id)
    if found is None:
        console.print(f"user {user_id!r} has no list yet: send an event of theirs, or `anabranch replay`")
        raise typer.Exit(1)
    speaks = ", ".join(f"{name} {weight:.0%}" for name, weight in found.modalities.items())
    table = Table(title=f"user {user_id}, version {found.list_version}", caption=speaks and f"what speaks: {speaks}")
    for heading in ("", "item", "score", "reason", "because of"):
        table.add_column(heading)
    for place, item in enumerate(found.items, 1):
        table.add_row(str(place), item.item_id, f"{item.score:.3f}", item.reason, item.because or "")
    console.print(table)


@app.command()
def explain(
    user_id: str,
    item_id: str,
    past: Annotated[int, typer.Option(min=0, max=100, help="Latest items of the user, each taken away in turn.")] = 20,
) -> None:
    """Say why an item stands where it does in a user's list as it would be made now, and where without each click."""
    from streams import explaining

    explaining.show(asyncio.run(explaining.explain(load(), user_id, item_id, past)), console)


@app.command()
def forget(user_id: str) -> None:
    """Erase all that is known of a user, and wait until it is; says what was erased, and what expires when."""
    from streams import privacy

    privacy.forget(load(), user_id, console)


@app.command()
def export(user_id: str) -> None:
    """Print all that is held of a user, as JSON. Exit code 1 where nothing is."""
    from streams import privacy

    held = asyncio.run(privacy.export(load(), user_id))
    print(json.dumps(held, indent=2, ensure_ascii=False))
    raise typer.Exit(0 if held["user"] or held["list"] else 1)


@app.command()
def search(
    words: Annotated[str, typer.Argument(help="What to look for, in any language.")] = "",
    image: Annotated[str | None, typer.Option(metavar="FILE|URI", help="A picture like it.")] = None,
    audio: Annotated[str | None, typer.Option(metavar="FILE|URI", help="A sound like it.")] = None,
    speech: Annotated[str | None, typer.Option(metavar="FILE|URI", help="Somebody saying what to look for.")] = None,
    video: Annotated[str | None, typer.Option(metavar="FILE|URI", help="A video like it.")] = None,
    user: Annotated[str | None, typer.Option(help="Who asks: what they like comes first.")] = None,
    filter_: Annotated[
        list[str] | None, typer.Option("--filter", metavar="NAME=VALUE", help="Only such items; may be given again.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Items to show.")] = 10,
    offset: Annotated[int, typer.Option(min=0, max=900, help="Items to skip.")] = 0,
    unsafe: Annotated[bool, typer.Option("--unsafe", help="Show unsafe items, too.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show what spoke for each item.")] = False,
) -> None:
    """Search through the running system, in words, by example, or both."""
    from streams import asking

    media = {"image": image, "audio": audio, "speech": speech, "video": video}
    query = asking.query(
        words,
        {modality: given for modality, given in media.items() if given},
        user_id=user,
        filters=_pairs_of_lists(filter_),
        limit=limit,
        offset=offset,
        safe=not unsafe,
        explain=explain,
    )
    if not asking.show(load().kafka, query, console):
        raise typer.Exit(1)


@train_app.command("align")
def train_align(
    save: Annotated[Path | None, typer.Option(help="Write projections trained on all items there.")] = None,
    spoken: Annotated[str, typer.Option(help="Language of the speech: English, Spanish or French.")] = "English",
    splits: Annotated[int, typer.Option(min=0, help="Splits to measure on; 0 measures nothing.")] = 5,
) -> None:
    """Make modalities meet, on the stamps' own pairs of parts; print how well one finds another."""
    from encoders.training import stamps_report

    if spoken not in stamps_report.SPOKEN:
        raise typer.BadParameter(f"{spoken!r} is none of: {', '.join(stamps_report.SPOKEN)}")
    stamps_report.run(load().downloads_folder, save=save, spoken=spoken, splits=splits)


@train_app.command("compress")
def train_compress(
    splits: Annotated[int, typer.Option(min=0, help="Splits to measure on; 0 measures nothing.")] = 5,
) -> None:
    """Write networks in int8, for ANABRANCH_PRECISION to pick; print what each precision takes and loses."""
    from encoders.training import compression_report

    compression_report.run(load().downloads_folder, splits=splits)


@train_app.command("fusion")
def train_fusion(
    folder: Annotated[Path, typer.Argument(help="With items.jsonl, ml-100k.inter and posters/.")],
    splits: Annotated[int, typer.Option(min=1, help="Splits to judge on, beside two to choose by.")] = 5,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the tables into.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write there what serves the best way of fusing both.")] = None,
    method: Annotated[str | None, typer.Option(help="Save this way instead, such as 'attention'.")] = None,
) -> None:
    """Compare ways of fusing text and pictures on items that nobody has clicked yet."""
    from encoders.torch_fusion import METHODS
    from encoders.training import cold_items_report
    from encoders.training.cold_items import PLAIN
    from streams.bench.report import write_between

    settings = load()
    if method and method not in (known := [*PLAIN, *METHODS]):
        raise typer.BadParameter(f"{method!r} is none of: {', '.join(known)}")
    tables, weights = cold_items_report.run(
        folder, settings.downloads_folder, console, splits=splits, saved=save, method=method
    )
    console.print(tables, soft_wrap=True, markup=False, highlight=False)
    if report:
        write_between(report, tables, cold_items_report.MARKS)
    served = json.dumps(settings.worker.fusion_weights | weights)
    console.print(f"without training: ANABRANCH_WORKER__FUSION_WEIGHTS='{served}'", soft_wrap=True)
    if save:
        console.print(
            f"with it: ANABRANCH_PROJECTIONS={save} for Triton, ANABRANCH_WORKER__FUSION_FOLDER={save} for workers",
            soft_wrap=True,
        )


@rules_app.command("check")
def check_rules(file: Path) -> None:
    """Say what each rule of a file does, or name every mistake. Exit code 1 where there are any."""
    from streams import rules

    table = Table()
    for heading in ("rule", "does", "to", "for"):
        table.add_column(heading)
    for rule in rules.read(file):
        table.add_row(rule.name, *rules.described(rule))
    console.print(table)


@rules_app.command("cost")
def measure_rules(file: Path) -> None:
    """Measure what the rules of a file add to the time of a list, on MovieLens-100k, in this process, on one core."""
    from streams.evaluate import report
    from streams.evaluate import rules as costs

    console.print(report.table(costs.sheet(costs.run(load().downloads_folder, console, file))))


@experiments_app.command("check")
def check_experiments(
    plan: Path, user: Annotated[str | None, typer.Option(help="Show which arms this user is in.")] = None
) -> None:
    """Check a plan, and show who gets what. Exit code 1 where it cannot be carried out."""
    from streams import experiments

    checked = experiments.read_plan(plan)
    assert checked is not None
    console.print(experiments.shares(checked, user))


@experiments_app.command("report")
def report_experiments(
    plan: Annotated[Path | None, typer.Argument(help="The one that workers have been told of, unless given.")] = None,
    log: Annotated[Path | None, typer.Option(help="Outcomes as JSON lines, in place of those in Kafka.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What each experiment has shown by now. Look as often as you like: the figures hold at any moment."""
    from streams import experiments

    settings = load()
    path = plan or settings.worker.experiments
    checked = experiments.read_plan(path)
    if checked is None:
        raise typer.BadParameter("no plan: name one, or set ANABRANCH_WORKER__EXPERIMENTS")
    reports = experiments.report(checked, experiments.recorded(log) if log else experiments.published(settings.kafka))
    if as_json:
        print(experiments.as_json(reports))
        return
    for table in experiments.tables(reports):
        console.print(table)


@experiments_app.command("simulate")
def simulate_experiments(
    runs: Annotated[int, typer.Option(min=1, help="Experiments without a difference.")] = 1_000,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the table into.")] = None,
) -> None:
    """Run experiments in a made-up world: how often is a difference found where there is none, and where there is?"""
    from streams import experiments

    experiments.run_simulation(console, runs=runs, page=report)


@moderate_app.command("list")
def list_held() -> None:
    """Show what is held, the longest first, and why."""
    from streams import moderating

    console.print(moderating.table(moderating.held(load().kafka)))


@moderate_app.command("allow")
def allow_held(item_id: str) -> None:
    """List an item that is held; a later upload of it is looked at anew."""
    from streams import moderating

    moderating.allow(load(), item_id)
    console.print(f"item {item_id!r} is allowed", highlight=False)


@moderate_app.command("refuse")
def refuse_held(item_id: str) -> None:
    """Withdraw an item that is held; a later upload of it is looked at anew."""
    from streams import moderating

    moderating.refuse(load(), item_id)
    console.print(f"item {item_id!r} is refused", highlight=False)


@moderate_app.command("evaluate")
def evaluate_moderation() -> None:
    """Measure precision and recall on sentences labelled for this, and false alarms on the stamps' pictures."""
    from streams.evaluate import moderation, report

    console.print(report.table(moderation.sheet(moderation.run(load().downloads_folder))))


@topics_app.command("list")
def list_topics() -> None:
    """Show every topic: what it carries, its key, what is kept."""
    from streams.topics import TOPICS

    table = Table()
    retention = load().retention
    for heading in ("topic", "key", "carries", "kept"):
        table.add_column(heading)
    for topic in TOPICS:
        table.add_row(topic.name, topic.keyed_by, topic.purpose, topic.kept_for(retention))
    console.print(table)


@topics_app.command("create")
def create_topics() -> None:
    """Create the topics that are missing, and have all kept as long as is set."""
    from streams import topics

    created = topics.create(load())
    console.print(f"created: {', '.join(created) or 'nothing, all were there'}")


@topics_app.command("schemas")
def write_schemas(folder: Path) -> None:
    """Write the JSON Schema of every topic into a folder."""
    from streams.events import schemas

    folder.mkdir(parents=True, exist_ok=True)
    for topic, schema in schemas().items():
        (folder / f"{topic}.json").write_text(json.dumps(schema, indent=2) + "\n")
    console.print(f"wrote {len(schemas())} schemas to {folder}")


def main() -> None:
    """The entry point: known errors are one red line, not a traceback."""
    try:
        app()
    except AnabranchError as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}:[/] {error}", highlight=False)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
