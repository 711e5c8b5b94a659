"""New API keys: random, recognisable, and with a checksum.

The prefix lets a scanner of source code find a key that has leaked, and the checksum lets it, and
whoever mistypes a key, know one without asking a store.
"""

from __future__ import annotations

import secrets
import string
import zlib
from typing import Final

PREFIX: Final = "rg_"
SECRET_LENGTH: Final = 32
"""Characters of 62 kinds: 190 bits."""
CHECKSUM_LENGTH: Final = 6
"""Enough for the 32 bits of a CRC."""

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHOWN_FIRST: Final = len(PREFIX) + 4
_SHOWN_LAST: Final = 4
_LEAST: Final = 24
"""Characters that a key must have for any of them to be shown."""


def mint() -> str:
    """Make a new key."""
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_LENGTH))
    return f"{PREFIX}{secret}{_checksum(secret)}"


def is_mistyped(key: str) -> bool:
    """Say whether a key that looks like one of ours cannot be one."""
    if not key.startswith(PREFIX):
        return False
    body = key.removeprefix(PREFIX)
    secret, checksum = body[:SECRET_LENGTH], body[SECRET_LENGTH:]
    return _checksum(secret) != checksum


def display(key: str) -> str:
    """Return what a person recognises a key by: its first characters and its last four."""
    if len(key) < _LEAST:
        return "…"
    return f"{key[:_SHOWN_FIRST]}…{key[-_SHOWN_LAST:]}"


def _checksum(secret: str) -> str:
    rest, digits = zlib.crc32(secret.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
