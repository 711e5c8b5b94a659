"""One, two and four workers behind one Envoy."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.deployment import regiongate
from bench.pairs import taking_turns
from bench.proxy import REQUESTS, envoy
from bench.report import Section
from demo.address import Tcp

WORKERS = (1, 2, 4)
ROUNDS = 7


def measure(rounds: int = ROUNDS) -> Section:
    """Measure how many requests a second pass with so many workers."""
    with tempfile.TemporaryDirectory(prefix="regiongate-") as folder, ExitStack() as cleanup:
        services: dict[str, list[Tcp]] = {}
        for workers in WORKERS:
            running = regiongate(Path(folder), engine="native", workers=workers)
            _, services[_named(workers)] = cleanup.enter_context(running)
        loads = cleanup.enter_context(envoy(Path(folder), services))
        things = {name: partial(loads[name].rate, REQUESTS) for name in services}
        rows = taking_turns(things, rounds=rounds)
    return Section(
        title="Requests a second through one Envoy of one thread, by workers",
        unit="1/s",
        floor=_named(1),
        rows=rows,
        notes=["h2load and Envoy take their part of the same cores: see the machine above."],
    )


def _named(workers: int) -> str:
    return f"{workers} worker{'s' if workers > 1 else ''}"
