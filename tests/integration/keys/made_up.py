"""Keys, organisations and changes that nobody has."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from regiongate.keys.cache import CachedStore, Limits
from regiongate.keys.entries import Entry, KeyModel
from regiongate.keys.register import Change, Kind, Note, Numbered
from regiongate.keys.stores import opening
from regiongate.keys.strikes import Strike
from regiongate.policy.model import Suspension

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTE = Note(at=NOON, who="tester", what="test", why="to see")
LIMIT = Suspension(after=3, within=timedelta(hours=1))


def digest(name: str) -> bytes:
    """Return the digest of the key of a name."""
    return hashlib.sha256(name.encode()).digest()


def key(name: str, **said: Any) -> KeyModel:
    """Make a key."""
    return KeyModel.model_validate({"id": name, "digest": f"sha256:{digest(name).hex()}", **said})


def adding(name: str, entry: Entry) -> Change:
    """Make the change that adds an entry."""
    kind = Kind.KEY if isinstance(entry, KeyModel) else Kind.ORGANISATION
    return Change(kind=kind, id=name, revision=0, entry=entry)


def numbered(*names: str, **said: Any) -> list[Numbered]:
    """Make keys to be imported, a line each."""
    return [Numbered(line, name, key(name, **said)) for line, name in enumerate(names, start=1)]


def strikes(name: str, *seconds: float, rule: str = "region", prefix: str = "d") -> list[Strike]:
    """Make strikes of a key, so many seconds after noon; their ids are prefix and seconds."""
    return [
        Strike(
            decision_id=f"{prefix}{at}",
            key_id=name,
            rule=rule,
            at=NOON + timedelta(seconds=at),
            country="IR" if at % 2 else "KP",
            limit=LIMIT,
        )
        for at in seconds
    ]


@asynccontextmanager
async def following(url: str, limits: Limits | None = None) -> AsyncIterator[CachedStore]:
    """Run a cache of a store that has heard of it once."""
    store = CachedStore(opening.name(url), opening.source(url, Path("/")), limits or Limits())
    task = asyncio.create_task(store.run())
    try:
        await until(lambda: store.version != "")
        yield store
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(
    holds: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 5.0
) -> float:
    """Wait until something holds; return for how many seconds."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    while True:
        held = holds()
        if held if isinstance(held, bool) else await held:
            return loop.time() - started
        assert loop.time() - started < seconds, "waited in vain"
        await asyncio.sleep(0.002)
