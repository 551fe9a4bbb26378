"""The topics: how many partitions each has, and what is kept."""

import re
from collections.abc import Mapping, Sequence

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import TopicAlreadyExistsError
from msgspec import Struct
from msgspec.structs import replace

from streams.adapters import connections
from streams.errors import AnabranchError
from streams.events import DECISIONS, ITEMS, QUEUE, SHOWN
from streams.settings import Kafka, Retention, Settings

DAY_MS = 86_400_000
RETAINING = ("cleanup.policy", "retention.ms")


class Topic(Struct, frozen=True):
    """One topic.

    purpose   for people
    keyed_by  what the Kafka key is; one key's messages keep their order
    compact   keep the last message of each key, rather than all
    kept      the setting of `Retention` that says for how many days; '' and 0 are for ever
    ordered   one partition, because every worker is to read all messages in the same order; else as many as set
    personal  messages may name users
    """

    name: str
    purpose: str
    keyed_by: str
    compact: bool = False
    kept: str = ""
    ordered: bool = False
    personal: bool = True

    def partitions(self, settings: Kafka) -> int:
        """How many it has."""
        return 1 if self.ordered else settings.partitions

    def days(self, retention: Retention) -> int:
        """Of retention; 0 is for ever."""
        return getattr(retention, self.kept) if self.kept else 0

    def kept_for(self, retention: Retention) -> str:
        """In words."""
        days = self.days(retention)
        last = "last of each key" if self.compact else ""
        return ", ".join(filter(None, (last, f"{days} days" if days else "")))

    def configuration(self, retention: Retention) -> dict[str, str]:
        """Kafka's settings of the topic.

        Up to 4 MiB: what is over an event's own limit is to be dead-lettered. A new file a day, as Kafka erases whole
        files: what has expired, or was replaced under its key, is gone a day later.
        """
        common = {"max.message.bytes": str(4 * 1024 * 1024), "segment.ms": str(DAY_MS)}
        if self.compact:
            cleaning = {"min.cleanable.dirty.ratio": "0.2", "max.compaction.lag.ms": str(DAY_MS)}
            common |= cleaning | {"cleanup.policy": "compact"}
        if days := self.days(retention):
            policy = "compact,delete" if self.compact else "delete"
            common |= {"cleanup.policy": policy, "retention.ms": str(days * DAY_MS)}
        return common


TOPICS = (
    Topic("events.click", "a user chose an item", "user_id", kept="events_days"),
    Topic("events.view", "a user saw an item", "user_id", kept="events_days"),
    Topic("events.upload", "an item enters the catalogue, or changes", "item_id", kept="uploads_days", personal=False),
    Topic("events.profile", "what a user says of themselves", "user_id", kept="profiles_days"),
    Topic("events.query", "somebody looks for something", "event_id", kept="events_days"),
    Topic("events.forget", "a user is to be forgotten", "user_id", kept="profiles_days"),
    Topic("recommendations", "a user's refreshed list", "user_id", compact=True, kept="users_days"),
    Topic("experiments", "what came of lists, by arm of each experiment", "digest of user_id", kept="experiments_days"),
    Topic("search.results", "the answer to a query", "event_id of the query", kept="answers_days"),
    Topic(SHOWN, "what an answer showed and why, for the clicks on it", "event_id of the query", kept="answers_days"),
    Topic("forgotten", "that a user is forgotten", "user_id", kept="answers_days"),
    Topic(QUEUE, "an upload that waits for a moderator, with scores", "item_id", compact=True, personal=False),
    Topic(DECISIONS, "what moderators decided, who, when and why", "item_id", kept="uploads_days", personal=False),
    Topic(
        ITEMS,
        "an item's vectors, for every worker",
        "item_id",
        compact=True,
        ordered=True,
        personal=False,
    ),
    Topic(
        "interactions", "what was learned, for every worker's memory", "user_id", kept="interactions_days", ordered=True
    ),
    Topic("events.rejected", "dead letters: original bytes, the reason in headers", "as it was", kept="rejected_days"),
)


def all_of(items_topic: str = ITEMS) -> list[Topic]:
    """`TOPICS`, the log of items under the name that it has by now."""
    return [replace(topic, name=items_topic) if topic.name == ITEMS else topic for topic in TOPICS]


