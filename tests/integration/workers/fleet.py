"""`regiongate serve` with several addresses: its parent, its workers, and what it tells of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import grpc
from prometheus_client.parser import text_string_to_metric_families

from regiongate.extauthz.service import SERVICE
from tests.integration.deployment import Answer, deploy, question, read
from tests.integration.process import COMMAND, NO_PROXY, PATIENCE, until

OPTIONS = [*NO_PROXY, ("grpc.max_reconnect_backoff_ms", 100)]
"""gRPC would not try again for a second once it was refused."""

TWO = ["127.0.0.1:0", "127.0.0.1:0"]

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Page:
    """What the admin address answered."""

    status: int
    body: str

    def json(self) -> Any:
        """Read it as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Fleet:
    """A running parent.

    Attributes:
        child: its handle.
        errors: the file that takes its standard error and that of its workers.
        admin: its admin address.
        channels: a connection to each worker's address.
    """

    child: subprocess.Popen[bytes]
    errors: Path
    admin: str
    channels: tuple[grpc.Channel, ...]

    def ask(self, worker: int, asked: bytes = question(), within: float = PATIENCE) -> Answer:
        """Ask one worker a Check."""
        check = self.channels[worker].unary_unary(f"/{SERVICE}/Check", bytes, bytes)
        return read(check(asked, timeout=within, wait_for_ready=True))

    def answers(self, worker: int) -> bool:
        """Say whether a worker answers now."""
        check = self.channels[worker].unary_unary(f"/{SERVICE}/Check", bytes, bytes)
        try:
            read(check(question(), timeout=PATIENCE))
        except grpc.RpcError:
            return False
        return True

    def page(self, path: str, accept: str = "*/*") -> Page:
        """Ask the admin address."""
        return fetch(f"http://{self.admin}{path}", accept)

    def workers(self) -> Mapping[int, int]:
        """Return the processes of the workers that report, by number."""
        return {one["worker"]: one["pid"] for one in self.page("/info").json()["workers"]}

    def sample(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels."""
        return total(self.page("/metrics"), name, labels)

    def signal(self, number: signal.Signals) -> None:
        """Send the parent a signal."""
        self.child.send_signal(number)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self.signal(signal.SIGTERM)
        return self.child.wait(PATIENCE)

    def said(self) -> str:
        """Return what it and its workers wrote to standard error."""
        return self.errors.read_text(errors="replace")


def total(metrics: Page, name: str, labels: Mapping[str, str]) -> float:
    """Return the sum of a metric's samples; none of them is 0, of a metric that there is."""
    families = list(text_string_to_metric_families(metrics.body))
    assert any(name.startswith(family.name) for family in families), f"there is no {name}"
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def fetch(url: str, accept: str = "*/*", method: str = "GET") -> Page:
    """Make a request."""
    request = urllib.request.Request(url, headers={"accept": accept}, method=method)
    try:
        with _DIRECT.open(request, timeout=PATIENCE) as answer:
            return Page(answer.status, answer.read().decode())
    except HTTPError as error:
        with error:
            return Page(error.code, error.read().decode())


@contextmanager
def fleet(folder: Path, listen: Mapping[str, Any] | None = None, **changes: Any) -> Iterator[Fleet]:
    """Serve a configuration with two workers until the end of the with statement."""
    listen = {"grpc": TWO, "admin": "127.0.0.1:0", **(listen or {})}
    config = deploy(folder, listen=listen, **changes)
    errors = folder / "stderr"
    with errors.open("wb") as stderr:
        child = subprocess.Popen(
            [*COMMAND, config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
        )
    with ExitStack() as closing:
        closing.callback(_end, child)
        addresses, admin = _said(child, errors)
        channels = tuple(
            closing.enter_context(grpc.insecure_channel(address, options=OPTIONS))
            for address in addresses
        )
        yield Fleet(child, errors, admin, channels)


def alive(pid: int) -> bool:
    """Say whether a process runs."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def _said(child: subprocess.Popen[bytes], errors: Path) -> tuple[list[str], str]:
    until(lambda: child.poll() is not None or "decision log" in errors.read_text(), "it serves")
    said = errors.read_text()
    assert child.poll() is None, said
    addresses = re.findall(r"serving on (.*?) \(engine", said)
    admin = re.findall(r"admin (\S+),", said)
    return addresses[0].split(", "), admin[0]


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the parent, and with it its workers."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
    child.wait(PATIENCE)
