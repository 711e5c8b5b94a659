"""Broken and hostile connections: an honest client beside them is answered as ever."""

from __future__ import annotations

import random
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from tests.integration.deployment import deploy, question, read
from tests.integration.faults import wire
from tests.integration.faults.probe import ENGINES, OWN, SOAK, figure, probing
from tests.integration.process import NO_PROXY, PATIENCE, Process, serving, until

TIMES = 10 if SOAK else 1
MEGABYTE = 1 << 20


@pytest.fixture(scope="module", params=ENGINES)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Process]]:
    """Each engine, in a process that all these tests share: none of them may harm it."""
    engine: str = request.param
    folder = tmp_path_factory.mktemp(engine)
    with serving(deploy(folder, engine=engine)) as process:
        process.ask(question())
        yield engine, process
        assert process.stop() == 0
        assert "Traceback" not in process.said()
        # Whatever the engine, and gRPC's core below it, has to say of it all.
        assert [line for line in process.said().splitlines() if not line.startswith("{")] == []


GET = {**wire.CHECK, ":method": "GET"}
NOISE = random.Random(1).randbytes(20_000)

MALFORMED: dict[str, bytes] = {
    "not HTTP at all": NOISE,
    "HTTP/1.1": b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "half a preface": wire.PREFACE[:10],
    "noise after the preface": wire.HELLO + NOISE,
    "data on stream 0": wire.HELLO + wire.frame(0, 0, b"x"),
    "data on a stream that is not open": wire.HELLO + wire.data(5, b"x"),
    "headers that do not decompress": wire.HELLO + wire.frame(1, 1, b"\xff" * 50, 0x5),
    "a frame that is too large": wire.HELLO + wire.frame(0, 1, b"x" * 70_000),
    "settings of a wrong length": wire.HELLO + wire.frame(4, 0, b"xyz"),
    "a window that overflows": wire.HELLO + wire.frame(8, 0, b"\x7f\xff\xff\xff") * 2,
    "an even stream": wire.HELLO + wire.headers(2),
    "a kind of frame that is none": wire.HELLO + wire.frame(99, 1, b"x" * 100),
    "no method": wire.HELLO + wire.headers(1, {":path": "/"}),
    "GET": wire.HELLO + wire.headers(1, GET, ("END_HEADERS", "END_STREAM")),
    "a path without a slash": wire.HELLO + wire.headers(1, {**wire.CHECK, ":path": "x"}),
    "another content type": wire.HELLO
    + wire.headers(1, {**wire.CHECK, "content-type": "text/plain"})
    + wire.data(1, wire.message(question())),
    "a message cut short": wire.HELLO + wire.headers(1) + wire.data(1, wire.message(b"x" * 9)[:7]),
    "a length that lies": wire.HELLO + wire.headers(1) + wire.data(1, b"\0\xff\xff\xff\xffx"),
    "compressed with nothing": wire.HELLO
    + wire.headers(1)
    + wire.data(1, wire.message(b"x", compressed=1)),
    "a flag that is none": wire.HELLO
    + wire.headers(1)
    + wire.data(1, wire.message(b"x", compressed=7)),
    "two messages": wire.HELLO + wire.headers(1) + wire.data(1, wire.message(question()) * 2),
    "no message": wire.HELLO + wire.headers(1) + wire.data(1, b""),
    "pings without end": wire.HELLO + wire.frame(6, 0, b"12345678") * 20_000,
    "settings without end": wire.HELLO + wire.frame(4, 0, b"") * 20_000,
    "continuations without end": wire.HELLO
    + wire.headers(1, flags=())
    + wire.frame(9, 1, wire.block({"a": "b" * 1000})) * 5_000,
    "empty data without end": wire.HELLO + wire.headers(1) + wire.data(1, b"", end=False) * 20_000,
    "priorities without end": wire.HELLO + wire.frame(2, 3, b"\0\0\0\1\xff") * 20_000,
}


def test_what_is_malformed_harms_only_its_own_connection(served: tuple[str, Process]) -> None:
    """Whatever comes, the process goes on, and its memory stays bounded."""
    engine, process = served
    before = wire.resident(process)
    with probing(process) as probe:
        for content in list(MALFORMED.values()) * TIMES:
            with wire.connected(process) as connection:
                _send(connection, content)
                wire.heard(connection, 0.05)
    grown = (wire.resident(process) - before) / MEGABYTE
    figure(engine, f"{len(MALFORMED) * TIMES} malformed connections, {grown:.0f} MB more", probe)
    assert probe.failed == []
    assert grown < 64


def test_streams_that_are_reset_at_once_cost_little(served: tuple[str, Process]) -> None:
    """Rapid reset (CVE-2023-44487): calls that are given up as soon as they are begun."""
    engine, process = served
    streams = 20_000 * TIMES
    body = wire.data(1, wire.message(question()))
    started, sent = time.monotonic(), 0
    with probing(process) as probe:
        with wire.connected(process) as connection:
            for first in range(1, 2 * streams, 1000):
                calls = range(first, first + 1000, 2)
                if not _send(connection, b"" if first > 1 else wire.HELLO) or not _send(
                    connection,
                    b"".join(
                        wire.headers(one)
                        + body[:5]
                        + one.to_bytes(4, "big")
                        + body[9:]
                        + wire.reset(one)
                        for one in calls
                    ),
                ):
                    break
                sent += len(calls)
                _drain(connection)
        until(lambda: len(probe.taken) > 10, "Checks are answered")
    took = time.monotonic() - started
    figure(engine, f"{sent} of {streams} streams reset at once in {took:.1f} s", probe)
    assert probe.failed == []