def create(settings: Settings, items_topic: str = ITEMS) -> list[str]:
    """Create the topics that are missing; their names. Those that are there are kept for as long as is set from now on.

    items_topic  the log of items

    Raises AnabranchError if one has another partition count.
    """
    kafka = settings.kafka
    with connections.kafka_admin(kafka) as admin:
        present = _partition_counts(admin, items_topic)
        for topic in (wanted_topics := all_of(items_topic)):
            count, wanted = present.get(topic.name), topic.partitions(kafka)
            if count is None or count == wanted:
                continue
            if topic.ordered:
                raise AnabranchError(
                    f"topic {topic.name!r} has {count} partitions, where all workers need one order: 1; delete it"
                )
            raise AnabranchError(
                f"topic {topic.name!r} has {count} partitions, where ANABRANCH_KAFKA__PARTITIONS is {wanted};"
                " events of one user would be split between workers"
            )
        _keep(admin, [topic for topic in wanted_topics if topic.name in present], settings.retention)
        missing = [topic for topic in wanted_topics if topic.name not in present]
        new = [_new(topic, settings) for topic in missing]
        if new:
            try:
                admin.create_topics(new)
            except TopicAlreadyExistsError:  # another process was faster
                return []
        return [topic.name for topic in missing]


def create_next_items(settings: Settings) -> str:
    """A new log of items beside the one there is; its name. Raises KafkaUnavailable."""
    with connections.kafka_admin(settings.kafka) as admin:
        name = f"{ITEMS}.{max(_logs_of_items(admin), default=1) + 1}"
        admin.create_topics([_new(topic, settings) for topic in all_of(name) if topic.name == name])
        return name


def delete_items(settings: Kafka, name: str) -> None:
    """Delete a log of items. Raises KafkaUnavailable."""
    with connections.kafka_admin(settings) as admin:
        admin.delete_topics([name])


def delete_unused_items(settings: Kafka, items_topic: str) -> list[str]:
    """Delete all logs of items but this one; their names. Raises KafkaUnavailable."""
    with connections.kafka_admin(settings) as admin:
        unused = [name for name in _logs_of_items(admin).values() if name != items_topic]
        if unused:
            admin.delete_topics(unused)
        return unused


def _logs_of_items(admin: KafkaAdminClient) -> dict[int, str]:
    """Number -> the log of items of that number; the first has none in its name."""
    found = {name: re.fullmatch(rf"{re.escape(ITEMS)}(?:\.(\d+))?", name) for name in sorted(admin.list_topics())}
    return {int(match[1] or 1): name for name, match in found.items() if match}


def _new(topic: Topic, settings: Settings) -> NewTopic:
    kafka, configuration = settings.kafka, topic.configuration(settings.retention)
    return NewTopic(topic.name, topic.partitions(kafka), kafka.replication_factor, topic_configs=configuration)


def _keep(admin: KafkaAdminClient, present: Sequence[Topic], retention: Retention) -> None:
    """Have Kafka keep these topics as long as is set, where it is told otherwise."""
    if not present:
        return
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in present]
    told = admin.describe_configs(resources)["topic"]
    changes = []
    for topic in present:
        now = {key: each["value"] for key, each in told[topic.name].items()}
        wanted = {key: each for key, each in topic.configuration(retention).items() if key in RETAINING}
        if not wanted.items() <= now.items():
            changes.append(ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=wanted))
    if changes:
        admin.alter_configs(changes)


def partition_counts(settings: Kafka, items_topic: str = ITEMS) -> Mapping[str, int]:
    """Topic -> its partitions, for those of our topics that exist. Raises KafkaUnavailable."""
    with connections.kafka_admin(settings) as admin:
        return _partition_counts(admin, items_topic)


def identities(settings: Kafka, items_topic: str) -> Mapping[str, str]:
    """Topic -> what tells it from another of the same name, before or after; raises KafkaUnavailable."""
    with connections.kafka_admin(settings) as admin:
        described = admin.describe_topics([topic.name for topic in all_of(items_topic)])
        return {each["name"]: str(each["topic_id"]) for each in described}


def _partition_counts(admin: KafkaAdminClient, items_topic: str) -> Mapping[str, int]:
    wanted = {topic.name for topic in all_of(items_topic)} & set(admin.list_topics())
    return {each["name"]: len(each["partitions"]) for each in admin.describe_topics(sorted(wanted))} if wanted else {}
