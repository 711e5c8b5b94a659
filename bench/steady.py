"""A load generator that sends requests at an even rate, however long the answers take.

What waits for an answer does not hold up what is sent next, and a request's time counts from the
moment at which it was due: a service that stalls is not let off (coordinated omission). h2load
sends what is due in the last ten milliseconds at once, and so measures its own bursts.

`python -m bench.steady URL RATE SECONDS < headers.json` prints the seconds of each request as JSON.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import sys
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

CONNECTIONS: Final = 64
"""Requests that may be under way; one more waits, and that counts as well."""
FIRST: Final = 0.5
"""Seconds at the start that are not counted."""
END: Final = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection of HTTP/1.1, which asks one thing at a time.

    Args:
        free: where it waits for something to ask.
        taken: takes the seconds of each request.
    """

    def __init__(self, free: asyncio.LifoQueue[Connection], taken: list[float]) -> None:
        self._free = free
        self._taken = taken
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._due = 0.0
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._free.put_nowait(self)

    def ask(self, request: bytes, due: float) -> None:
        """Send a request that was due at a moment."""
        assert self._transport is not None
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take note of an answer, which has no body."""
        self._read += data
        if not self._read.endswith(END):
            return
        if not self._read.startswith(b"HTTP/1.1 200 "):
            raise ValueError(f"expected an answer of 200 (got {self._read[:200]!r})")
        self._taken.append(self._loop.time() - self._due)
        self._read = b""
        self._free.put_nowait(self)


async def steady(url: str, headers: Mapping[str, str], rate: float, seconds: float) -> list[float]:
    """Send requests at an even rate; return the seconds that each took.

    Args:
        url: with http://, host and port.
        headers: beside Host.
        rate: requests a second.
        seconds: how long they are counted.
    """
    loop, taken = asyncio.get_running_loop(), list[float]()
    free = asyncio.LifoQueue[Connection]()
    parts = urlsplit(url)
    address = str(parts.hostname), int(parts.port or 80)
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Connection(free, taken), *address)
    lines = [f"GET {parts.path} HTTP/1.1", f"host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    request = "\r\n".join(lines).encode() + END
    start, first = loop.time(), round(rate * FIRST)
    for number in range(first + round(rate * seconds)):
        due = start + number / rate
        if (early := due - loop.time()) > 0:
            await asyncio.sleep(early)
        (await free.get()).ask(request, due)
        if number == first:
            taken.clear()
    for _ in range(CONNECTIONS):
        await free.get()
    return taken


def main() -> None:
    """Send, and print."""
    url, rate, seconds = sys.argv[1:]
    headers = json.load(sys.stdin)

    def loop() -> asyncio.AbstractEventLoop:
        # The other selectors wait for whole milliseconds.
        return asyncio.SelectorEventLoop(selectors.SelectSelector())

    with asyncio.Runner(loop_factory=loop) as runner:
        json.dump(runner.run(steady(url, headers, float(rate), float(seconds))), sys.stdout)


if __name__ == "__main__":
    main()
