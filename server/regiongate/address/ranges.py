"""Which addresses belong to somebody: many ranges, asked as one.

Knows nothing of who that is, nor where the ranges were written down.
"""

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from regiongate.address.parsing import Address

Network = IPv4Network | IPv6Network


class Ranges:
    """Networks merged and sorted: one search answers for hundreds of a CDN's ranges.

    Raises:
        ValueError: One of them can hold no address that is ever asked for.
    """

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, networks: Iterable[Network]) -> None:
        networks = tuple(networks)
        for network in networks:
            require_reachable(network)
        merged: tuple[Network, ...] = (
            *collapse_addresses(n for n in networks if isinstance(n, IPv4Network)),
            *collapse_addresses(n for n in networks if isinstance(n, IPv6Network)),
        )
        self._firsts = [(n.version, int(n.network_address)) for n in merged]
        self._lasts = [(n.version, int(n.broadcast_address)) for n in merged]

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __contains__(self, address: Address) -> bool:
        key = (address.version, int(address))
        position = bisect_right(self._firsts, key) - 1
        return position >= 0 and key <= self._lasts[position]


def require_reachable(network: Network) -> None:
    """Refuse a range of IPv4-mapped addresses: such addresses are unwrapped before they are asked.

    Raises:
        ValueError: It is one.
    """
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError(
            "ranges of IPv4 addresses must be written as such, since IPv4-mapped addresses are "
            f"unwrapped (got {network})"
        )
