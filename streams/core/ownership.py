"""Who may write the users of a partition: fencing tokens (Kleppmann, "How to do distributed locking", 2016).

Kafka gives a partition to one worker at a time, yet a worker that slept through a rebalance wakes with old users in
memory and writes on their way. So a worker that is given a partition first claims it: it raises the partition's epoch,
by compare-and-set in the store. Every version of a user lies above the epoch it was written in and below the next, and
the version is the timestamp of the row: whatever a former owner still writes is older than what the present one wrote,
however late it comes. After a write, and before anything of it is committed, the owner makes sure that the epoch is
still its own. If it is not, somebody else may have read the user before the write came; the events stay uncommitted,
and the new owner handles them. A list that is out by then is older than the new owner's, and readers drop it.

Why nothing that Kafka counts will do instead. The generation of the consumer group starts anew when the group does.
Offsets are no order: a user's state merges three topics, and of two owners each may have seen an event that the other
has not. A wall clock says the opposite of what is wanted, as it is the sleeper who writes later.

An epoch is the wall clock in microseconds when the partition was claimed, or `ROOM` above the last epoch if that is
more: so clocks may differ, rows written before there were epochs are older, and numbers stay exact in JavaScript
until the year 2255.
"""

ROOM = 2**24  # versions in an epoch: enough for a user who changes every millisecond for four hours


def next_epoch(last: int | None, now: float) -> int:
    """The epoch of a new claim.

    last  the partition's epoch so far, None at its first claim
    now   of whichever clock is at hand, seconds since the epoch

    >>> next_epoch(None, now=1.5)
    1500000
    >>> next_epoch(10**12, now=1.5) - 10**12 == ROOM  # this clock is behind that of the last claim
    True
    """
    return max(int(now * 1e6), 0 if last is None else last + ROOM)


def next_version(version: int, epoch: int) -> int | None:
    """The version after this one, for the owner in that epoch; None if the epoch has no more, or is over.

    >>> next_version(3, epoch=100), next_version(101, epoch=100), next_version(100 + ROOM, epoch=100)
    (101, 102, None)
    """
    following = max(version, epoch) + 1
    return following if following < epoch + ROOM else None
