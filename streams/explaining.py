"""`anabranch explain`: why an item stands where it does in a user's list, in a sentence and a chart."""

from collections.abc import Mapping

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from encoders.contract import DIM
from streams.adapters.cassandra import CassandraStore
from streams.adapters.index import EFFORT_FOR_LISTS, VectorIndex
from streams.app import following
from streams.core.explain import Unexplained
from streams.errors import AnabranchError
from streams.knowledge import read_if_set
from streams.plan import read_plan
from streams.progress import reading
from streams.replica import Replica
from streams.rules import kept
from streams.settings import Settings
from streams.web.answers import Explained
from streams.web.catalogue import Shelf
from streams.web.reader import Reader

WIDTH = 30  # characters of the longest bar


async def explain(settings: Settings, user_id: str, item_id: str, past: int, console: Console) -> Explained:
    """Follow the logs to their end, as every worker does, and explain; progress on the console. Raises AnabranchError.

    past  so many of the user's latest items are taken away in turn
    """
    worker = settings.worker
    store = await CassandraStore.connect(settings.cassandra, dedup_window=1)
    try:
        index, shelf = VectorIndex(DIM, EFFORT_FOR_LISTS), Shelf()
        known = read_if_set(worker.knowledge_file)
        replica = Replica(
            index, worker="explain", items_topic=store.items_topic, settings=settings.recommender, known=known
        )
        reader = Reader(
            store,
            replica,
            index.nearest,
            shelf,
            worker.fusion_weights,
            worker.taste_half_life_seconds,
            plan=read_plan(worker.experiments),
        )
        replica.on_item, replica.on_learned = shelf.put, reader.learned
        with reading(console) as told:
            async with kept(worker.rules_file, replica), following(settings.kafka, replica, told=told):
                return await reader.explanation(settings.kafka.pseudonym(user_id), item_id, past)
    except Unexplained as refusal:
        raise AnabranchError(str(refusal)) from refusal
    finally:
        await store.close()


def show(each: Explained, console: Console) -> None:
    """Print the sentence, and bars: right and green for what speaks for the item, red for what speaks against it."""
    console.print(each.sentence, highlight=False)
    past = {touch.title or touch.item_id: touch.effect for touch in each.past}
    places = {touch.title or touch.item_id: str(touch.place or "-") for touch in each.past}
    parts = dict(sorted(each.parts.items(), key=lambda part: -abs(part[1])))
    console.print(
        Group(
            chart(f"what each expert adds to the score, {each.score:.3f}", parts),
            chart("what each modality adds to the closeness to the taste", each.closeness),
            chart("what the score loses without a past item, and the place it would then have", past, places),
        )
    )


def chart(title: str, values: Mapping[str, float], notes: Mapping[str, str] | None = None) -> Table:
    """Numbers as bars of text.

    >>> Console(width=80).print(chart("parts", {"similar": 2.0, "bias": -1.0}))  # doctest: +NORMALIZE_WHITESPACE
    parts
    similar +2.000 ██████████████████████████████
    bias    -1.000 ███████████████
    """
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    longest = max(map(abs, values.values()), default=0.0) or 1.0
    for name, value in values.items():
        bar = Text("\u2588" * round(WIDTH * abs(value) / longest), style="green" if value > 0 else "red")
        table.add_row(name, f"{value:+.3f}", *([notes[name]] if notes else []), bar)
    return table
