"""How long a server is waited for: with pauses that grow and vary; or, by who cannot wait, not at all while it fails.

Tenacity retries, circuitbreaker breaks; here they are told of to operators.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from circuitbreaker import CircuitBreaker
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    stop_never,
    wait_random_exponential,
)

from streams import metrics
from streams.errors import AnabranchError

BREAKS_AFTER = 5  # failed calls in a row
BROKEN_SECONDS = (4.0, 6.0)  # each process its own time, lest all come back in one moment

log = structlog.get_logger()


def retrying(
    server: str,
    failures: type[Exception] | tuple[type[Exception], ...],
    *,
    first_pause: float,
    longest_pause: float,
    give_up: tuple[float, Callable[[RetryCallState], Any]] | None = None,
) -> AsyncRetrying:
    """Attempts at one call, after pauses that grow and vary; without `give_up` there is no end to them.

    server   as metrics name it
    failures  that may pass; all others are raised
    give_up  seconds after which it is called, in place of another attempt: it raises
    """

    def told(state: RetryCallState) -> None:
        metrics.RETRIES.labels(server).inc()
        if state.attempt_number in (3, 10) or state.attempt_number % 100 == 0:
            error = state.outcome.exception() if state.outcome else None
            log.warning(
                "a server does not answer, still trying", server=server, attempts=state.attempt_number, error=str(error)
            )

    seconds, gave_up = give_up or (None, None)
    return AsyncRetrying(
        retry=retry_if_exception_type(failures),
        wait=wait_random_exponential(multiplier=first_pause, max=longest_pause),
        stop=stop_never if seconds is None else stop_after_delay(seconds),
        before_sleep=told,
        retry_error_callback=gave_up,
    )


def breaker(server: str, *failures: type[BaseException]) -> CircuitBreaker:
    """Breaks after some calls in a row that end in one of these; seconds later, the next call tries it again."""
    made = CircuitBreaker(BREAKS_AFTER, random.uniform(*BROKEN_SECONDS), failures, name=server)  # noqa: S311
    metrics.BREAKER_OPEN.labels(server).set_function(lambda: made.opened)
    return made


@contextmanager
def unbroken(of: CircuitBreaker, refusal: type[AnabranchError]) -> Iterator[None]:
    """One call. Raises `refusal` at once while the breaker is open."""
    if of.opened:
        metrics.UNASKED.labels(of.name).inc()
        raise refusal(
            f"{of.name} is not asked for {of.open_remaining} s more: {of.failure_count} calls in a row failed,"
            f" the last with {of.last_failure!r}"
        )
    with of:
        yield
