"""What a worker owns between two rebalances: partitions, and the users of theirs that it holds in memory."""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from streams.core.ownership import next_version
from streams.core.user import UserState
from streams.errors import Fenced
from streams.pipeline.intake import Accepted


class Owned(Struct):
    """The partitions that this worker owns, and their users held in memory.

    A rebalance replaces it as a whole: a batch that began before goes on with what it began with.

    epochs   partition -> the epoch in which it was claimed, see `core.ownership`
    writing  user -> writes on their way: until they are acknowledged, the store may know an older state than we do
    """

    epochs: Mapping[int, int] = {}
    users: OrderedDict[str, UserState] = field(default_factory=OrderedDict)
    writing: Counter[str] = field(default_factory=Counter)

    def epochs_of(self, accepted: Sequence[Accepted]) -> dict[int, int]:
        """The epochs of the partitions that a batch is from. Raises Fenced where one is not ours."""
        partitions = {message.partition for message, _ in accepted}
        if missing := partitions - self.epochs.keys():
            raise Fenced(f"{accepted[0][0].topic} partition {min(missing)} is not claimed by this worker")
        return {partition: self.epochs[partition] for partition in partitions}

    def next_version(self, user: UserState, partition: int) -> int:
        """Of the user, who is of that partition. Raises Fenced where another worker has written in a later epoch."""
        epoch = self.epochs[partition]
        version = next_version(user.version, epoch)
        if version is None:
            raise Fenced(f"partition {partition}: a user has version {user.version}, beyond epoch {epoch}")
        return version

    def shrink(self, limit: int) -> None:
        """Let go of the users not seen for longest, until at most so many are held or the next is being written."""
        while len(self.users) > limit and next(iter(self.users)) not in self.writing:
            self.users.popitem(last=False)

    def written(self, users: Mapping[str, UserState]) -> None:
        """A write of these, counted in `writing`, is acknowledged."""
        for user_id in users:
            self.writing[user_id] -= 1
            if not self.writing[user_id]:
                del self.writing[user_id]
