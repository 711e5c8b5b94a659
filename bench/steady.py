"""A load generator that sends requests at an even rate, however long the answers take.

What waits for an answer does not hold up what is sent next, and a request's time counts from the
moment at which it was due: a service that stalls is not let off (coordinated omission). h2load
sends what is due in the last ten milliseconds at once, and so measures its own bursts. Plain
sockets, and one system call for each step: what the generator needs of the processor, the service
lacks.

`python -m bench.steady URL RATE SECONDS < headers.json` prints the seconds of each request as JSON.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

CONNECTIONS: Final = 64
"""Requests that may be under way; one more waits, and that counts as well."""
FIRST: Final = 0.5
"""Seconds at the start that are not counted."""
PATIENCE: Final = 10.0
"""Seconds without an answer, after which there will be none."""
OK: Final = b"HTTP/1.1 200 "
END: Final = b"\r\n\r\n"


def steady(url: str, headers: Mapping[str, str], rate: float, seconds: float) -> list[float]:
    """Send requests at an even rate; return the seconds that each took.

    Args:
        url: with http://, host and port.
        headers: beside Host.
        rate: requests a second.
        seconds: how long they are counted.

    Raises:
        ValueError: an answer was not 200, or had a body.
        TimeoutError: there was none.
    """
    parts = urlsplit(url)
    lines = [f"GET {parts.path} HTTP/1.1", f"host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    request = "\r\n".join(lines).encode() + END
    free = [_connected(str(parts.hostname), int(parts.port or 80)) for _ in range(CONNECTIONS)]
    under_way: dict[socket.socket, float] = {}
    taken: list[float] = []
    first = round(rate * FIRST)
    number, last = 0, first + round(rate * seconds)
    start = time.perf_counter()
    while number < last or under_way:
        while free and number < last and (due := start + number / rate) <= time.perf_counter():
            connection = free.pop()
            connection.sendall(request)
            # The first ones are asked, and not counted.
            under_way[connection] = due if number >= first else 0.0
            number += 1
        more = free and number < last
        early = max(0.0, start + number / rate - time.perf_counter()) if more else PATIENCE
        ready, _, _ = select.select([*under_way], (), (), early)
        if not ready and not more:
            raise TimeoutError(f"{url}: expected an answer within {PATIENCE:g} s")
        for connection in ready:
            _require_ok(connection.recv(65536))
            due = under_way.pop(connection)
            if due:
                taken.append(time.perf_counter() - due)
            free.append(connection)
    return taken


def _connected(host: str, port: int) -> socket.socket:
    connection = socket.create_connection((host, port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _require_ok(answer: bytes) -> None:
    # So short an answer comes in one piece.
    if not answer.startswith(OK) or not answer.endswith(END):
        raise ValueError(f"expected an answer of 200 without a body (got {answer[:200]!r})")


def main() -> None:
    """Send, and print."""
    url, rate, seconds = sys.argv[1:]
    json.dump(steady(url, json.load(sys.stdin), float(rate), float(seconds)), sys.stdout)


if __name__ == "__main__":
    main()
