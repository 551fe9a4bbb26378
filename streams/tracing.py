"""Traces (OpenTelemetry): a span for each micro-batch, and in it one for each of its stages; one for each HTTP request.

A batch is linked to the spans of the events that it is made of, which their producers put into Kafka's headers; what is
published carries the batch's. Until `set_up`, nothing of OpenTelemetry is imported. No span names a user, an item or an
event: where a message was in Kafka says enough.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from streams.errors import AnabranchError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

MAX_LINKS = 128  # of a span: what the SDK keeps unless told otherwise
PARENT = "traceparent"  # W3C Trace Context

Headers = Iterable[tuple[str, bytes]] | Mapping[str, bytes] | None


class NoTracing(AnabranchError):
    """Traces are asked for, and OpenTelemetry is not installed; the message says how to."""


class Message(Protocol):
    """As much of a message of Kafka as a span says."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def headers(self) -> Headers: ...


_UNTRACED = nullcontext()
_tracer: "Tracer | None" = None
_shut_down: Callable[[], None] = lambda: None  # noqa: E731


def set_up(endpoint: str, *, service: str, share: float = 1.0) -> None:
    """Send spans to a collector from now on, in the background. Raises NoTracing.

    endpoint  of OTLP over HTTP, such as http://127.0.0.1:4318
    share     of batches that are traced
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise NoTracing("ANABRANCH_TRACES__ENDPOINT needs OpenTelemetry: pip install 'anabranch[tracing]'") from error
    send_to(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces"), service=service, share=share)


def send_to(exporter: "SpanExporter", *, service: str, share: float = 1.0) -> None:
    """The same, to any exporter."""
    global _tracer, _shut_down
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(share)), resource=Resource.create({"service.name": service})
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer, _shut_down = provider.get_tracer("anabranch"), provider.shutdown


def shut_down() -> None:
    """Send what is left, and trace no more."""
    global _tracer, _shut_down
    _shut_down()
    _tracer, _shut_down = None, lambda: None


def batch(messages: Sequence[Message]) -> AbstractContextManager[None]:
    """Trace the handling of some messages: what begins within belongs to it."""
    if _tracer is None:
        return _UNTRACED
    from opentelemetry.trace import SpanKind

    first, topics = messages[0], " ".join(sorted({message.topic for message in messages}))
    attributes = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": topics,
        "messaging.destination.partition.id": str(first.partition),
        "messaging.kafka.offset": first.offset,
        "messaging.batch.message_count": len(messages),
    }
    name = f"process {topics}"
    return _span(_tracer, name, kind=SpanKind.CONSUMER, links=_links(messages), attributes=attributes)


@contextmanager
def request(method: str, route: str, parent: str | None) -> Iterator[Callable[[int], None]]:
    """Trace the answer to an HTTP request: what begins within belongs to it. Call what is yielded with its status.

    route   its template, never the path, which may name somebody
    parent  its `traceparent` header
    """
    if _tracer is None:
        yield lambda status: None
        return
    from opentelemetry.trace import SpanKind, StatusCode, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    def answered(status: int) -> None:
        span = get_current_span()
        span.set_attribute("http.response.status_code", status)
        if status >= 500:  # what the client did wrong is no failure of ours
            span.set_status(StatusCode.ERROR)

    attributes = {"http.request.method": method, "http.route": route}
    context = TraceContextTextMapPropagator().extract({PARENT: parent} if parent else {})
    with _span(_tracer, f"{method} {route}", kind=SpanKind.SERVER, context=context, attributes=attributes):
        yield answered


def span(name: str) -> AbstractContextManager[None]:
    """Trace a part of the batch in hand."""
    return _UNTRACED if _tracer is None else _span(_tracer, name)


@contextmanager
def _span(tracer: "Tracer", name: str, **options: Any) -> Iterator[None]:
    """Of a failure only the kind is told: its message may name somebody."""
    from opentelemetry.trace import StatusCode

    with tracer.start_as_current_span(
        name, record_exception=False, set_status_on_exception=False, **options
    ) as started:
        try:
            yield
        except BaseException as error:
            started.set_attribute("error.type", type(error).__name__)
            started.set_status(StatusCode.ERROR)
            raise


def headers() -> tuple[tuple[str, bytes], ...]:
    """For a message of Kafka: the span that it comes from. Empty where nobody traces in this process."""
    if "opentelemetry.trace" not in sys.modules:
        return ()
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return tuple((name, value.encode()) for name, value in carrier.items())


def trace_id() -> str:
    """Of the trace that is going on, 32 hexadecimal digits; empty where there is none."""
    if _tracer is None:
        return ""
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def _links(messages: Sequence[Message]) -> list[Any]:
    """To the spans that the messages come from, each once."""
    from opentelemetry.trace import Link, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parents = {value: None for each in messages for name, value in _pairs(each.headers) if name == PARENT}
    found = []
    for value in list(parents)[:MAX_LINKS]:
        context = TraceContextTextMapPropagator().extract({PARENT: value.decode("ascii", "replace")})
        parent = get_current_span(context).get_span_context()
        if parent.is_valid:
            found.append(Link(parent))
    return found


def _pairs(given: Headers) -> Iterable[tuple[str, bytes]]:
    return given.items() if isinstance(given, Mapping) else given or ()
