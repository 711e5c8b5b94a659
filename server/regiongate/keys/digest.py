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

_WRITTEN: Final = re.compile(r"(sha256|hmac-sha256):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Digester:
    """Makes digests of keys: SHA-256, or HMAC-SHA256 with a pepper.

    Attributes:
        pepper: kept apart from the store, so that a stolen store cannot be searched; empty for
            plain SHA-256.
    """

    pepper: bytes = b""

    @property
    def algorithm(self) -> str:
        """The name that digests in a store carry."""
        return "hmac-sha256" if self.pepper else "sha256"

    def digest(self, key: bytes) -> bytes:
        """Return the 32 bytes that a key is known by."""
        if self.pepper:
            return hmac.digest(self.pepper, key, "sha256")
        return hashlib.sha256(key).digest()

    def __repr__(self) -> str:
        return f"Digester({self.algorithm})"

    def read(self, written: str) -> bytes:
        """Read a digest from a store.

        Args:
            written: the algorithm's name, a colon and 64 hexadecimal digits.

        Raises:
            ValueError: it is anything else, or made by the other algorithm.
        """
        found = _WRITTEN.fullmatch(written)
        if not found:
            raise ValueError("expected sha256: or hmac-sha256: and 64 hexadecimal digits")
        if found[1] != self.algorithm:
            because = f"as {'a' if self.pepper else 'no'} pepper is configured"
            raise ValueError(f"expected {self.algorithm}, {because} (got {found[1]})")
        return bytes.fromhex(found[2])

    def write(self, digest: bytes) -> str:
        """Write a digest as stores keep it."""
        return f"{self.algorithm}:{digest.hex()}"
