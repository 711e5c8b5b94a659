"""How much of a client's address is written down.

Pure. Works on the record's own form of a source; the fields that hold an address, or enough of one,
are `address` and `network`. Why there is no address is written without any.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, Literal

from regiongate.address import parse

Privacy = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Takes the record of a source, and returns what of it is written."""

PREFIX: Final = {4: 24, 6: 48}
"""The prefix lengths that addresses are cut to: what is usually given to one site."""

SECRET_BYTES: Final = 16
"""The shortest secret for `keyed`: there are only 2**32 IPv4 addresses to try."""


_GOT: Final = re.compile(r" \(got (?!\d+\)).*\)")
_ADDRESS: Final = re.compile(r"[0-9a-fA-F:.]{3,}")


def full(source: Mapping[str, Any]) -> dict[str, Any]:
    """Write all of it."""
    return dict(source)


def truncated(source: Mapping[str, Any]) -> dict[str, Any]:
    """Write the first 24 bits of an IPv4 address, the first 48 of an IPv6 one, and zeros."""
    written = dict(source)
    if "address" in written:
        written["address"] = str(_cut(written["address"]).network_address)
    if "network" in written:
        written["network"] = str(_cut(written["network"]))
    return written


def keyed(secret: bytes) -> Privacy:
    """Write an HMAC-SHA256 of the address, and no network that is smaller than `truncated` shows.

    The same address has the same code, so that one client's decisions can be found together;
    without the secret it cannot be told which address it is.

    Args:
        secret: of at least SECRET_BYTES.
    """

    def write(source: Mapping[str, Any]) -> dict[str, Any]:
        written = dict(source)
        if "address" in written:
            code = hmac.digest(secret, written["address"].encode(), hashlib.sha256)
            written["address"] = f"hmac:{code[:16].hex()}"
        if "network" in written and _cut(written["network"]) != ip_network(written["network"]):
            del written["network"]
        return written

    return write


def chosen(wanted: Literal["full", "truncated", "hmac"], secret: bytes = b"") -> Privacy:
    """Return what the configuration asks for.

    Args:
        wanted: by name.
        secret: for hmac.
    """
    return {"full": full, "truncated": truncated, "hmac": keyed(secret)}[wanted]


def without_addresses(problem: str) -> str:
    """Return why there is no client's address, without addresses and without what was sent."""
    return _ADDRESS.sub(lambda found: "…" if parse(found[0]) else found[0], _GOT.sub("", problem))


def _cut(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text, strict=False)
    length = PREFIX[network.version]
    if network.prefixlen <= length:
        return network
    return ip_network(f"{network.network_address}/{length}", strict=False)
