"""Settings -> what answers queries and what fetches media, alike in workers and in `anabranch serve`."""

from streams.adapters.deferred import Graphs
from streams.adapters.media import MediaReader
from streams.adapters.words import WordIndex
from streams.core.search.searcher import Searcher
from streams.core.search.settings import SearchSettings
from streams.ports import Embedder
from streams.replica import Replica
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


def empty_search(settings: Settings, embedder: Embedder, askers: Askers, replica: Replica, graphs: Graphs) -> Search:
    """What answers queries, before it knows any item.

    replica  of the process: what it says of rules, and of what clicks have taught, is kept to
    graphs   to be built once it knows all items
    """
    return Search(
        Searcher(numbers(settings), words=WordIndex(), space=graphs.empty),
        embedder=embedder,
        media=media_reader(settings.worker),
        askers=askers,
        items_topic=replica.items_topic,
        learned=replica.weights if learns(settings) else None,
        barred=replica.barred,
        unsafe=settings.search.unsafe,
        seconds=settings.search.seconds,
    )


def learns(settings: Settings) -> bool:
    """Whether clicks on answers teach what rankings count; not where nobody is to hear of what was shown to whom."""
    return settings.search.learns and not settings.privacy.epsilon


def numbers(settings: Settings) -> SearchSettings:
    """What a search goes by, as set."""
    search = settings.search
    return SearchSettings(weights=search.weights, taste=search.taste_weight, liking=search.liking_weight)
