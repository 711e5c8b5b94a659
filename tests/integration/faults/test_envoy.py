"""Through a real Envoy with the shipped configuration: workers come and go, and no request is lost.

Two workers, two endpoints, clients that never pause. What is done to the workers is done to each in
turn; every request must be answered as if nothing had happened.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest

from tests.integration.faults.probe import figure
from tests.integration.faults.proxied import Load, Proxied, proxied
from tests.integration.process import until

ENGINES = ("native", "grpcio")
WORKERS = (0, 1)
TIMES = 3
FROZEN_SECONDS = 1.0
"""Ten times what a try may take, and less than it takes the parent to replace a worker."""


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Either engine."""
    chosen: str = request.param
    return chosen


def replaced(running: Proxied, worker: int, number: signal.Signals) -> None:
    """Send a worker a signal, and wait until another has taken its place in Envoy's eyes."""
    before = running.workers.workers()[worker]
    os.kill(before, number)
    until(
        # One that has started reports before it serves, and Envoy may not have missed it at all.
        lambda: (
            running.workers.workers().get(worker, before) != before
            and running.workers.sample("regiongate_worker_up") == 2
            and running.healthy() == 2
        ),
        f"worker {worker} is replaced after {number.name}",
        within=40,
    )


def during(running: Proxied, happens: Callable[[], object]) -> Load:
    """Return what became of requests before, while and after something happened."""
    with running.load() as load:
        until(lambda: load.total > 50, "requests")
        happens()
        seen = load.total
        until(lambda: load.total > seen + 50, "more")
    return load


def freeze(running: Proxied, worker: int) -> None:
    """Let a worker hang for a moment."""
    pid = running.workers.workers()[worker]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(FROZEN_SECONDS)
    os.kill(pid, signal.SIGCONT)


def restart(running: Proxied) -> None:
    """Have every worker replaced, one after the other."""
    before = set(running.workers.workers().values())
    running.workers.signal(signal.SIGUSR2)
    until(
        lambda: len(now := set(running.workers.workers().values())) == 2 and not now & before,
        "both are restarted",
        within=60,
    )


def judged(engine: str, told: Iterable[tuple[str, Load]]) -> list[str]:
    """Print what became of requests, and name what cost any of them."""
    bad = []
    for what, load in told:
        figure(
            engine,
            f"{what}: {load.total} requests, {load.lost} lost, {load.wrong} wrong,"
            f" slowest {load.slowest * 1000:.0f} ms",
            "",
        )
        bad += [what] * bool(load.lost or load.wrong)
    return bad


@pytest.mark.soak
def test_no_request_is_lost_when_a_worker_hangs_or_dies(engine: str, tmp_path: Path) -> None:
    """Frozen for a while, killed, and stopped: requests go to the one that is there."""
    with proxied(tmp_path, engine) as running:
        told = [
            ("frozen", during(running, lambda: freeze(running, 0))),
            ("SIGKILL", during(running, lambda: replaced(running, 0, signal.SIGKILL))),
            ("SIGTERM", during(running, lambda: replaced(running, 1, signal.SIGTERM))),
        ]
    assert judged(engine, told) == []


@pytest.mark.soak
def test_no_request_is_lost_whatever_happens_to_a_worker(engine: str, tmp_path: Path) -> None:
    """Stopped, killed, hanging and restarted in turn, each worker again and again."""
    with proxied(tmp_path, engine) as running:
        told = [
            (
                f"{number.name} of worker {worker}",
                during(running, partial(replaced, running, worker, number)),
            )
            for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP) * TIMES
            for worker in WORKERS
        ]
        told.append(("restart in turn", during(running, lambda: restart(running))))
    assert judged(engine, told) == []
