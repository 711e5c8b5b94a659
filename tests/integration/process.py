"""`regiongate serve` as a real process, asked over gRPC.

Nothing waits for a length of time: a condition is asked for until it holds or a deadline passes.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from regiongate.extauthz.service import SERVICE
from tests.integration.deployment import Answer, read

PATIENCE = 30.0
"""Seconds that a busy machine may take for what normally takes a fraction of one."""

NO_PROXY = [("grpc.enable_http_proxy", 0)]
"""gRPC would take a proxy from the environment even for the loopback interface."""

COMMAND = (sys.executable, "-m", "regiongate", "serve", "-c")

_READY = re.compile(r"serving on ([^\s,]+)")


def until(holds: Callable[[], bool], what: str, within: float = PATIENCE) -> float:
    """Ask until a condition holds, and return the seconds that took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() < started + within, f"{what}: not within {within:g} s"
        time.sleep(0.01)
    return time.monotonic() - started


@dataclass(frozen=True, slots=True)
class Process:
    """A running `regiongate serve`.

    Attributes:
        child: its handle.
        errors: the file that takes its standard error.
        channel: a connection to where it says that it serves.
    """

    child: subprocess.Popen[bytes]
    errors: Path
    channel: grpc.Channel

    def ask(self, asked: bytes) -> Answer:
        """Ask a Check."""
        check = self.channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)
        return read(check(asked, timeout=PATIENCE))

    def health(self) -> str:
        """Ask for the health of the authorization service."""
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        found = health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=PATIENCE)
        name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(found.status)
        return name

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.child.send_signal(number)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self.signal(signal.SIGTERM)
        return self.child.wait(PATIENCE)

    def said(self) -> str:
        """Return what it wrote to standard error."""
        return self.errors.read_text(errors="replace")


@contextmanager
def serving(config: Path, stdout: int | IO[bytes] = subprocess.DEVNULL) -> Iterator[Process]:
    """Serve a configuration until the end of the with statement."""
    errors = config.with_name("stderr")
    with errors.open("wb") as stderr:
        child = subprocess.Popen(
            [*COMMAND, config], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
    try:
        with grpc.insecure_channel(_address(child, errors), options=NO_PROXY) as channel:
            yield Process(child, errors, channel)
    finally:
        if child.poll() is None:
            child.kill()
        child.wait(PATIENCE)


def _address(child: subprocess.Popen[bytes], errors: Path) -> str:
    found: list[str] = []

    def said() -> bool:
        assert child.poll() is None, errors.read_text()
        found[:] = _READY.findall(errors.read_text())
        return bool(found)

    until(said, "regiongate says where it serves")
    return found[0]
