"""What ops watch. Units are in the names; a user's id is never a label."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from time import perf_counter

from prometheus_client import Counter, Gauge, Histogram

from streams import tracing
from streams.core.live_quality import LiveFigures
from streams.core.residual import Figures

_FAST = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_PLACES = (1, 2, 3, 5, 10, 20, 50, 100)
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

EVENTS = Counter("anabranch_events", "Events accepted", ["topic"])
REJECTED = Counter("anabranch_events_rejected", "Events refused and dead-lettered", ["topic", "reason"])
DUPLICATES = Counter("anabranch_events_duplicate", "Repeats of an event, which changed nothing", ["topic"])
FORGOTTEN = Counter("anabranch_users_forgotten", "Users erased because they asked for it")
OF_FORGOTTEN = Counter("anabranch_events_of_forgotten", "Events of before their user was forgotten, dropped", ["topic"])
OBJECTIONS = Counter(
    "anabranch_users_objecting", "Events by which users object to profiling, or to the use of a profile"
)
UNPROFILED = Counter(
    "anabranch_events_unprofiled", "Clicks and views of users who allow no profiling, not learned from"
)
LEFT_OUT = Counter(
    "anabranch_log_messages_left_out",
    "Messages that workers wrote and nobody can read: of their own logs, of which all workers leave out the same, of"
    " lists and of outcomes",
    ["topic", "reason"],
)
RULES = Gauge("anabranch_rules", "Business rules in force")
RULES_REFUSED = Counter("anabranch_rules_refused", "Changed files of rules that had mistakes, left aside")
RULE_USES = Counter("anabranch_rule_uses", "Lists that a business rule had a say in", ["rule"])
MODERATED = Counter("anabranch_uploads_moderated", "Uploads that were looked at, by verdict", ["verdict"])
HELD = Gauge("anabranch_uploads_held", "Uploads that wait for a moderator, as `anabranch serve` knows")
DECIDED = Counter(
    "anabranch_uploads_decided", "Uploads that moderators allowed or refused by this `anabranch serve`", ["decision"]
)
LATE_UPLOADS = Counter("anabranch_uploads_late", "Uploads older than what is known of their item, left aside")
LISTS = Counter("anabranch_lists_emitted", "Refreshed lists published")
EXPERIMENT_LISTS = Counter("anabranch_experiment_lists", "Lists published, by arm", ["experiment", "arm"])
EXPERIMENT_HITS = Counter(
    "anabranch_experiment_hits", "Lists of which one of the first ten items was clicked, by arm", ["experiment", "arm"]
)
EXPERIMENT_MISMATCH = Gauge(
    "anabranch_experiment_mismatch",
    "p of users being dealt out so unevenly, told by `anabranch serve`; below 0.001 no figure of it counts",
    ["experiment"],
)
EXPERIMENT_SEVERAL = Gauge(
    "anabranch_experiment_users_in_several_arms",
    "Users left out of an experiment's figures: its plan was changed under them",
    ["experiment"],
)
EXPERIMENT_WORSENED = Gauge(
    "anabranch_experiment_guard_rail_broken",
    "1 while an arm is proven, at 1%, to worsen what it is not to",
    ["experiment", "arm", "guard_rail"],
)
LIST_CLICKS = Histogram(
    "anabranch_list_click_place", "Place, 1 the first, of a clicked item in the list that showed it", buckets=_PLACES
)
OTHER_LIST = Counter(
    "anabranch_list_clicks_astray",
    "Clicks that name another `position` or `variant` than the list that their user holds has: they saw another one",
    ["differs"],
)
PARTS_REFUSED = Counter(
    "anabranch_parts_refused", "Parts of items and queries that could not be embedded", ["modality", "reason"]
)
LANGUAGES = Counter("anabranch_texts_told", "Texts of items, by their language where it is clear", ["language"])
STAGE = Histogram(
    "anabranch_stage_seconds",
    "Time of one micro-batch in one stage: queue, embed, store, learn, advise, rank, emit",
    ["stage"],
    buckets=_FAST,
)
EVENT_TO_LIST = Histogram(
    "anabranch_event_to_list_seconds", "From an event's arrival in Kafka to the list it led to", buckets=_FAST
)
QUERY_TO_RESULTS = Histogram(
    "anabranch_query_to_results_seconds", "From a query's arrival in Kafka to its answer", buckets=_FAST
)
SEARCH_CLICKS = Histogram(
    "anabranch_search_click_place",
    "Place, 1 the first, of a clicked item in the answer that showed it",
    buckets=_PLACES,
)
SEARCH_LESSONS = Counter(
    "anabranch_search_lessons", "Clicks on answers, by what they taught of the weights of rankings", ["outcome"]
)
SEARCH_WEIGHT = Gauge(
    "anabranch_search_weight", "What clicks have made of a ranking's weight: so many times what was set", ["ranking"]
)
UNANSWERED = Counter("anabranch_queries_unanswered", "Queries for which nothing was found")
SEARCHABLE = Gauge("anabranch_searchable_items", "Items that can be found by a search")
BATCH = Histogram("anabranch_batch_events", "Events in a micro-batch", ["topic"], buckets=_COUNTS)
LAG = Gauge("anabranch_consumer_lag_events", "Events in Kafka not yet handled", ["topic", "partition"])
REPLICA_LAG = Gauge("anabranch_replica_lag_events", "Messages of the shared memory's log not yet followed", ["topic"])
ITEMS = Gauge("anabranch_index_items", "Items in the nearest-neighbour index")
OTHER_SPACE = Gauge(
    "anabranch_other_space",
    "1 while this part of items is embedded in another space than the items there are: uploads wait until"
    " `anabranch rebuild --embed`",
    ["part"],
)
OWNED = Gauge("anabranch_owned_partitions", "Partitions whose users and items this worker writes")
CACHED_USERS = Gauge("anabranch_cached_users", "Users held in this worker")
QUALITY = {
    "clicks": Gauge("anabranch_judged_clicks", "Clicks that lists are judged by: the latest 10,000 at most"),
    "recall": Gauge("anabranch_recall_at_10", "Share of these clicks whose item was in the list that the user held"),
    "precision": Gauge("anabranch_precision_at_10", "Share of the places of those lists that held it"),
    "ndcg": Gauge("anabranch_ndcg_at_10", "Recall, the higher the item stood the better: 1 / log2(1 + rank)"),
    "mrr": Gauge("anabranch_mrr_at_10", "The same, 1 / rank"),
    "coverage": Gauge("anabranch_coverage_at_10", "Share of the catalogue in any of those lists"),
    "novelty": Gauge(
        "anabranch_novelty_at_10_bits",
        "Self-information of the items in those lists, by how many of these clicks were on each until then",
    ),
    "gini": Gauge(
        "anabranch_exposure_gini",
        "How unevenly those lists show the catalogue: 0 all items alike, near 1 few items only",
    ),
}
GROUP_RECALL = Gauge(
    "anabranch_recall_at_10_by_group",
    "The same Recall, by the trait that `ANABRANCH_WORKER__QUALITY_TRAIT` names",
    ["group"],
)
EXPOSURE_SHARE = Gauge(
    "anabranch_exposure_share",
    "Share of the places of those lists whose item has a value of the attribute that `ANABRANCH_LISTS__EXPOSURE_PER`"
    " names, such as its maker; the 20 shown most",
    ["value"],
)
LIST_DIVERSITY = Gauge(
    "anabranch_list_diversity", "How unlike each other a list's items are: mean of 1 - cosine, of the latest 100 lists"
)
UNJUDGED = Counter(
    "anabranch_clicks_unjudged", "Clicks of users whose list is not known to this worker, after a start or a rebalance"
)
UNADVISED = Counter("anabranch_lists_unadvised", "Lists made without the version that serves their user", ["version"])
ARM_WITHOUT_ITS_MODEL = Counter(
    "anabranch_lists_without_arms_model",
    "Lists made as everybody's, as Triton did not have the version that their arm of an experiment names",
    ["version"],
)
ADVICE = {
    "choices": Gauge("anabranch_ranker_choices", "Choices of users whose list a version had a part in", ["version"]),
    "gain": Gauge("anabranch_ranker_gain", "NDCG that it added, summed over these choices", ["version"]),
    "squares": Gauge("anabranch_ranker_gain_squares", "Squares of what it added to each, summed", ["version"]),
    "weight": Gauge("anabranch_ranker_weight", "What its scores count now; 0 while it does not gain", ["version"]),
}
HTTP = Histogram(
    "anabranch_http_seconds",
    "Time of an answer of `anabranch serve`, which shows these at its own port",
    ["route", "status"],
    buckets=_FAST,
)
HTTP_LISTS = Counter("anabranch_http_lists", "Lists given out over HTTP: made, fresh or stale", ["how"])
HTTP_FILES_KEPT_BACK = Counter(
    "anabranch_http_files_kept_back",
    "Files not shown: changed since they were uploaded, or unchecked, where uploads are moderated and this one was not",
    ["why"],
)
HTTP_STREAMS = Gauge("anabranch_http_streams", "Clients that wait for refreshed lists")
ERRORS = Counter("anabranch_dependency_errors", "Failed calls to Triton, Cassandra, Kafka", ["dependency", "error"])
RETRIES = Counter("anabranch_dependency_retries", "Calls tried again, after a pause", ["dependency"])
BREAKER_OPEN = Gauge(
    "anabranch_dependency_breaker_open",
    "1 while who cannot wait does not ask it, as call after call has failed",
    ["dependency"],
)
UNASKED = Counter("anabranch_dependency_unasked", "Calls refused at once while the breaker was open", ["dependency"])


def show_quality(figures: LiveFigures) -> None:
    """Set the gauges of quality."""
    for name, gauge in QUALITY.items():
        gauge.set(getattr(figures, name))
    GROUP_RECALL.clear()
    for group, recall in figures.groups.items():
        GROUP_RECALL.labels(group).set(recall)


def show_exposure(shares: Mapping[str, float]) -> None:
    """Set the gauges of who is shown."""
    EXPOSURE_SHARE.clear()
    for value, share in shares.items():
        EXPOSURE_SHARE.labels(value).set(share)


def show_advice(figures: Mapping[int, Figures]) -> None:
    """Set the gauges of shipped models; of versions that serve nobody any more they stay."""
    for version, each in figures.items():
        for name, gauge in ADVICE.items():
            gauge.labels(str(version)).set(getattr(each, name))


_stage = cache(STAGE.labels)  # to look a label up takes longer than to observe


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Time one stage of a micro-batch: queue, embed, store, learn, advise, rank or emit."""
    start = perf_counter()
    with tracing.span(name):
        yield
    _stage(name).observe(perf_counter() - start)
