"""Trouble with Checks, the clock, the disk and the files: decisions go on, and nothing piles up."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import grpc
import pytest
from grpc import aio

from regiongate.extauthz.service import SERVICE, Authorization, Event
from regiongate.runtime.engines import Engine, Server
from regiongate.runtime.engines.handler import Handler
from regiongate.runtime.limits import Calls
from regiongate.runtime.state import State
from regiongate.telemetry.metrics import Tally
from tests.integration.deployment import (
    EXEMPT,
    FRANCE,
    GERMANY,
    PLAIN,
    deploy,
    policy,
    question,
    read,
    rule,
)
from tests.integration.faults import wire
from tests.integration.faults.probe import ENGINES, OWN, SOAK, figure, probing
from tests.integration.process import PATIENCE, Process, serving, until
from tests.integration.workers.fleet import fetch, total

WINDOW = 256
"""Checks under way at once in a load."""


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Either engine."""
    chosen: Engine = request.param
    return chosen


def load(process: Process, checks: int) -> Counter[str]:
    """Ask many Checks of different clients, many at once; return how many had each outcome."""
    call = process.channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)
    asked = [
        question(f"{first}.{second}.0.1", key)
        for first in (2, 5, 8, 9, 77)
        for second in range(50)
        for key in (None, PLAIN, EXEMPT)
    ]
    told = Counter[str]()
    waiting: deque[grpc.Future[bytes]] = deque()
    for number in range(checks):
        waiting.append(call.future(asked[number % len(asked)], timeout=PATIENCE))
        if len(waiting) >= WINDOW:
            told[_outcome(waiting.popleft())] += 1
    for future in waiting:
        told[_outcome(future)] += 1
    return told


def _outcome(future: grpc.Future[bytes]) -> str:
    try:
        return read(future.result())["outcome"]
    except grpc.RpcError as error:
        return str(error)


