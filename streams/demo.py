"""`anabranch demo`: real servers, a real catalogue, real people's clicks, and their lists changing as they click."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from msgspec import Struct, field
from rich.align import Align
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.local import servers
from streams.datasets.dataset import Dataset
from streams.datasets.movielens import movielens
from streams.datasets.stamps import stamps
from streams.events import Click, Profile, Recommendations, Upload, View
from streams.producer import EventProducer
from streams.replay import ListWatcher, Report, load_catalogue, play, summary
from streams.settings import Settings

CATALOGUES: dict[str, Callable[[Path], Dataset]] = {"movielens": movielens, "stamps": stamps}
CARDS = 3
SHOWN_ITEMS = 8
CARD_SECONDS = 4.0  # how long a user stays on the screen at least
REASONS = {
    "sequence": "often next",
    "similar": "often together",
    "moment": "often at once",
    "neighbours": "people like you",
    "embedding": "like your past",
    "graph": "two steps away",
    "stage": "users at your stage",
    "popular": "popular",
    "trending": "popular now",
    "content": "like your taste",
    "audience": "fits your profile",
    "exploration": "new",
}


def run(
    settings: Settings,
    console: Console,
    *,
    catalogue: str = "movielens",
    events: int = 12_000,
    events_per_second: float | None = None,
    keep: bool = False,
    picture: Path | None = None,
) -> Report:
    """Show the whole system at work; stops all it started, even on Ctrl-C.

    catalogue          'movielens' (people's real clicks) or 'stamps' (pictures and sounds, simulated visitors)
    events             how many to play, oldest first
    events_per_second  0 plays as fast as it goes; None at a pace that is good to watch
    keep               leave servers and worker running
    picture            write the last screen there, as SVG
    """
    console.rule("[bold]anabranch demo")
    try:
        settings = servers.up(settings, console, fresh=True, free_ports=True)
        worker = servers.worker_process(settings)
        with console.status(f"fetching the catalogue: {catalogue}"):
            dataset = CATALOGUES[catalogue](settings.downloads_folder)
        console.print(f"{dataset.name}: {len(dataset.uploads):,} items, {len(dataset.profiles):,} users")
        environment = {"ANABRANCH_HOME": str(settings.home)}
        if dataset.media_root:
            environment["ANABRANCH_WORKER__MEDIA_ROOT"] = str(dataset.media_root)
        worker.start([sys.executable, "-m", "streams.cli", "worker"], env=environment)
        servers.http_process(settings).start([sys.executable, "-m", "streams.cli", "serve"], env=environment)
        page = f"http://{settings.http.host}:{settings.http.port}/"
        console.print(f"live page: [bold]{page}[/]")
        with EventProducer(settings.kafka, as_they_are=True) as producer:
            load_catalogue(settings, console, producer, dataset.uploads, worker)
            pace = dataset.pace if events_per_second is None else events_per_second
            report = _show(settings, console, producer, dataset, events, pace, picture)
        console.print(summary(report))
        if dataset.liked:
            console.print(_how_well_liked(dataset, report))
        console.print(f"live page: {page}" + ("" if keep else "   (to look around longer: anabranch demo --keep)"))
        console.print(
            f"metrics: http://{settings.metrics.host}:{settings.metrics.port}/metrics   logs: {settings.home / 'logs'}"
        )
        return report
    except KeyboardInterrupt:
        console.print("interrupted")
        raise SystemExit(130) from None
    finally:
        if keep:
            console.print("everything goes on running; stop it with: [bold]anabranch down[/]")
        else:
            with console.status("stopping worker and servers"):
                servers.down(settings)
            console.print("stopped worker and servers; nothing is left running")


def _how_well_liked(dataset: Dataset, report: Report) -> str:
    """How much of the lists is what the users are known to like, and how much would be by chance."""
    shares = [
        sum(item.item_id in dataset.liked[user_id] for item in list_.items) / len(list_.items)
        for user_id, list_ in report.users.items()
    ]
    chance = sum(len(dataset.liked[user_id]) for user_id in report.users) / len(report.users) / len(dataset.uploads)
    return (
        f"of the last lists, {sum(shares) / len(shares):.0%} is of the kinds their visitor likes; chance: {chance:.0%}"
    )


class _Card(Struct):
    user_id: str
    since: float
    list_: Recommendations
    before: list[str] = field(default_factory=list)
    clicked: str = ""


class _Screen:
    """What the demo shows; told of sent events and of lists by two threads."""

    def __init__(self, dataset: Dataset, total: int) -> None:
        self._titles = {item.item_id: item.title for item in dataset.uploads}
        self._captions = dataset.captions
        self._total = total
        self._cards: list[_Card] = []
        self._clicked: dict[str, str] = {}
        self._recent: deque[tuple[float, int]] = deque(maxlen=40)
        self._lock = threading.Lock()

    def on_event(self, event: Upload | Profile | Click | View) -> None:
        if isinstance(event, Click):
            self._clicked[event.user_id] = event.item_id

    def on_list(self, each: Recommendations) -> None:
        now = time.monotonic()
        with self._lock:
            clicked = self._titles.get(self._clicked.get(each.user_id, ""), "")
            for card in self._cards:
                if card.user_id == each.user_id:
                    card.before = [item.item_id for item in card.list_.items]
                    card.list_, card.clicked = each, clicked
                    return
            fresh = _Card(each.user_id, now, each, clicked=clicked)
            if len(self._cards) < CARDS:
                self._cards.append(fresh)
                return
            oldest = min(range(CARDS), key=lambda place: self._cards[place].since)
            if now - self._cards[oldest].since > CARD_SECONDS:
                self._cards[oldest] = fresh

    def draw(self, report: Report) -> RenderableType:
        self._recent.append((time.monotonic(), report.sent - len(report.unanswered)))
        (first, before), (last, answered) = self._recent[0], self._recent[-1]
        rate = (answered - before) / max(last - first, 1e-9)
        recent = report.latencies[-500:]
        p50, p99 = (sorted(recent)[int(len(recent) * q)] * 1000 if recent else 0.0 for q in (0.5, 0.99))
        flow = Table.grid(expand=True, padding=(0, 2))
        headings = ("events answered", "events/s", "lists", "users", "event to list p50", "p99")
        for _ in headings:
            flow.add_column(justify="center", ratio=1)
        flow.add_row(*(Text(heading, style="dim") for heading in headings))
        figures = (f"{answered:,} / {self._total:,}", f"{rate:,.0f}", f"{report.lists:,}", f"{len(report.users):,}")
        flow.add_row(*(Text(figure, style="bold") for figure in (*figures, f"{p50:.0f} ms", f"{p99:.0f} ms")))
        stages = Align.center("click, view → Kafka → Faust agents → taste in Cassandra → ranking → recommendations")
        grid = Table.grid(expand=True)
        for _ in range(CARDS):
            grid.add_column(ratio=1)
        with self._lock:
            grid.add_row(*(self._draw_card(card) for card in self._cards))
        return Group(Panel(Group(stages, flow), title="live"), grid)

    def _draw_card(self, card: _Card) -> Panel:
        rows = Table.grid(padding=(0, 1), expand=True)
        rows.add_column(justify="right", style="dim")
        rows.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
        rows.add_column(style="dim italic", no_wrap=True, overflow="ellipsis", ratio=2)
        for place, item in enumerate(card.list_.items[:SHOWN_ITEMS]):
            was = card.before.index(item.item_id) if item.item_id in card.before else None
            came = "new" if was is None and card.before else "▲" if was is not None and was > place else ""
            rows.add_row(
                Text.assemble((came, "green"), f" {place + 1}"),
                Text(self._titles[item.item_id]),
                REASONS.get(item.reason, item.reason),
            )
        title = Text(f"{card.user_id}: {self._captions[card.user_id]}")
        clicked = Text.assemble(("clicked ", "dim"), (card.clicked or "nothing yet", "bold yellow"), no_wrap=True)
        return Panel(Group(clicked, rows), title=title)


def _show(
    settings: Settings,
    console: Console,
    producer: EventProducer,
    dataset: Dataset,
    events: int,
    events_per_second: float,
    picture: Path | None,
) -> Report:
    """Play the activity and draw what comes back until all is answered."""
    activity = list(islice(dataset.with_sign_ups(), events))
    screen = _Screen(dataset, len(activity))
    with ListWatcher(settings.kafka, screen.on_list) as watcher:

        def before(event: Upload | Profile | Click | View) -> None:
            screen.on_event(event)
            if not isinstance(event, Upload):
                watcher.expect(event)

        playing = threading.Thread(
            target=play,
            args=(producer, activity),
            kwargs={"events_per_second": events_per_second, "before": before},
        )
        with Live(console=console, refresh_per_second=8, transient=False) as live:
            playing.daemon = True
            playing.start()
            while playing.is_alive():
                live.update(screen.draw(watcher.report))
                playing.join(0.12)
            watcher.wait(patience=30)
            live.update(screen.draw(watcher.report))
        if picture:
            canvas = Console(record=True, width=150, file=Path("/dev/null").open("w"))  # noqa: SIM115
            canvas.print(screen.draw(watcher.report))
            canvas.save_svg(str(picture), title="anabranch demo")
        return watcher.report
