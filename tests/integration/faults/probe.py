"""An honest client beside the trouble: it must be answered as if there were none."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import grpc

from regiongate.extauthz.service import SERVICE
from tests.integration.deployment import FRANCE, GERMANY, question, read
from tests.integration.faults import wire
from tests.integration.process import NO_PROXY, PATIENCE, Process

SOAK: Final = "REGIONGATE_SOAK" in os.environ
"""Whether this is `make soak`, which takes its time, and not `make test`."""

OWN = [*NO_PROXY, ("grpc.use_local_subchannel_pool", 1)]
"""A connection of its own: what is done to another's must not show."""

ENGINES = ("native", "grpcio")
EXPECTED = {FRANCE: 200, GERMANY: 451}


@dataclass(slots=True)
class Probe:
    """What became of the honest client's Checks.

    Attributes:
        taken: seconds that each took.
        failed: what went wrong with others.
    """

    taken: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        worst = max(self.taken, default=0.0) * 1000
        return (
            f"{len(self.taken)} Checks beside it, {len(self.failed)} lost, slowest {worst:.0f} ms"
        )


@contextmanager
def probing(process: Process) -> Iterator[Probe]:
    """Ask Checks one after the other until the end of the with statement."""
    probe, ended = Probe(), threading.Event()
    thread = threading.Thread(target=_ask, args=(process, probe, ended))
    thread.start()
    try:
        yield probe
    finally:
        ended.set()
        thread.join(PATIENCE)


def _ask(process: Process, probe: Probe, ended: threading.Event) -> None:
    with grpc.insecure_channel(wire.target(process), options=OWN) as channel:
        check = channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)
        while not ended.is_set():
            _ask_each(check, probe)


def _ask_each(check: grpc.UnaryUnaryMultiCallable[bytes, bytes], probe: Probe) -> None:
    for client, status in EXPECTED.items():
        started = time.monotonic()
        try:
            answer = read(check(question(client), timeout=PATIENCE))
        except grpc.RpcError as error:
            probe.failed.append(str(error))
            continue
        probe.taken.append(time.monotonic() - started)
        if answer.status != status:
            probe.failed.append(f"{client}: {answer}")


def figure(engine: str, what: str, probe: Probe | str) -> None:
    """Print what was measured."""
    print(f"\n{engine}, {what}", f": {probe}" if probe else "", sep="", end="")
