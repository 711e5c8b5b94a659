"""Stores of every kind, each as its URL."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from regiongate.keys.register import Register
from regiongate.keys.stores import opening
from tests.integration.keys.servers import BINARIES, Server, running

KINDS = ("sqlite", *BINARIES)
"""Every kind of store that there is on this machine."""


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a folder whose path is short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="rg") as folder:
        yield Path(folder)


@pytest.fixture(params=BINARIES)
def server(request: pytest.FixtureRequest, short: Path) -> Iterator[Server]:
    """Run a server that the test may do anything to."""
    with running(BINARIES[request.param], short) as one:
        yield one


@pytest.fixture(scope="session")
def shared() -> Iterator[Callable[[str], Server]]:
    """Return a server of a kind, the same for all tests, and empty."""
    servers: dict[str, Server] = {}
    with ExitStack() as stack:

        def find(kind: str) -> Server:
            if kind not in servers:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rg"))
                servers[kind] = stack.enter_context(running(BINARIES[kind], Path(folder)))
            servers[kind].empty()
            return servers[kind]

        yield find


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path, shared: Callable[[str], Server]) -> str:
    """Return the URL of an empty store."""
    if request.param == "sqlite":
        return f"sqlite:////{tmp_path}/keys.db".replace("/////", "////")
    return shared(request.param).url


@pytest.fixture
def register(url: str) -> Iterator[Register]:
    """Open the writing side of an empty store."""
    opened = opening.register(url, Path("/"))
    yield opened
    opened.close()