def test_slow_senders_hold_up_nobody(served: tuple[str, Process]) -> None:
    """Connections that send a byte now and then keep neither a thread nor the loop."""
    engine, process = served
    asked = wire.message(question())
    with ExitStack() as closing, probing(process) as probe:
        slow = [closing.enter_context(wire.connected(process)) for _ in range(50)]
        for one in slow:
            one.sendall(wire.HELLO + wire.headers(1))
        for byte in asked[: 20 * TIMES]:
            for one in slow:
                _send(one, wire.data(1, bytes([byte]), end=False))
            time.sleep(0.02)
    figure(engine, "50 slow senders", probe)
    assert probe.failed == []


def test_idle_connections_cost_little(served: tuple[str, Process]) -> None:
    """900 of them, as many sidecars make, and the next one is served."""
    engine, process = served
    before = wire.resident(process)
    with ExitStack() as closing, probing(process) as probe:
        for _ in range(900):
            closing.enter_context(wire.connected(process)).sendall(wire.HELLO)
        with grpc.insecure_channel(wire.target(process), options=NO_PROXY) as channel:
            check = channel.unary_unary("/envoy.service.auth.v3.Authorization/Check", bytes, bytes)
            assert read(check(question(), timeout=PATIENCE)).status == 200
        grown = (wire.resident(process) - before) / 900 / 1024
    figure(engine, f"900 idle connections, {grown:.0f} kB each", probe)
    assert probe.failed == []


def test_a_message_that_is_too_large_is_denied(served: tuple[str, Process]) -> None:
    """Not failed: failure_mode_allow would make an allow of that."""
    engine, process = served
    options = [*NO_PROXY, ("grpc.max_send_message_length", -1)]
    with (
        probing(process) as probe,
        grpc.insecure_channel(wire.target(process), options=options) as channel,
    ):
        check = channel.unary_unary("/envoy.service.auth.v3.Authorization/Check", bytes, bytes)
        for size in (5, 17, 40) if not SOAK else (5, 17, 40, 200):
            answer = read(check(b"\x0a" + b"\xff" * size * MEGABYTE, timeout=60))
            assert (answer.status, answer["reason"]) == (403, "malformed_check")
    figure(engine, "messages of 5 to 40 MB", probe)
    assert probe.failed == []


def test_headers_without_number_are_denied(served: tuple[str, Process]) -> None:
    """More headers than any Envoy lets through are a clear denial."""
    engine, process = served
    many = {f"x-{number}": "v" for number in range(1001)}
    assert process.ask(question(headers=many))["reason"] == "malformed_check"
    assert process.ask(question(headers=dict(list(many.items())[:900]))).status == 200
    figure(engine, "900 headers judged, 1001 denied", "")


def test_running_out_of_file_descriptors_ends_no_connection(served: tuple[str, Process]) -> None:
    """Those that are there are answered; new ones are, once there are descriptors again."""
    engine, process = served
    pid, kind = process.child.pid, resource.RLIMIT_NOFILE
    before = resource.prlimit(pid, kind)
    with probing(process) as probe:
        until(lambda: len(probe.taken) > 2, "the probe is connected")
        in_use = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        resource.prlimit(pid, kind, (in_use + 8, before[1]))
        with ExitStack() as closing:
            for _ in range(40):
                closing.enter_context(wire.connected(process)).sendall(wire.HELLO)
            waiting = closing.enter_context(wire.connected(process))
            waiting.sendall(wire.HELLO)
            seen = len(probe.taken)
            until(lambda: len(probe.taken) > seen + 100 * TIMES, "Checks are answered all the same")
            assert wire.heard(waiting, 0.2) == b""
            resource.prlimit(pid, kind, before)
            # Without another attempt of its own: it was waiting to be accepted.
            took = until(lambda: wire.heard(waiting, 0.05) != b"", "what waited is served")
        took_new = until(lambda: _answers(process), "a new connection is served")
    said = f"no file descriptors left; {took:.1f} s after, what waited is served, {took_new:.1f} s"
    figure(engine, f"{said} later a new one", probe)
    assert probe.failed == []


def _answers(process: Process) -> bool:
    with grpc.insecure_channel(wire.target(process), options=OWN) as channel:
        check = channel.unary_unary("/envoy.service.auth.v3.Authorization/Check", bytes, bytes)
        try:
            return read(check(question(), timeout=5)).status == 200
        except grpc.RpcError:
            return False


def _send(connection: socket.socket, content: bytes) -> bool:
    """Send; the server may close the connection meanwhile, as is its right."""
    try:
        connection.sendall(content)
    except OSError:
        return False
    return True


def _drain(connection: socket.socket) -> None:
    connection.settimeout(0)
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass
    connection.settimeout(PATIENCE)
