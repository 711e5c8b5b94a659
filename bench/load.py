"""Load: at full rate from h2load (nghttp2), at an even rate from bench.steady.

Either is one thread, not pinned to a core.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field

CONNECTIONS, STREAMS = 4, 32
"""Of h2load at full rate."""

GRPC = {"content-type": "application/grpc", "te": "trailers"}

_RATE = re.compile(r"finished in [^,]+, ([0-9.]+) req/s")
_CODES = re.compile(r"status codes: ([0-9]+) 2xx, ([0-9]+) 3xx, ([0-9]+) 4xx, ([0-9]+) 5xx")


class LoadError(Exception):
    """Some requests failed, and the figure would mean nothing."""


def available() -> bool:
    """Say whether h2load is on this machine."""
    return shutil.which("h2load") is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Requests, all alike.

    Attributes:
        url: with http://, spoken to in HTTP/2.
        headers: beside those that HTTP/2 wants.
        message: a gRPC message to send; None for a GET without a body.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    message: bytes | None = None

    def rate(self, requests: int) -> float:
        """Send requests as fast as they are answered; return how many a second that was.

        Raises:
            LoadError: one was not answered with 200.
        """
        said = self._run("-n", str(requests), "-c", str(CONNECTIONS), "-m", str(STREAMS))
        codes = _CODES.search(said)
        found = _RATE.search(said)
        if codes is None or found is None or int(codes[1]) != requests:
            raise LoadError(f"{self.url}: expected {requests} answers of 200 (got {said.strip()})")
        return float(found[1])

    def latencies(self, rate: float, seconds: int) -> list[float]:
        """Send requests at an even rate, over HTTP/1.1; return the seconds that each took.

        Args:
            rate: requests a second.
            seconds: how long.
        """
        command = [sys.executable, "-m", "bench.steady", self.url, str(rate), str(seconds)]
        sent = json.dumps(dict(self.headers))
        done = subprocess.run(command, input=sent, capture_output=True, text=True, check=True)  # noqa: S603 ours
        return list(json.loads(done.stdout))

    def _run(self, *options: str) -> str:
        command = ["h2load", "-t", "1", *options]
        for name, value in self.headers.items():
            command += ["-H", f"{name}: {value}"]
        with tempfile.NamedTemporaryFile() as data:
            if self.message is not None:
                data.write(b"\0" + len(self.message).to_bytes(4) + self.message)
                data.flush()
                command += ["--data", data.name]
            command.append(self.url)
            done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 ours
        return done.stdout


def percentile(values: list[float], part: int) -> float:
    """Return the value that so many percent lie below."""
    return statistics.quantiles(values, n=100)[part - 1]
