"""What can go wrong, by name: each error says who, where, which and the limit."""


class AnabranchError(Exception):
    """The base of every error this project raises on purpose."""


class Rejected(AnabranchError):
    """A message that cannot be used; an event becomes a dead letter.

    reason  of an event, one of `streams.events.REASONS`: a metric label and a header of the dead letter
    detail  one sentence for the producer who sent it
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class EmbedderUnavailable(AnabranchError):
    """Triton gave no answer in the time allowed; the upload waits and is tried again."""


class OtherSpace(EmbedderUnavailable):
    """Vectors that would be made now do not compare with those of the items; what is to be embedded waits."""


class RankerUnavailable(AnabranchError):
    """Triton gave no scores in the time allowed, or did not do with its ranker what it was asked; lists go without."""


class PartRefused(AnabranchError):
    """One part of an item could not be embedded; the item goes on with its other parts."""


class StoreUnavailable(AnabranchError):
    """Cassandra gave no answer in the time allowed; nothing was acknowledged."""


class StoreMoved(AnabranchError):
    """Users and items are in another keyspace by now; whoever starts anew finds them."""


class Fenced(AnabranchError):
    """Another worker has claimed a partition since; what this one wrote of it has no effect, or will be overruled."""


class KafkaUnavailable(AnabranchError):
    """Kafka is away, does not let us in, or refuses what we ask."""


class SinkUnavailable(AnabranchError):
    """Kafka did not acknowledge what the worker published."""
