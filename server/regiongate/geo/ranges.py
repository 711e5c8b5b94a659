"""Says which addresses no public database can know, and which carry an IPv4 address inside.

Pure tables of RFC 6890 and its successors. Nothing here knows about databases.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Network

from regiongate.address import Address, Network

PRIVATE: dict[int, tuple[Network, ...]] = {
    4: (
        IPv4Network("0.0.0.0/8"),  # this network, RFC 791
        IPv4Network("10.0.0.0/8"),  # private use, RFC 1918
        IPv4Network("100.64.0.0/10"),  # carrier-grade NAT, RFC 6598
        IPv4Network("127.0.0.0/8"),  # loopback, RFC 1122
        IPv4Network("169.254.0.0/16"),  # link-local, RFC 3927
        IPv4Network("172.16.0.0/12"),  # private use, RFC 1918
        IPv4Network("192.0.0.0/24"),  # protocol assignments, RFC 6890
        IPv4Network("192.0.2.0/24"),  # documentation, RFC 5737
        IPv4Network("192.168.0.0/16"),  # private use, RFC 1918
        IPv4Network("198.18.0.0/15"),  # benchmarking, RFC 2544
        IPv4Network("198.51.100.0/24"),  # documentation, RFC 5737
        IPv4Network("203.0.113.0/24"),  # documentation, RFC 5737
        IPv4Network("224.0.0.0/4"),  # multicast, RFC 1112
        IPv4Network("240.0.0.0/4"),  # reserved, and the broadcast address, RFC 1112
    ),
    6: (
        IPv6Network("::/128"),  # unspecified, RFC 4291
        IPv6Network("::1/128"),  # loopback, RFC 4291
        IPv6Network("64:ff9b:1::/48"),  # NAT64 for local use, RFC 8215
        IPv6Network("100::/64"),  # discard, RFC 6666
        IPv6Network("2001:2::/48"),  # benchmarking, RFC 5180
        IPv6Network("2001:db8::/32"),  # documentation, RFC 3849
        IPv6Network("3fff::/20"),  # documentation, RFC 9637
        IPv6Network("fc00::/7"),  # unique-local, RFC 4193
        IPv6Network("fe80::/10"),  # link-local, RFC 4291
        IPv6Network("fec0::/10"),  # site-local, RFC 3879
        IPv6Network("ff00::/8"),  # multicast, RFC 4291
    ),
}
"""Networks by IP version. None contains another."""

EMBEDDING = {
    IPv6Network("::ffff:0:0/96"): ("IPv4-mapped", 0),  # RFC 4291
    IPv6Network("64:ff9b::/96"): ("NAT64", 0),  # RFC 6052
    IPv6Network("2002::/16"): ("6to4", 80),  # RFC 3056
}
"""Networks whose addresses carry an IPv4 address: what such an address is called, and how many bits
follow the one inside."""

_RANGES = {4: PRIVATE[4], 6: (*PRIVATE[6], *EMBEDDING)}
_EDGES = {
    version: tuple((int(network.network_address), network.prefixlen) for network in networks)
    for version, networks in _RANGES.items()
}


def is_private(address: Address) -> bool:
    """Say whether an address is one that no public database can know, or carries such a one."""
    carried = embedded(address)
    known_as = carried[0] if carried else address
    return any(known_as in network for network in PRIVATE[known_as.version])


def embedded(address: Address) -> tuple[IPv4Address, int] | None:
    """Return the IPv4 address inside an IPv6 address and how many bits stand before it, if any."""
    for network, (_, behind) in EMBEDDING.items():
        if address in network:
            return IPv4Address(int(address) >> behind & 0xFFFFFFFF), network.prefixlen
    return None


def uniform(address: Address) -> int:
    """Return the length of the shortest prefix whose addresses are all of this address's kind.

    They lie in the same range of the tables above, or in none. For an address outside a range that
    is one bit more than they have in common.
    """
    carried = embedded(address)
    if carried is not None:
        inner, before = carried
        return before + uniform(inner)
    number, width = int(address), address.max_prefixlen
    return max(
        min(width - (number ^ first).bit_length() + 1, length)
        for first, length in _EDGES[address.version]
    )
