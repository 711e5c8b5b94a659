"""The way from the nearest proxy towards the client, along what each wrote about the one before it.

What X-Forwarded-For and Forwarded have in common. It ends at the first address that no trusted
proxy vouches for, and at whatever cannot be read.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from regiongate.address.evidence import ClientAddress
from regiongate.address.ranges import Network, Ranges

LONGEST_CHAIN: Final = 256
"""Trusted proxies that are followed at most; bounds the work that a header of megabytes causes."""

OPTIONAL_WHITESPACE: Final = " \t"  # RFC 9110, section 5.6.3


def require_trust(trusted_hops: int | None, trusted_proxies: tuple[Network, ...]) -> None:
    """Check that the proxies are known by their number or by their ranges.

    Raises:
        ValueError: They are known in neither way or in both, or the number is out of bounds.
    """
    if (trusted_hops is None) == (not trusted_proxies):
        raise ValueError(
            "exactly one of trusted_hops, how many proxies stand before Envoy, and "
            "trusted_proxies, the ranges of their addresses, must be given "
            f"(got {'both' if trusted_proxies else 'neither'})"
        )
    if trusted_hops is not None and not 0 <= trusted_hops <= LONGEST_CHAIN:
        raise ValueError(f"trusted_hops must be from 0 to {LONGEST_CHAIN} (got {trusted_hops})")


def after(hops: Iterator[ClientAddress], trusted: int, header: str) -> ClientAddress:
    """Return the hop that comes after so many trusted ones.

    Args:
        hops: From the nearest; read no further than is needed.
        trusted: How many.
        header: For the message where there are too few.
    """
    hop = next(islice(hops, trusted, None), None)
    return hop or ClientAddress(None, f"{header} is missing or too short for trusted_hops")


def first_outside(hops: Iterator[ClientAddress], trusted: Ranges, header: str) -> ClientAddress:
    """Return the first hop outside the ranges; the last of all if every one is inside.

    Args:
        hops: From the nearest, behind a trusted peer; read no further than is needed.
        trusted: The ranges of the proxies.
        header: For the message where there is no hop.
    """
    last = ClientAddress(None, f"{header} is missing behind a trusted proxy")
    for last in islice(hops, LONGEST_CHAIN):
        if last.address is None or last.address not in trusted:
            return last
    if next(hops, None) is not None:
        return ClientAddress(None, f"more than {LONGEST_CHAIN} trusted proxies in a row")
    return last
