"""Spans of Checks, sent over OTLP: what a Check took, as a part of the request's own trace.

Needs the `otel` extra. Envoy puts a `traceparent` into the metadata of the call; that is the
parent, and not the header of the same name in the request, which is the client's. Spans are sent in
batches by a thread; what it cannot keep up with is dropped.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from regiongate import __version__
from regiongate.extauthz.evidence import Metadata
from regiongate.extauthz.service import SERVICE, Event
from regiongate.telemetry.exchange import Session

PATIENCE: Final = 2.0
"""Seconds that the collector may take for a batch, all tries together; a stop waits no longer."""

_CARRIED: Final[Mapping[str, range]] = {
    # Of the one version there is: W3C Trace Context, 3.2.2.
    "traceparent": range(55, 56),
    # As much as everybody must pass on, 3.3.1.5; what is longer takes long to be read.
    "tracestate": range(513),
}
"""What is read of a call's metadata, and how long it may be."""


class Tracing:
    """Makes spans.

    Args:
        endpoint: of a collector: OTLP over HTTP, for instance http://127.0.0.1:4318/v1/traces.
        sample: the share of Checks without a parent that is traced, 0 to 1; a parent decides for
            those that have one.
    """

    def __init__(self, endpoint: str, sample: float = 1.0) -> None:
        self._provider = TracerProvider(
            resource=Resource.create(
                {"service.name": "regiongate", "service.version": __version__}
            ),
            sampler=ParentBased(TraceIdRatioBased(sample)),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(endpoint, timeout=PATIENCE, session=Session(PATIENCE))
            )
        )
        # It quotes every tracestate that is none, and that is what anybody may have sent.
        logging.getLogger("opentelemetry.trace.span").setLevel(logging.ERROR)
        self._tracer = self._provider.get_tracer("regiongate", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def record(self, event: Event) -> None:
        """Make the span of an answered Check."""
        start = int(event.call.time.timestamp() * 1e9)
        span = self._tracer.start_span(
            f"{SERVICE}/Check",
            context=self._propagator.extract(_carrier(event.call.metadata), Context()),
            kind=SpanKind.SERVER,
            attributes=_attributes(event),
            start_time=start,
        )
        if event.told.outcome == "error":
            span.set_status(Status(StatusCode.ERROR, event.told.reason))
        span.end(start + int(event.seconds * 1e9))

    def close(self) -> None:
        """Send what is waiting, and stop; what the collector does not take in time is lost.

        The provider would wait for each batch that is left, and for a look-up of the collector's
        name as long as the system does.
        """
        stopping = threading.Thread(target=self._provider.shutdown, daemon=True)
        stopping.start()
        stopping.join(PATIENCE)


def _carrier(metadata: Metadata) -> dict[str, str]:
    return dict(_carried(metadata))


def _carried(metadata: Metadata) -> Iterator[tuple[str, str]]:
    for name, value in metadata:
        if isinstance(value, str) and len(value) in _CARRIED.get(name, ()):
            yield name, value


def _attributes(event: Event) -> dict[str, Any]:
    told = event.told
    said: Iterable[tuple[str, str]] = (
        ("decision_id", event.call.decision_id),
        ("verdict", told.outcome),
        ("policy_verdict", told.policy_verdict),
        ("policy", told.policy),
        ("rule", told.rule),
        ("reason", told.reason),
        ("country", told.country),
        ("key_id", told.key_id),
    )
    ours = {f"regiongate.{name}": str(value) for name, value in said if value}
    return {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": "Check", **ours}
