"""Digests of API keys: the only form in which a key is kept.

A key is random and long, so that one hash suffices (a password's would not). Looking a key up by
its digest takes the same work for a known and an unknown one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from regiongate.keys import minting

_WRITTEN: Final = re.compile(r"(sha256|hmac-sha256):([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class Digester:
    """Makes digests of keys: SHA-256, or HMAC-SHA256 with a pepper.

    Attributes:
        pepper: kept apart from the store, so that a stolen store cannot be searched; empty for
            plain SHA-256.
        previous: makes the digests of keys from before a change of the pepper; they go on being
            known until they are replaced.
    """

    pepper: bytes = b""
    previous: Digester | None = None

    @property
    def algorithm(self) -> str:
        """The name that digests in a store carry."""
        return "hmac-sha256" if self.pepper else "sha256"

    def digest(self, key: bytes) -> bytes:
        """Return the 32 bytes that a key is known by."""
        if self.pepper:
            return hmac.digest(self.pepper, key, "sha256")
        return hashlib.sha256(key).digest()

    def digests(self, key: bytes) -> tuple[bytes, ...]:
        """Return every digest that a key may be known by, today's first.

        None for a key that is mistyped: no store has to be asked about it.
        """
        if minting.is_mistyped(key):
            return ()
        if self.previous is None:
            return (self.digest(key),)
        return (self.digest(key), *self.previous.digests(key))

    def __repr__(self) -> str:
        return f"Digester({self.algorithm})"

    def read(self, written: str) -> bytes:
        """Read a digest from a store.

        Args:
            written: the algorithm's name, a colon and 64 hexadecimal digits.

        Raises:
            ValueError: it is anything else, or made by the other algorithm.
        """
        algorithm, digest = split(written)
        if algorithm not in self.algorithms:
            because = f"as {'a' if self.pepper else 'no'} pepper is configured"
            raise ValueError(f"expected {self.algorithm}, {because} (got {algorithm})")
        return digest

    @property
    def algorithms(self) -> frozenset[str]:
        """The names that digests of keys that are known may carry."""
        previous = self.previous.algorithms if self.previous else frozenset()
        return previous | {self.algorithm}

    def write(self, digest: bytes) -> str:
        """Write a digest as stores keep it."""
        return f"{self.algorithm}:{digest.hex()}"


EITHER: Final = Digester(b"any", Digester())
"""Reads digests made with a pepper and without one, and is to make none."""


def split(written: str) -> tuple[str, bytes]:
    """Read a digest of either algorithm.

    Returns:
        The algorithm's name and the 32 bytes.

    Raises:
        ValueError: it is anything else.
    """
    found = _WRITTEN.fullmatch(written)
    if not found:
        raise ValueError("expected sha256: or hmac-sha256: and 64 hexadecimal digits")
    return found[1], bytes.fromhex(found[2])
