"""New keys: what they look like, and how a mistyped one is told."""

from __future__ import annotations

import re

import pytest

from regiongate.keys import minting

NOT_OURS = ["", "sk-123", "Bearer rg_", "RG_123", "rg_123", f"rg_{'0' * 39}", f"rg_{'-' * 38}"]
CHECKSUM = b"1ahSqu"
"""CRC-32 in base 62, six digits."""


def test_a_new_key() -> None:
    """A prefix and 38 letters and digits; no two are alike."""
    some = [minting.mint() for _ in range(100)]
    assert len(set(some)) == 100
    assert all(re.fullmatch(r"rg_[0-9A-Za-z]{38}", key) for key in some)
    assert not any(minting.is_mistyped(key.encode()) for key in some)


def test_a_mistyped_key() -> None:
    """Every change of one character is noticed."""
    key = minting.mint()
    for place in range(len(minting.PREFIX), len(key)):
        other = "a" if key[place] != "a" else "b"
        assert minting.is_mistyped(f"{key[:place]}{other}{key[place + 1 :]}".encode())


def test_a_checksum_stays_what_it_is() -> None:
    """Keys that were printed once go on being known."""
    assert not minting.is_mistyped(b"rg_" + b"0123456789abcdefghijABCDEFGHIJ01" + CHECKSUM)


@pytest.mark.parametrize("key", NOT_OURS)
def test_a_key_of_somebody_else(key: str) -> None:
    """Nothing can be said about a key that does not look exactly like ours."""
    assert not minting.is_mistyped(key.encode())


def test_what_is_shown() -> None:
    """Seven characters and the last four of a long key; nothing of a short one."""
    assert minting.display("rg_abcdefghijklmnopqrstuvwxyz") == "rg_abcd…wxyz"
    assert minting.display("sk-short-one-of-23-chrs") == "…"
