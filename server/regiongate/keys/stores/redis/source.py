"""Reading keys from Redis, and following its history.

The history is a stream (https://redis.io/docs/latest/develop/data-types/streams/): a reader that
waits at its end is told of a change at once, and one that was away reads on where it stopped. So
no change is lost with a connection, as it would be with Redis' notifications.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from redis.asyncio import Redis

from regiongate.keys import entries
from regiongate.keys.entries import EntryError
from regiongate.keys.gathering import TURNS
from regiongate.keys.stores import Answer, Answers, Changes, StoreError, UnusableEntryError
from regiongate.keys.stores.redis import scripts, server
from regiongate.keys.stores.redis.server import PREFIX, text
from regiongate.policy.exemptions import Exemption

WAIT_MILLISECONDS: Final = 200
"""How long the end of the history is waited at before it is made sure that it is the same."""
BATCH: Final = 500
PATIENCE: Final = 10.0
"""Seconds that an answer is waited for where no Check waits."""
MANY: Final = 1000
"""Changes at once that are told as a change of everything."""


class RedisSource:
    """The reading side of a Redis server.

    Args:
        url: of the server.
        name: the same without a password.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._client: Redis | None = None
        self._retired: Redis | None = None
        self._seen: tuple[str, int] | None = None

    async def find(self, digests: Sequence[bytes]) -> Answers:
        """Look several keys up by their digests, at once."""
        with server.errors(self._name):
            rows = await scripts.run(self._redis(), scripts.FIND, [one.hex() for one in digests])
        return {digest: self._answer(row) for digest, row in zip(digests, rows, strict=True)}

    async def changes(self) -> Changes:
        """Wait for a change, and tell what has changed since the last."""
        seen, self._seen = self._seen, None  # not known any more when this fails
        with server.errors(self._name):
            if seen is None:
                return await self._begin()
            changes, now = await self._follow(*seen)
        self._seen = now
        return changes

    async def _begin(self) -> Changes:
        """Connect anew: after a failover a connection that still holds may be to the old server."""
        # Look-ups under way may end on the client that goes; the one before it has no more.
        before, self._retired, self._client = self._retired, self._client, None
        if before is not None:
            await before.aclose()
        # All at once, so that a connection is open for each who will want one.
        states = await asyncio.gather(*(self._state() for _ in range(1 + TURNS)))
        lineage, number = states[0]
        # Who may not do this will not be told of changes either.
        await self._redis().xread({f"{PREFIX}history": f"{number}-{_LAST}"}, count=1)
        self._seen = lineage, number
        return Changes(version=str(number), everything=True)

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        """Yield every exemption in the store, with the id of a key that it belongs to."""
        with server.errors(self._name), server.client(self._url, PATIENCE) as client:
            names = client.scan_iter(f"{PREFIX}key:*", count=BATCH)
            while batch := [text(name).rpartition(":")[2] for name in islice(names, BATCH)]:
                rows: Any = client.eval(scripts.FIND, 1, PREFIX, *batch)
                for row in rows:
                    yield from self._exemptions(row)

    def _exemptions(self, row: Sequence[bytes]) -> Iterator[tuple[str, Exemption]]:
        found = self._answer(row)
        if isinstance(found, StoreError):
            raise found
        if found is not None:
            record = found.record()
            yield from ((record.id, one) for one in record.profile.exemptions)

    async def close(self) -> None:
        """Let go of connections; a later call opens them anew."""
        clients = self._retired, self._client
        self._retired = self._client = self._seen = None
        for client in clients:
            if client is not None:
                with server.errors(self._name):
                    await client.aclose()

    def _redis(self) -> Redis:
        if self._client is None:
            self._client = server.async_client(self._url)
        return self._client

    def _answer(self, row: Sequence[bytes] | None) -> Answer:
        if not row:
            return None
        key, org, organisation = row
        if org and not organisation:
            # What the organisation forbids would be allowed.
            expected = f"expected the organisation {text(org)} of a key"
            return UnusableEntryError(f"{self._name}: {expected}")
        try:
            return entries.brief(key, organisation or None)
        except EntryError as error:
            return UnusableEntryError(f"{self._name}: expected an entry ({error})")

    async def _state(self) -> tuple[str, int]:
        lineage, number = await self._redis().mget(f"{PREFIX}lineage", f"{PREFIX}number")
        return text(lineage), int(number or 0)

    async def _follow(self, lineage: str, number: int) -> tuple[Changes, tuple[str, int]]:
        told: Any = await self._redis().xread(
            {f"{PREFIX}history": f"{number}-{_LAST}"}, count=MANY, block=WAIT_MILLISECONDS
        )
        rows: list[tuple[bytes, dict[bytes, bytes]]] = told[0][1] if told else []
        last = int(rows[-1][0].partition(b"-")[0]) if rows else number
        now = await self._state()
        # Emptied, replaced or gone back in time; or too much to tell.
        other = now[0] != lineage or now[1] < last or len(rows) == MANY
        if other or any(row[b"kind"] == b"import" for _, row in rows):
            return Changes(version=str(now[1]), everything=True), now
        changes = Changes(
            version=str(last),
            digests=frozenset(
                bytes.fromhex(text(row[name]))
                for _, row in rows
                for name in (b"digest", b"old_digest")
                if row[name]
            ),
            organisations=frozenset(
                text(row[b"id"]) for _, row in rows if row[b"kind"] == b"organisation"
            ),
        )
        return changes, (lineage, last)


_LAST: Final = 2**64 - 1
"""The second part of a stream's id that nothing with the same first part comes after."""