def sample(admin: str, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples."""
    return total(fetch(f"http://{admin}/metrics"), name, labels)


@contextmanager
def watched(folder: Path, **changes: object) -> Iterator[tuple[Process, str]]:
    """Serve with an admin address, and yield it too."""
    listen = {"grpc": ["127.0.0.1:0"], "admin": "127.0.0.1:0"}
    with serving(deploy(folder, listen=listen, **changes)) as process:
        until(lambda: "admin 127" in process.said(), "it says where admin is")
        yield process, process.said().partition("admin ")[2].partition(",")[0]


@asynccontextmanager
async def answering(
    engine: Engine, handler: Handler
) -> AsyncIterator[Callable[[bytes], Awaitable[bytes]]]:
    """Serve a handler in this process, and lend what asks it over a connection."""
    server = Server(engine, handler)
    (where,) = await server.start(["127.0.0.1:0"])
    async with aio.insecure_channel(where, options=OWN) as channel:
        check = channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)
        yield partial(check, timeout=PATIENCE)
    await server.stop(0)


def test_checks_that_are_given_up_leave_nothing_behind(engine: str, tmp_path: Path) -> None:
    """Cancelled at once, or expired before they are answered: none stays in flight."""
    times = 20_000 if SOAK else 1_000
    with watched(tmp_path, engine=engine) as (process, admin):
        call = process.channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)
        with probing(process) as probe:
            for _ in range(times):
                call.future(question()).cancel()  # type: ignore[no-untyped-call]  # the stubs'
            expiring = [call.future(question(), timeout=0.0005) for _ in range(times)]
            expired = sum(one.exception() is not None for one in expiring)
        until(lambda: sample(admin, "regiongate_checks_in_flight") == 0, "none is in flight")
        assert "Traceback" not in process.said()
    figure(engine, f"{times} cancelled, {expired} of {times} expired", probe)
    assert probe.failed == []


async def test_a_clock_that_jumps_changes_decisions_by_date_and_nothing_else(
    engine: Engine, tmp_path: Path
) -> None:
    """Back and forth over the date from which a rule is enforced; durations stay what they are."""
    enforced = datetime(2026, 6, 1, tzinfo=UTC)
    dated = {
        **rule("dated"),
        "phases": {"warn": "2026-05-01T00:00:00Z", "enforce": "2026-06-01T00:00:00Z"},
    }
    config = deploy(tmp_path)
    (tmp_path / "policy.yaml").write_bytes(policy(dated))
    now, events, state = [enforced], list[Event](), State(config)
    authorization = Authorization(state.snapshot, events.append, lambda: now[0])
    calls = Calls(authorization.check, state.snapshot, events.append, Tally(), limit=10)
    steps = (-1, 1, -40, 3650, 0, -3650, 1) * 20
    async with answering(engine, calls.check) as ask:
        for step in steps:
            now[0] = enforced + timedelta(days=step)
            answer = read(await ask(question()))
            assert (answer["outcome"], answer["reason"] == "dated") == (
                ("deny", True) if step >= 0 else ("allow", step > -31)
            )
    slowest = max(event.seconds for event in events)
    figure(engine, f"{len(steps)} steps of the clock, slowest Check {slowest * 1000:.1f} ms", "")
    assert [event.seconds for event in events if not 0 <= event.seconds < 1] == []
    assert len(events) == len(steps)


def test_a_disk_that_is_full_costs_lines_and_counts_them(engine: str, tmp_path: Path) -> None:
    """Every Check is answered, and every line that is lost is counted."""
    checks = 50_000 if SOAK else 1_500
    with watched(tmp_path, engine=engine, decision_log={"path": "/dev/full"}) as (process, admin):
        with probing(process) as probe:
            told = load(process, checks)
        lost = len(probe.taken) + checks
        name = "regiongate_decision_log_lines_total"
        until(lambda: sample(admin, name, result="dropped") == lost, "all are counted")
        problems = fetch(f"http://{admin}/readyz").json()["problems"]
    figure(engine, f"{checks} Checks with a full disk, {told.total()} answered", probe)
    assert set(told) <= {"allow", "deny"}
    assert problems == ["worker 0: the decision log cannot be written"]
    assert probe.failed == []


def test_reloads_without_end_disturb_no_check(engine: str, tmp_path: Path) -> None:
    """A policy that changes every 50 ms under load: each Check is decided by one or the other."""
    seconds = 60 if SOAK else 2
    with watched(tmp_path, engine=engine) as (process, admin):
        versions = [policy(), policy(rule("closed", "source.country == 'FR'"))]
        ended, told = threading.Event(), Counter[str]()

        def ask() -> None:
            while not ended.is_set():
                answer = process.ask(question(FRANCE))
                told[answer["reason"]] += 1
                told[process.ask(question(GERMANY))["reason"]] += 1

        thread = threading.Thread(target=ask)
        thread.start()
        deadline, number = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            number += 1
            new = tmp_path / "policy.new"
            new.write_bytes(versions[number % 2])
            new.replace(tmp_path / "policy.yaml")
            process.signal(signal.SIGHUP)
            time.sleep(0.05)
        ended.set()
        thread.join(PATIENCE)
        taken = sample(admin, "regiongate_reloads_total", result="taken")
        refused = sample(admin, "regiongate_reloads_total", result="refused")
        worst = told.total()
    figure(engine, f"{number} changes, {taken:.0f} reloads, {worst} Checks, {dict(told)}", "")
    assert set(told) == {"otherwise", "closed", "unsupported_country"}
    assert (taken > seconds, refused) == (True, 0)


def test_memory_does_not_grow_with_checks(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a first part that fills what is remembered, the rest adds less than 5 %."""
    # glibc gives and takes megabytes for each of several threads, which says nothing of ours.
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    first, checks = (100_000, 1_000_000) if SOAK else (8_000, 8_000)
    log = {"path": "decisions.jsonl"}
    with watched(tmp_path, engine=engine, decision_log=log) as (process, _):
        told = load(process, first)
        before, started = wire.resident(process), time.monotonic()
        told += load(process, checks)
        took, after = time.monotonic() - started, wire.resident(process)
    growth = (after - before) / before
    said = f"{checks} Checks at {checks / took:.0f} a second: {before >> 20} MB, {growth:+.1%}"
    figure(engine, said, "")
    assert set(told) == {"allow", "deny"}
    assert growth < 0.05
