"""The topics: how many partitions each has, and what is kept."""

from collections.abc import Mapping, Sequence

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import TopicAlreadyExistsError
from msgspec import Struct

from streams.adapters import connections
from streams.errors import AnabranchError
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
    Topic("forgotten", "that a user is forgotten", "user_id", kept="answers_days"),
    Topic(
        "moderation.queue",
        "an upload that waits for a moderator, with scores",
        "item_id",
        compact=True,
        personal=False,
    ),
    Topic(
        "items.embedded",
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


def create(settings: Settings) -> list[str]:
    """Create the topics that are missing; their names. Those that are there are kept for as long as is set from now on.

    Raises AnabranchError if one has another partition count.
    """
    kafka = settings.kafka
    with connections.kafka_admin(kafka) as admin:
        present = _partition_counts(admin)
        for topic in TOPICS:
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
        _keep(admin, [topic for topic in TOPICS if topic.name in present], settings.retention)
        missing = [topic for topic in TOPICS if topic.name not in present]
        new = [
            NewTopic(
                each.name,
                each.partitions(kafka),
                kafka.replication_factor,
                topic_configs=each.configuration(settings.retention),
            )
            for each in missing
        ]
        if new:
            try:
                admin.create_topics(new)
            except TopicAlreadyExistsError:  # another process was faster
                return []
        return [topic.name for topic in missing]


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


def partition_counts(settings: Kafka) -> Mapping[str, int]:
    """Topic -> its partitions, for those of our topics that exist. Raises KafkaUnavailable."""
    with connections.kafka_admin(settings) as admin:
        return _partition_counts(admin)


def identities(settings: Kafka) -> Mapping[str, str]:
    """Topic -> what tells it from another of the same name, before or after; raises KafkaUnavailable."""
    with connections.kafka_admin(settings) as admin:
        return {each["name"]: str(each["topic_id"]) for each in admin.describe_topics([topic.name for topic in TOPICS])}


def _partition_counts(admin: KafkaAdminClient) -> Mapping[str, int]:
    wanted = {topic.name for topic in TOPICS} & set(admin.list_topics())
    return {each["name"]: len(each["partitions"]) for each in admin.describe_topics(sorted(wanted))} if wanted else {}
