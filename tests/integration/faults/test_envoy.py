"""Through a real Envoy with the shipped configuration: workers come and go, and no request is lost.

Two workers, two endpoints, clients that never pause. What is done to the workers is done to each in
turn; every request must be answered as if nothing had happened.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.integration.faults.probe import SOAK
from tests.integration.faults.proxied import Proxied, proxied
from tests.integration.process import until

ENGINES = ("native", "grpcio")
WORKERS = (0, 1) if SOAK else (0,)
TIMES = 5 if SOAK else 1


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
        lambda: running.workers.workers().get(worker, before) != before and running.healthy() == 2,
        f"worker {worker} is replaced after {number.name}",
        within=40,
    )


@pytest.mark.soak
def test_no_request_is_lost_whatever_happens_to_a_worker(engine: str, tmp_path: Path) -> None:
    """Stopped, killed, hanging and restarted in turn: requests go to the one that is there."""
    with proxied(tmp_path, engine) as running:
        told = []
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP) * TIMES:
            for worker in WORKERS:
                with running.load() as load:
                    until(lambda load=load: load.total > 50, "requests")  # type: ignore[misc]
                    replaced(running, worker, number)
                    seen = load.total
                    until(lambda load=load, seen=seen: load.total > seen + 50, "more")  # type: ignore[misc]
                told.append((f"{number.name} of worker {worker}", load))
        before = set(running.workers.workers().values())
        with running.load() as load:
            running.workers.signal(signal.SIGUSR2)
            until(
                lambda: (
                    len(now := set(running.workers.workers().values())) == 2 and not now & before
                ),
                "both are restarted",
                within=60,
            )
        told.append(("restart in turn", load))
    for what, load in told:
        print(
            f"\n{engine}, {what}: {load.total} requests, {load.lost} lost, {load.wrong} wrong,"
            f" slowest {load.slowest * 1000:.0f} ms",
            end="",
        )
    assert [what for what, load in told if load.lost or load.wrong] == []
