"""Spans reach a collector, as children of what Envoy says in the metadata of the call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from regiongate.extauthz.service import SERVICE
from tests.integration.deployment import FRANCE, GERMANY, deploy, question
from tests.integration.process import PATIENCE, serving, until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FORGED = "f" * 32


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    """Collect spans as an OTLP collector does; yield where, and what has come."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            request = ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/traces", spans
        finally:
            server.shutdown()
            thread.join()


def test_a_check_is_a_span_of_the_requests_own_trace(tmp_path: Path) -> None:
    """The parent is Envoy's, from the call; the client's own traceparent header is not believed."""
    with collector() as (endpoint, spans):
        config = deploy(tmp_path, tracing={"endpoint": endpoint})
        with serving(config) as process:
            check = process.channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)
            asked = question(GERMANY, headers={"traceparent": f"00-{FORGED}-{PARENT}-01"})
            parent = f"00-{TRACE}-{PARENT}-01"
            check(asked, timeout=PATIENCE, metadata=(("traceparent", parent),))
            # Without a parent it is a trace of its own; one that was not sampled is none.
            check(question(FRANCE), timeout=PATIENCE)
            unsampled = f"00-{TRACE}-{PARENT}-00"
            check(question(FRANCE), timeout=PATIENCE, metadata=(("traceparent", unsampled),))
            assert process.stop() == 0
        until(lambda: len(spans) == 2, "both have come")
    first, second = spans
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, PARENT)
    assert second.parent_span_id == b""
    told = {one.key: one.value.string_value for one in first.attributes}
    assert told["regiongate.verdict"] == "deny"
    assert told["regiongate.rule"] == "unsupported-region"
    assert 0 <= first.end_time_unix_nano - first.start_time_unix_nano < 10**9


def test_a_collector_that_is_not_there_costs_nothing_but_spans(tmp_path: Path) -> None:
    """Checks are answered, and the process ends as ever."""
    config = deploy(tmp_path, tracing={"endpoint": "http://127.0.0.1:9/v1/traces"})
    with serving(config) as process:
        assert {process.ask(question(FRANCE)).status for _ in range(50)} == {200}
        assert process.stop() == 0
