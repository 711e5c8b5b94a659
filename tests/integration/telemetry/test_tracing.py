"""Spans reach a collector, as children of what Envoy says in the metadata of the call."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from regiongate.extauthz.service import SERVICE
from regiongate.telemetry import exchange, tracing
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


# ---------------------------------------------------------------- collectors that misbehave

SECRET = "open-sesame-4711"
BEGIN = b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n"

Sending = Callable[[socket.socket], None]


def _dripping(begin: bytes) -> Sending:
    def send(connection: socket.socket) -> None:
        connection.sendall(begin)
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)

    return send


def _endless(connection: socket.socket) -> None:
    connection.sendall(BEGIN + b"\r\n")
    while True:
        connection.sendall(bytes(1 << 16))


def _refusing(connection: socket.socket) -> None:
    connection.sendall(f"HTTP/1.1 401 no {SECRET}\r\ncontent-length: 0\r\n\r\n".encode())


def _malformed(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n: x\r\n y\r\ncontent-length: 0\r\n\r\n")


@contextmanager
def answering(send: Sending) -> Iterator[int]:
    """Answer everyone who connects with what is sent; yield where."""

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            send(connection)
            while connection.recv(1 << 16):
                pass

    def accept(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept, args=(listening,))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def nobody() -> Iterator[int]:
    """Yield a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    yield port


LATE = "expected the whole answer sooner"
FAILING = {
    "a body a byte at a time": (answering(_dripping(BEGIN + b"\r\n")), LATE),
    "a header a byte at a time": (answering(_dripping(BEGIN + b"x: ")), LATE),
    "a status a byte at a time": (answering(_dripping(b"HTTP/1.1 ")), LATE),
    "without an end": (answering(_endless), "expected at most 65536 bytes of answer"),
    "no HTTP": (
        answering(lambda one: one.sendall(b"220 mail\r\n")),
        "expected an answer (BadStatusLine)",
    ),
    "nobody": (nobody(), "expected an answer (Connection refused)"),
}


@pytest.mark.parametrize(("serving", "said"), FAILING.values(), ids=FAILING)
def test_an_exchange_ends_in_time_and_in_size(
    serving: AbstractContextManager[int], said: str
) -> None:
    """Whatever the collector sends; the error names it, and nothing secret of its address."""
    with serving as port:
        url = f"http://me:{SECRET}@127.0.0.1:{port}/v1/traces?token={SECRET}"
        with pytest.raises(requests.RequestException) as failed:
            exchange.Session(0.3).request("POST", url, data=b"x", timeout=0.3)
    assert str(failed.value) == f"http://127.0.0.1:{port}: {said}"


def test_an_answer_is_read_and_its_reason_is_ours() -> None:
    """The connection is not kept, so that the next exchange has a time of its own."""
    with answering(_refusing) as port:
        session = exchange.Session(5.0)
        answers = [session.request("POST", f"http://127.0.0.1:{port}/") for _ in range(2)]
    assert [(one.status_code, one.reason) for one in answers] == [(401, "Unauthorized")] * 2


def _leading(connection: socket.socket) -> None:
    body = gzip.compress(bytes(64 << 20))
    head = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\nset-cookie: a=b\r\n"
    sized = f"content-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall(f"{head}{sized}".encode() + body)


def test_a_collector_leads_nowhere_and_leaves_nothing() -> None:
    """Its answer is neither followed nor inflated, and what it would have sent back is not kept."""
    with answering(_leading) as port:
        session = exchange.Session(5.0)
        answer = session.request("POST", f"http://127.0.0.1:{port}/")
    assert (answer.status_code, answer.history, [*session.cookies]) == (302, [], [])


def test_a_stop_waits_no_longer_than_it_says(tmp_path: Path) -> None:
    """Not for a collector that answers a byte at a time, however many batches are left."""
    with answering(_dripping(BEGIN + b"\r\n")) as port:
        config = deploy(tmp_path, tracing={"endpoint": f"http://127.0.0.1:{port}/v1/traces"})
        with serving(config) as process:
            check = process.channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)
            for _ in range(1200):  # more than two batches
                check(question(FRANCE), timeout=PATIENCE)
            started = time.monotonic()
            assert process.stop() == 0
            assert time.monotonic() - started < 3 * tracing.PATIENCE


SILENT = {"refusing": answering(_refusing), "malformed": answering(_malformed), "away": nobody()}


@pytest.mark.parametrize("collecting", SILENT.values(), ids=SILENT)
def test_no_secret_of_the_endpoint_is_logged(
    collecting: AbstractContextManager[int], tmp_path: Path
) -> None:
    """Nor what the collector says, nor a tracestate that is none."""
    with collecting as port:
        endpoint = f"http://me:{SECRET}@127.0.0.1:{port}/v1/traces?token={SECRET}"
        with serving(deploy(tmp_path, tracing={"endpoint": endpoint})) as process:
            check = process.channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)
            parent = ("traceparent", f"00-{TRACE}-{PARENT}-01")
            check(question(FRANCE), timeout=PATIENCE, metadata=(parent, ("tracestate", SECRET)))
            assert process.stop() == 0
            assert SECRET not in process.said()


CARRIED = {
    "a parent": ([("traceparent", "x" * 55), ("tracestate", "y" * 512)], "x" * 55, "y" * 512),
    "too long": ([("traceparent", "x" * 56), ("tracestate", "y" * 513)], None, None),
    "too short": ([("traceparent", "x" * 54), ("tracestate", "")], None, ""),
    "no text": ([("traceparent", b"x" * 55), ("baggage", "z")], None, None),
}


@pytest.mark.parametrize(("metadata", "parent", "state"), CARRIED.values(), ids=CARRIED)
def test_what_is_read_of_the_metadata(
    metadata: list[tuple[str, str | bytes]], parent: str | None, state: str | None
) -> None:
    """A traceparent of the one length there is, and a tracestate that everybody passes on."""
    carrier = tracing._carrier(metadata)
    assert (carrier.get("traceparent"), carrier.get("tracestate")) == (parent, state)
    assert "baggage" not in carrier
