"""One, two and four workers behind one Envoy."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.deployment import ports, regiongate
from bench.pairs import taking_turns
from bench.proxy import REQUESTS, envoy
from bench.report import Section

WORKERS = (1, 2, 4)
ROUNDS = 7


def measure(rounds: int = ROUNDS) -> Section:
    """Measure how many requests a second pass with so many workers."""
    with tempfile.TemporaryDirectory(prefix="regiongate-") as folder, ExitStack() as cleanup:
        services = {_named(workers): ports(workers) for workers in WORKERS}
        for listen in services.values():
            cleanup.enter_context(regiongate(Path(folder), listen, engine="native"))
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
