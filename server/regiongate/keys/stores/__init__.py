"""Where key records are kept: small ports, and a module for each kind of store.

A Check asks a `KeyStore`. Where that is a cache, it reads through a `Source`, which also tells what
has changed. Commands write through a `Register` (see `regiongate.keys.register`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from regiongate.errors import ExpectedError
from regiongate.keys.entries import Brief
from regiongate.keys.record import KeyRecord
from regiongate.policy.exemptions import Exemption


class StoreError(ExpectedError):
    """A store that does not answer, or not as one; the message begins with the store's name."""


def explained(name: str, problem: Exception) -> StoreError:
    """Make a StoreError of whatever asking a store has come to; a fault of ours is its cause.

    Args:
        name: of the store, without a password.
        problem: what was raised.
    """
    if isinstance(problem, StoreError):
        return problem
    kind = type(problem).__name__
    error = StoreError(f"{name}: expected a store that answers as one (got {kind})")
    error.__cause__ = problem
    return error


class UnusableEntryError(StoreError):
    """A store that answers, and what it has of one key cannot be used."""


class TooManyError(StoreError):
    """More look-ups than may wait for a store, whatever that answers."""


class NotRememberedError(Exception):
    """A key that a store has to be asked for; the record cannot be told at once."""


class KeyStore(Protocol):
    """The port: what the rest of the service asks of a store."""

    @property
    def version(self) -> str:
        """Name the state of the store that answers come from, for decision records."""
        ...

    def recall(self, digest: bytes) -> KeyRecord | None:
        """Return the record of a key by its digest, or None when it is unknown, without waiting.

        Raises:
            NotRememberedError: that takes waiting, which `find` does.
        """
        ...

    async def find(self, digest: bytes) -> KeyRecord | None:
        """Return the record of a key by its digest; None when the key is unknown.

        Raises:
            StoreError: the store is away, and that is not to pass for an unknown key.
        """
        ...

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        """Yield every exemption there is, with the id of a key that it belongs to.

        Raises:
            StoreError: the store cannot be read.
        """
        ...

    def age(self, at: datetime) -> float:
        """Return for how many seconds the store has not been heard of; 0 while it is there."""
        ...


Answer = Brief | StoreError | None
Answers = Mapping[bytes, Answer]
"""For each digest the key's entry in brief, None for an unknown key, or why it cannot be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What has changed in a store since it was last asked.

    Attributes:
        version: the state that the store is in now.
        everything: anything may have changed; the rest is then of no interest.
        digests: of keys that were added, changed or removed.
        organisations: the ids of those that were changed.
    """

    version: str
    everything: bool = False
    digests: frozenset[bytes] = frozenset()
    organisations: frozenset[str] = frozenset()


class Source(Protocol):
    """The port that a cache reads through. What fails is a StoreError."""

    async def find(self, digests: Sequence[bytes]) -> Answers:
        """Look several keys up by their digests, at once."""
        ...

    async def changes(self) -> Changes:
        """Wait for a change, a fraction of a second at most, and tell what has changed.

        The first answer is that everything has. No change is ever left out; one may be told twice.
        """
        ...

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        """Yield every exemption there is, with the id of a key that it belongs to."""
        ...

    async def close(self) -> None:
        """Let go of connections and threads; a later call opens them anew."""
        ...
