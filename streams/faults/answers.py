"""Which events have been answered with a list, and which still wait."""

import threading
import time

from streams.events import Event, Recommendations, Upload


class Answers:
    """Told of every event sent and of every list read, from two threads; asked from a third.

    All times are of the monotonic clock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, float] = {}  # event id -> when it was sent, oldest first
        self._last_answered = 0.0  # when the latest sent of the answered events was sent
        self._longest = 0.0

    def sent(self, event: Event) -> None:
        """Call before sending."""
        if not isinstance(event, Upload):
            with self._lock:
                self._waiting.setdefault(event.event_id, time.monotonic())

    def answered(self, each: Recommendations) -> None:
        now = time.monotonic()
        with self._lock:
            for event_id in each.event_ids:
                if (sent := self._waiting.pop(event_id, None)) is not None:
                    self._last_answered = max(self._last_answered, sent)
                    self._longest = max(self._longest, now - sent)

    def has_answered_since(self, moment: float) -> bool:
        """Whether any event that was sent after that moment has been answered."""
        with self._lock:
            return self._last_answered > moment

    def delay(self) -> float:
        """Seconds that the oldest unanswered event has waited; 0 when none does."""
        with self._lock:
            oldest = next(iter(self._waiting.values()), None)
        return 0.0 if oldest is None else time.monotonic() - oldest

    def begin(self) -> None:
        """Forget how long events have waited until now."""
        with self._lock:
            self._longest = 0.0

    def longest(self) -> float:
        """Seconds that an event has waited at most for its list that came since `begin`, or still waits."""
        with self._lock:
            longest = self._longest
        return max(longest, self.delay())

    def waiting(self) -> list[str]:
        """Ids of the unanswered events."""
        with self._lock:
            return list(self._waiting)
