"""What may stand around an address where that is accepted, and what may not all the same."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate.address import (
    FORMS,
    ClientAddress,
    Evidence,
    Form,
    ForwardedFor,
    NamedHeader,
    Network,
    parse,
)
from regiongate.address.parsing import expected
from tests.unit.test_address import ADDRESSES, NO_ADDRESSES, PROXY, RANGES, seen

# A text, the address in it, and the forms that must be accepted for it to be one.
WRITTEN: list[tuple[str, str, set[Form]]] = [
    ("1.2.3.4:443", "1.2.3.4", {"port"}),
    ("1.2.3.4:0", "1.2.3.4", {"port"}),
    ("1.2.3.4:65535", "1.2.3.4", {"port"}),
    ("1.2.3.4:00080", "1.2.3.4", {"port"}),
    ("[2001:db8::7]", "2001:db8::7", {"brackets"}),
    ("[::]", "::", {"brackets"}),
    ("[2001:db8::7]:4711", "2001:db8::7", {"brackets", "port"}),
    ("[::1]:80", "::1", {"brackets", "port"}),
    ("[::ffff:5.5.5.5]:80", "5.5.5.5", {"brackets", "port"}),
    ("fe80::1%eth0", "fe80::1", {"zone"}),
    ("fe80::1%25eth0", "fe80::1", {"zone"}),
    ("FEBF::1%1", "febf::1", {"zone"}),
    ("[fe80::1%eth0.100]", "fe80::1", {"brackets", "zone"}),
    ("[fe80::1%eth0]:4711", "fe80::1", {"brackets", "port", "zone"}),
]

NEVER = [
    "1.2.3.4:",
    "1.2.3.4:65536",
    "1.2.3.4:99999",
    "1.2.3.4:000080",
    "1.2.3.4:-1",
    "1.2.3.4:+80",
    "1.2.3.4: 80",
    "1.2.3.4 :80",
    "1.2.3.4:http",
    "1.2.3.4:0x50",
    "1.2.3.4:80:80",
    "1.2.3.4:\u0668\u0660",  # ARABIC-INDIC DIGITS
    "1.2.3.4:80\n",
    ":80",
    "[1.2.3.4]",
    "[1.2.3.4]:80",
    "[]",
    "[]:80",
    "[2001:db8::7",
    "2001:db8::7]",
    "2001:db8::7]:80",
    "[[2001:db8::7]]",
    "[2001:db8::7]80",
    "[2001:db8::7]:",
    "[2001:db8::7]:65536",
    "[ 2001:db8::7]",
    "[2001:db8::7]\n",
    "(2001:db8::7)",
    "fe80::1%",
    "fe80::1%eth0%eth1",
    "fe80::1%eth 0",
    "fe80::1%eth0/64",
    "fe80::1%eth0]",
    f"fe80::1%{'e' * 33}",
    "[fe80::1]%eth0",
    "2001:db8::7%eth0",
    "::ffff:169.254.1.1%eth0",
    "169.254.1.1%eth0",
    "1.2.3.4%eth0:80",
]


def bare(text: str) -> bool:
    """Say whether a text has none of the forms about it."""
    return all(text != written for written, *_ in WRITTEN)


@pytest.mark.parametrize(("text", "address", "needed"), WRITTEN)
def test_a_form_is_read_exactly_where_it_is_accepted(
    text: str, address: str, needed: set[Form]
) -> None:
    """Each form is an option of its own: a text with several needs all of them."""
    for count in range(len(FORMS) + 1):
        for accept in map(frozenset, combinations(FORMS, count)):
            found = ip_address(address) if needed <= accept else None
            assert parse(text, accept) == found, accept


@pytest.mark.parametrize(("text", "address"), ADDRESSES.items())
def test_a_bare_address_is_always_one(text: str, address: str) -> None:
    """What is accepted need not be there."""
    assert parse(text, FORMS) == ip_address(address)


@pytest.mark.parametrize("text", [*NEVER, *filter(bare, NO_ADDRESSES)], ids=ascii)
def test_all_else_stays_as_strict_as_it_is(text: str) -> None:
    """What is neither an address nor one of the forms is none with every form accepted."""
    if text not in {"1.1.1.1:55", "[2001:db8::7]", "[2001:db8::8]:443", "fe80::1%25eth0"}:
        assert parse(text, FORMS) is None


@given(st.text(alphabet="0123456789abF:.[]%e", max_size=60))
def test_what_is_read_is_written_in_one_of_the_forms(text: str) -> None:
    """Whatever is read consists of an address and what is accepted around it, and of no more."""
    address = parse(text, FORMS)
    if address is not None:
        host, bracket, rest = text.removeprefix("[").partition("]")
        inner = host if bracket or host.count(":") > 1 else host.partition(":")[0]
        assert parse(inner.partition("%")[0]) == address
        assert not bracket or rest[:1] in {"", ":"}


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_is_read_with_its_port(address: IPv4Address | IPv6Address, port: int) -> None:
    """An address that is written with a port is read as the address."""
    text = f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"
    assert parse(text, frozenset({"port", "brackets"})) == parse(str(address))


EXPECTED: list[tuple[set[Form], str]] = [
    (set(), "a bare IP address"),
    ({"port"}, "an IP address, bare or with port"),
    ({"zone", "port", "brackets"}, "an IP address, bare or with brackets, port, zone"),
]


@pytest.mark.parametrize(("accept", "words"), EXPECTED)
def test_what_is_expected_is_said_in_words(accept: set[Form], words: str) -> None:
    """An operator reads what would have been taken."""
    assert expected(frozenset(accept)) == words


PORTS: frozenset[Form] = frozenset({"port", "brackets"})
TRUSTED: tuple[Network, ...] = RANGES
AZURE = ForwardedFor(trusted_hops=1, accept=PORTS)
AZURE_RANGES = ForwardedFor(trusted_proxies=TRUSTED, accept=PORTS)
AZURE_HEADER = NamedHeader("x-client", TRUSTED, accept=PORTS)

SOURCES = {
    "hops": (AZURE, seen(PROXY, [f"9.9.9.9:1, 1.2.3.4:443,{PROXY}"])),
    "ranges": (AZURE_RANGES, seen(PROXY, [f"9.9.9.9:1, 1.2.3.4:443, 10.1.1.1:80,{PROXY}"])),
    "header": (AZURE_HEADER, seen(PROXY, headers={"x-client": ["1.2.3.4:443"]})),
}


@pytest.mark.parametrize(("source", "evidence"), SOURCES.values(), ids=SOURCES)
def test_every_source_that_reads_a_header_accepts_them(
    source: ForwardedFor | NamedHeader, evidence: Evidence
) -> None:
    """The address counts, the port does not."""
    assert source.resolve(evidence) == ClientAddress(ip_address("1.2.3.4"))


def test_what_envoy_appends_is_bare() -> None:
    """Envoy appends no port: an entry with one is not what it appended."""
    resolved = AZURE.resolve(seen(PROXY, [f"9.9.9.9, 1.2.3.4:443, {PROXY}:80"]))
    assert resolved.address is None
    assert resolved.problem.startswith("x-forwarded-for must end with the peer that Envoy appends")


def test_a_long_text_is_not_looked_at() -> None:
    """A megabyte costs no more than its length is asked for."""
    assert parse("1.2.3.4:" + "0" * 1_000_000, FORMS) is None
    assert parse("[" * 1_000_000, FORMS) is None
