"""Settings -> what answers queries and what fetches media, alike in workers and in `anabranch serve`."""

from collections.abc import Callable

from streams.adapters.deferred import Graphs
from streams.adapters.media import MediaReader
from streams.adapters.words import WordIndex
from streams.core.search.question import Barred
from streams.core.search.searcher import Searcher
from streams.core.search.settings import SearchSettings
from streams.ports import Embedder
from streams.search import Askers, Search
from streams.settings import Settings, Worker


def media_reader(worker: Worker) -> MediaReader:
    """What fetches the media of uploads and queries, within the limits that are set."""
    return MediaReader(
        worker.media_root,
        private_hosts=worker.media_private_hosts,
        stores=worker.media_stores,
        seconds=worker.media_seconds,
    )


def empty_search(
    settings: Settings,
    embedder: Embedder,
    askers: Askers,
    barred: Callable[[bytes | None, float], Barred],
    graphs: Graphs,
    items_topic: str,
) -> Search:
    """What answers queries, before it knows any item.

    graphs  to be built once it knows all
    """
    numbers = SearchSettings(weights=settings.search.weights, taste=settings.search.taste_weight)
    return Search(
        Searcher(numbers, words=WordIndex(), space=graphs.empty),
        embedder=embedder,
        media=media_reader(settings.worker),
        askers=askers,
        barred=barred,
        unsafe=settings.search.unsafe,
        seconds=settings.search.seconds,
        items_topic=items_topic,
    )
