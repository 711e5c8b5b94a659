"""New API keys: random, recognisable, and with a checksum.

The prefix lets a scanner of source code find a key that has leaked, and the checksum lets it, and
whoever mistypes a key, know one without asking a store.
"""

from __future__ import annotations

import re
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
_OURS: Final = re.compile(
    rb"%b([0-9A-Za-z]{%d})([0-9A-Za-z]{%d})" % (PREFIX.encode(), SECRET_LENGTH, CHECKSUM_LENGTH)
)
_PAIRS: Final = tuple(f"{one}{two}".encode() for one in _ALPHABET for two in _ALPHABET)
"""Digits of the checksum are written two at a time: every Check may have one to read."""
_SHOWN_FIRST: Final = len(PREFIX) + 4
_SHOWN_LAST: Final = 4
_LEAST: Final = 24
"""Characters that a key must have for any of them to be shown."""


def mint() -> str:
    """Make a new key."""
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_LENGTH))
    return f"{PREFIX}{secret}{_checksum(secret.encode()).decode()}"


def is_mistyped(key: bytes) -> bool:
    """Say whether a key that looks exactly like one of ours cannot be one.

    A key from elsewhere that only begins like ours is none of ours to judge.
    """
    found = _OURS.fullmatch(key)
    return found is not None and _checksum(found[1]) != found[2]


def display(key: str) -> str:
    """Return what a person recognises a key by: its first characters and its last four."""
    if len(key) < _LEAST:
        return "…"
    return f"{key[:_SHOWN_FIRST]}…{key[-_SHOWN_LAST:]}"


def _checksum(secret: bytes) -> bytes:
    rest, last = divmod(zlib.crc32(secret), len(_PAIRS))
    first, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]
