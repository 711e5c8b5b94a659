"""Reading the one text that decides, and what an operator is told where it cannot be read."""

import re
from collections.abc import Sequence
from typing import Final

from regiongate.address.evidence import ClientAddress, Evidence
from regiongate.address.parsing import BARE, LONGEST_ADDRESS, Form, expected, parse

_NAME: Final = re.compile(r"[a-z0-9_.-]+")


def read(subject: str, text: str, accept: frozenset[Form] = BARE) -> ClientAddress:
    """Read an address; the subject begins the sentence about one that cannot be read."""
    address = parse(text, accept)
    if address is None:
        return ClientAddress(None, f"{subject} must be {expected(accept)} (got {quoted(text)})")
    return ClientAddress(address)


def read_only(subject: str, values: Sequence[str], accept: frozenset[Form] = BARE) -> ClientAddress:
    """Read the address in the only value there is: of several, nobody knows who wrote which."""
    if len(values) != 1:
        return ClientAddress(None, f"{subject} must have one value (got {len(values)})")
    return read(subject, values[0], accept)


def read_peer(evidence: Evidence) -> ClientAddress:
    """Read the peer's address."""
    if not evidence.peer:
        return ClientAddress(None, "the peer has no IP address: a pipe or an internal listener")
    return read("the peer", evidence.peer)


def quoted(text: str) -> str:
    """Quote a little of what was received."""
    # ASCII, so that neither a line break nor a lone surrogate of the client's reaches a log.
    shown = ascii(text[:LONGEST_ADDRESS])
    return shown if len(text) <= LONGEST_ADDRESS else f"{shown}..."


def require_name(name: str) -> None:
    """Check the name of a header or of metadata.

    Raises:
        ValueError: It is none, or is not written in lower case.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"name must be a lower-case header name (got {name!r})")
