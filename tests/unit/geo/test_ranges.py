"""Which addresses no public database can know, and which carry another."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate.geo.ranges import EMBEDDING, PRIVATE, embedded, is_private, uniform

PRIVATE_ADDRESSES = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "169.254.1.1",
    "172.16.0.1", "172.31.255.255", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "64:ff9b:1::1", "100::1", "2001:2::1", "2001:db8::1", "3fff::1", "fc00::1",
    "fd12::1", "fe80::1", "fe80::1%eth0", "ff02::1", "2002:a00:1::1", "64:ff9b::a00:1",
]  # fmt: skip
PUBLIC_ADDRESSES = [
    "1.1.1.1", "11.0.0.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
    "192.0.1.1", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2001:4860::1", "2002:101::1",
    "64:ff9b::101:101", "2001:db9::1", "3ffe::1", "4000::1", "::2",
]  # fmt: skip
EMBEDDED = [
    ("2002:5102:45a0::1", ("81.2.69.160", 16)),
    ("64:ff9b::5102:45a0", ("81.2.69.160", 96)),
    ("::ffff:81.2.69.160", ("81.2.69.160", 96)),
    ("64:ff9b:0:0:0:1::", None),
    ("2003:5102:45a0::", None),
    ("81.2.69.160", None),
]
STARTS = [network.network_address for network in (*PRIVATE[4], *PRIVATE[6], *EMBEDDING)]
ADDRESSES = st.ip_addresses() | st.sampled_from([*STARTS, *(start + 1 for start in STARTS)])


@pytest.mark.parametrize("text", PRIVATE_ADDRESSES)
def test_an_address_for_special_use_is_private(text: str) -> None:
    """No public database can know where such an address is."""
    assert is_private(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC_ADDRESSES)
def test_any_other_address_is_not(text: str) -> None:
    """The neighbours of the special ranges are ordinary addresses."""
    assert not is_private(ip_address(text))


@pytest.mark.parametrize(("text", "expected"), EMBEDDED)
def test_an_ipv4_address_is_found_inside(text: str, expected: tuple[str, int] | None) -> None:
    """6to4, NAT64 and IPv4-mapped addresses carry one."""
    carried = embedded(ip_address(text))
    assert carried == (expected and (IPv4Address(expected[0]), expected[1]))


def test_no_range_contains_another() -> None:
    """An address is in one range at most."""
    for networks in (PRIVATE[4], (*PRIVATE[6], *EMBEDDING)):
        for network in networks:
            assert [other for other in networks if other.overlaps(network)] == [network]


@given(ADDRESSES, st.integers(0, 2**128 - 1))
def test_all_addresses_of_a_uniform_prefix_are_of_one_kind(
    address: IPv4Address | IPv6Address, noise: int
) -> None:
    """What holds for one of them because of its range holds for all."""
    host_bits = address.max_prefixlen - uniform(address)
    other = type(address)(int(address) ^ (noise & ((1 << host_bits) - 1)))
    assert is_private(other) == is_private(address)
    assert (embedded(other) is None) == (embedded(address) is None)
