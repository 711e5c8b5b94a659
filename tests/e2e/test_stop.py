"""RegionGate stops without losing a request, and nothing passes once it is gone."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import grpc
import pytest

from demo.address import Address
from demo.client import Answer
from demo.stack import NO_PROXY, SERVICE, Settings, Stack, serving, started
from tests.e2e.clients import FRANCE, IRAN, send

CALLERS = 4
STOPS_WITHIN = 15.0


@dataclass(slots=True)
class Calls:
    """What became of calls that several callers made one after the other, and when."""

    succeeded: list[float] = field(default_factory=list)
    failed: list[tuple[float, str]] = field(default_factory=list)


@pytest.fixture
def own_stack(variant: Settings, database: Path) -> Iterator[Stack]:
    """A stack that a test may stop; it goes on answering for a second after it has said so."""
    settings = Settings(database=database, engine=variant.engine, unix=variant.unix, notice="1s")
    with started(settings) as stack:
        yield stack


def test_a_stop_is_announced_and_loses_no_check(own_stack: Stack) -> None:
    """After NOT_SERVING Checks go on being answered, long enough for a caller to turn elsewhere."""
    target, process = own_stack.authorization, own_stack.regiongate
    with calling(lambda: checker(target)) as calls:
        process.wait_until(lambda: len(calls.succeeded) > 200, "no Checks were answered")
        process.child.send_signal(signal.SIGTERM)
        process.wait_until(lambda: not serving(target), "still SERVING")
        announced = len(calls.succeeded)
        process.wait_until(lambda: len(calls.succeeded) > announced + 200, "Checks stopped")
    assert calls.failed == []
    assert process.child.wait(STOPS_WITHIN) == 0


def test_every_request_through_envoy_is_decided_until_the_stop_was_announced(
    own_stack: Stack,
) -> None:
    """Clients see decisions, then 503 and nothing else; no request hangs or passes undecided."""
    target, process = own_stack.authorization, own_stack.regiongate
    with calling(lambda: requester(own_stack)) as calls:
        process.wait_until(lambda: len(calls.succeeded) > 100, "no requests were decided")
        process.child.send_signal(signal.SIGTERM)
        process.wait_until(lambda: not serving(target), "still SERVING")
        announced = time.monotonic()
        own_stack.envoy.wait_until(lambda: len(calls.failed) == CALLERS, "nothing was refused")
    assert [why for at, why in calls.failed if at < announced] == []
    assert {why for _, why in calls.failed} == {"503"}


def test_nothing_passes_without_regiongate(own_stack: Stack) -> None:
    """When RegionGate is killed, every request is answered with 503, and none with an allow."""
    own_stack.regiongate.child.kill()
    own_stack.regiongate.child.wait(STOPS_WITHIN)
    answers = [send(own_stack, client) for client in (FRANCE, IRAN) for _ in range(2)]
    assert {answer.status for answer in answers} == {503}


Call = Callable[[], str]
"""Makes one call; returns what went wrong, or nothing."""


@contextmanager
def calling(caller: Callable[[], Call]) -> Iterator[Calls]:
    """Let callers call, each until its first failure or the end of the with statement."""
    calls, ended = Calls(), threading.Event()
    threads = [
        threading.Thread(target=_call, args=(caller(), calls, ended)) for _ in range(CALLERS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield calls
    finally:
        ended.set()
        for thread in threads:
            thread.join(STOPS_WITHIN)


def _call(call: Call, calls: Calls, ended: threading.Event) -> None:
    while not ended.is_set():
        if wrong := call():
            calls.failed.append((time.monotonic(), wrong))
            return
        calls.succeeded.append(time.monotonic())


def checker(target: Address) -> Call:
    """Send Checks as Envoy does, over one connection."""
    channel = grpc.insecure_channel(str(target), options=NO_PROXY)
    check = channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)

    def call() -> str:
        try:
            check(b"", timeout=5)
        except grpc.RpcError as error:
            return str(cast("grpc.Call", error).code().name)
        return ""

    return call


def requester(stack: Stack) -> Call:
    """Send requests through Envoy."""
    return lambda: _undecided(send(stack, FRANCE))


def _undecided(answer: Answer) -> str:
    decided = answer.status == 200 and b"x-regiongate-decision-id" in answer.body
    return "" if decided else str(answer.status)
