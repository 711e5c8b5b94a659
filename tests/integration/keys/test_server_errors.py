"""What a Redis server says is wrong is told in our words, and in none of its own."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from regiongate.keys.stores import StoreError, opening

PASSWORD = "hunter2-S3cret"

SAID = {
    "NOAUTH Authentication required.": "NOAUTH: it wants a password",
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
    "<proto> AUTH <user> <pass> option can be used": "NOAUTH: it wants a password",
    "WRONGPASS invalid username-password pair or user is disabled.": (
        "WRONGPASS: it takes another user name or password"
    ),
    "ERR invalid password": "WRONGPASS: it takes another user name or password",
    "ERR wrong number of arguments for 'auth' command": (
        "WRONGPASS: it takes another user name or password"
    ),
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?": "it wants no password, and got one",
    "NOPERM User acme has no permissions to run the 'eval' command": (
        "NOPERM: the user may not do all that is needed"
    ),
    "LOADING Redis is loading the dataset in memory": "LOADING: it is reading its data",
    "MASTERDOWN Link with MASTER is down": (
        "MASTERDOWN: it is a replica that has lost its primary"
    ),
    "READONLY You can't write against a read only replica.": (
        "READONLY: it is a replica, which takes no changes"
    ),
    "ERR Error running script (call to f_0): @user_script:1: -READONLY You can't write": (
        "READONLY: it is a replica, which takes no changes"
    ),
    "OOM command not allowed when used memory > 'maxmemory'.": "OOM: its memory is full",
    "MISCONF Redis is configured to save RDB snapshots": (
        "MISCONF: it cannot write its data to the disk"
    ),
    "NOREPLICAS Not enough good replicas to write.": (
        "NOREPLICAS: it has too few replicas to take changes"
    ),
    "MOVED 3999 127.0.0.1:6381": "it is a cluster, which cannot keep keys",
    "BUSY Redis is busy running a script.": "BUSY: a script keeps it busy",
    "WRONGTYPE Operation against a key": "WRONGTYPE: something else is kept under regiongate:",
    "ERR DB index is out of range": "it has no database of this number",
    "ERR max number of clients reached": "max number of clients reached",
    f"ERR unknown command 'AUTH', with args beginning with: 'acme' '{PASSWORD}'": (
        "it lacks a command: renamed, switched off, or older than Redis 6.2"
    ),
    **dict.fromkeys(
        (f"{PASSWORD} is wrong", f"ERR '{PASSWORD}'", f"ERR {PASSWORD[:7]}", PASSWORD),
        "an error that is not shown, as it may quote a password: see INFO errorstats",
    ),
}


@contextmanager
def saying(reply: bytes) -> Iterator[int]:
    """Answer whatever is asked with one reply, as a server that is made to say it; yield where."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):
                while self.request.recv(65536):
                    self.request.sendall(reply)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("said", "told"), SAID.items())
async def test_an_error_of_the_server(said: str, told: str) -> None:
    """Commands and Checks name what it means, whatever it quotes."""
    with saying(f"-{said}\r\n".encode()) as port:
        for user in (f"acme:{PASSWORD}@", ""):
            url = f"redis://{user}127.0.0.1:{port}/0"
            register = opening.register(url, Path("/"))
            with pytest.raises(StoreError) as refused:
                register.key("a")
            register.close()
            assert (
                str(refused.value).partition(": ")[2] == f"expected a store that answers ({told})"
            )
            source = opening.source(url, Path("/"))
            with pytest.raises(StoreError) as refused:
                await source.changes()
            await source.close()
            assert (
                str(refused.value).partition(": ")[2] == f"expected a store that answers ({told})"
            )


def test_what_is_no_server_of_redis() -> None:
    """Its answer is not shown either."""
    with saying(f"HTTP/1.1 400 {PASSWORD}\r\n\r\n".encode()) as port:
        register = opening.register(f"redis://127.0.0.1:{port}/0", Path("/"))
        with pytest.raises(StoreError, match=r"answers \(it does not speak Redis' protocol\)$"):
            register.key("a")
        register.close()


def test_what_fails_on_this_side_is_told_as_it_is(tmp_path: Path) -> None:
    """A server that is not there, for instance."""
    register = opening.register(f"unix://{tmp_path}/s?db=0", Path("/"))
    with pytest.raises(StoreError, match=r"Error 2 connecting to .*No such file or directory"):
        register.key("a")
    register.close()
