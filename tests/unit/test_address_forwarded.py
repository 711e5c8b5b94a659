"""Forwarded as RFC 7239 has it, read from the right; and ways to lie in it, in vain."""

from collections.abc import Sequence
from ipaddress import ip_address
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate.address import (
    LONGEST_CHAIN,
    LONGEST_ELEMENT,
    LONGEST_READ,
    AddressSource,
    ClientAddress,
    Evidence,
    Forwarded,
    GivenEvidence,
)
from tests.unit.test_address import ATTACKER, DESIRED, FORGED_LINES, INNER_PROXY, PROXY, RANGES

HOPS_0, HOPS_1 = Forwarded(trusted_hops=0), Forwarded(trusted_hops=1)
IN_RANGES = Forwarded(trusted_proxies=RANGES)
ZONES = Forwarded(trusted_hops=0, accept=frozenset({"zone"}))


def seen(*lines: str, peer: str = PROXY) -> Evidence:
    """Return what a Check carries."""
    return GivenEvidence(peer, {"forwarded": list(lines)} if lines else {}, {})


ALL_THAT_IS_READ = ["for=1.2.3.4;x=", *["for=10.1.1.1;x=" + "y" * (1023 - 15)] * 7]
ALL_THAT_IS_READ[0] += "y" * (LONGEST_READ - 7 * 1024 - len("for=1.2.3.4;x=") - 1)
"""A comma or the end of a line counts as well: not a character more is read."""

RESOLVED: list[tuple[str, AddressSource, Evidence, str]] = [
    ("one element", HOPS_0, seen("for=1.2.3.4"), "1.2.3.4"),
    ("the last", HOPS_0, seen("for=9.9.9.9, for=1.2.3.4"), "1.2.3.4"),
    ("no space", HOPS_0, seen("for=9.9.9.9,for=1.2.3.4"), "1.2.3.4"),
    ("white space", HOPS_0, seen("for=9.9.9.9 \t,\t for=1.2.3.4 \t"), "1.2.3.4"),
    ("lines", HOPS_0, seen("for=9.9.9.9", "for=1.2.3.4"), "1.2.3.4"),
    (
        "several pairs",
        HOPS_0,
        seen("proto=https;for=1.2.3.4;by=10.0.0.5;host=a.example"),
        "1.2.3.4",
    ),
    ("any case", HOPS_0, seen("Proto=https;FoR=1.2.3.4"), "1.2.3.4"),
    ("empty pairs", HOPS_0, seen(";for=1.2.3.4;;proto=http;"), "1.2.3.4"),
    ("extension", HOPS_0, seen('for=1.2.3.4;secret=x;x-a="b;c,d=\\"e\\""'), "1.2.3.4"),
    ("a comma in quotes", HOPS_0, seen('for=1.2.3.4;host="a,for=9.9.9.9"'), "1.2.3.4"),
    ("an escape in quotes", HOPS_0, seen(r'for=1.2.3.4;host="a\\"'), "1.2.3.4"),
    ("quotes in quotes", HOPS_0, seen(r'for=1.2.3.4;host="\",for=\"9.9.9.9\""'), "1.2.3.4"),
    ("empty quotes", HOPS_0, seen('for=1.2.3.4;host=""'), "1.2.3.4"),
    ("equals signs in quotes", HOPS_0, seen('for=1.2.3.4;host="=a="'), "1.2.3.4"),
    ("quoted", HOPS_0, seen('for="1.2.3.4"'), "1.2.3.4"),
    ("quoted with needless escapes", HOPS_0, seen(r'for="\1.2.3\.4"'), "1.2.3.4"),
    ("port", HOPS_0, seen('for="1.2.3.4:4711"'), "1.2.3.4"),
    ("hidden port", HOPS_0, seen('for="1.2.3.4:_SEVKISEK"'), "1.2.3.4"),
    ("IPv6", HOPS_0, seen('for="[2001:db8::1]"'), "2001:db8::1"),
    ("IPv6 with port", HOPS_0, seen('For="[2001:db8:cafe::17]:4711"'), "2001:db8:cafe::17"),
    ("IPv6 with hidden port", HOPS_0, seen('for="[2001:db8::1]:_x"'), "2001:db8::1"),
    ("IPv4-mapped", HOPS_0, seen('for="[::ffff:1.2.3.4]"'), "1.2.3.4"),
    ("zone", ZONES, seen('for="[fe80::1%eth0]:4711"'), "fe80::1"),
    ("a hop", HOPS_1, seen(f"for=9.9.9.9, for=1.2.3.4, for={INNER_PROXY}"), "1.2.3.4"),
    ("a hidden hop", HOPS_1, seen("for=9.9.9.9, for=1.2.3.4, for=_proxy"), "1.2.3.4"),
    ("a hop without for", HOPS_1, seen("for=9.9.9.9, for=1.2.3.4, proto=https"), "1.2.3.4"),
    ("ranges", IN_RANGES, seen(f"for=9.9.9.9, for=1.2.3.4, for={INNER_PROXY}"), "1.2.3.4"),
    ("ranges, ports", IN_RANGES, seen('for=1.2.3.4, for="10.1.1.1:80"'), "1.2.3.4"),
    ("ranges, lines", IN_RANGES, seen("for=9.9.9.9, for=1.2.3.4", "for=10.1.1.1"), "1.2.3.4"),
    ("ranges, all trusted", IN_RANGES, seen("for=10.1.1.1, for=10.2.2.2"), "10.1.1.1"),
    ("ranges, all that is read", IN_RANGES, seen(*ALL_THAT_IS_READ), "1.2.3.4"),
    ("ranges, untrusted peer", IN_RANGES, seen("for=9.9.9.9", peer="1.2.3.4"), "1.2.3.4"),
    ("ranges, no header, untrusted peer", IN_RANGES, seen(peer="1.2.3.4"), "1.2.3.4"),
]


@pytest.mark.parametrize(
    ("source", "evidence", "expected"),
    [case[1:] for case in RESOLVED],
    ids=[case[0] for case in RESOLVED],
)
def test_the_client_is_resolved(source: AddressSource, evidence: Evidence, expected: str) -> None:
    """The client is whom the last trusted proxy names, however the standard lets it write that."""
    assert source.resolve(evidence) == ClientAddress(ip_address(expected))


NO_NODES = [
    "for=unknown",
    "for=_hidden",
    'for="_hidden:80"',
    'for="unknown:4711"',
    "for=_1.2.3.4",
    'for="2001:db8::1"',  # without brackets
    'for="[1.2.3.4]"',
    'for="1.2.3.4:"',
    'for="1.2.3.4:65536"',
    'for="1.2.3.4:123456"',
    'for="1.2.3.4:_"',
    'for="1.2.3.4:_a:80"',
    'for="1.2.3.4:80:_a"',
    'for="[2001:db8::1]:_a b"',
    'for="[2001:db8::1"',
    'for="2001:db8::1]"',
    'for="[fe80::1%eth0]"',
    'for="fe80::1%eth0"',
    'for=""',
    'for=" 1.2.3.4"',
    'for="1.2.3.4, 9.9.9.9"',
    'for="1.2.3.4;for=9.9.9.9"',
    r'for="\"1.2.3.4\""',
    "for=01.02.03.04",
    "for=0x01020304",
    "for=localhost",
    "by=1.2.3.4",
    "proto=https;host=1.2.3.4",
    "",
    ";",
    " ",
]

MALFORMED = [
    "1.2.3.4",
    "for",
    "for=",
    "=1.2.3.4",
    "for=1.2.3.4;for=1.2.3.4",
    "for=1.2.3.4;FOR=9.9.9.9",
    "for =1.2.3.4",
    "for= 1.2.3.4",
    "for=1.2.3.4; proto=https",
    "for=1.2.3.4 ;proto=https",
    "for=1.2.3.4 proto=https",
    "for=1.2.3.4:80",
    "for=[2001:db8::1]",
    "for=2001:db8::1",
    'for="1.2.3.4',
    'for=1.2.3.4"',
    '"for=1.2.3.4"',
    'for="1.2.3.4"x',
    'for=x"1.2.3.4"',
    'for="1.2.3.4""9.9.9.9"',
    r'for=1.2.3.4;host="a\"',
    'for="1.2.3.4\x00"',
    'for="1.2.3.4\x7f"',
    "for=1.2.3.4\x00",
    "for=1.2.3.4\r\n",
    "for='1.2.3.4';a=(b)",
    "for=1.2.3.4(comment)",
    "f\u00f6r=1.2.3.4",
    "for=1.2.3.4\u00a0",
    "for\uff1d1.2.3.4",
    "for=1.2.3.4\ud800",
]


@pytest.mark.parametrize("before", ["", f"for={DESIRED},", f"for={DESIRED}, "])
@pytest.mark.parametrize("element", NO_NODES, ids=ascii)
def test_an_element_that_names_no_address_leaves_the_client_unresolved(
    element: str, before: str
) -> None:
    """Nothing is taken in its place, least of all what stands before it."""
    for source in (HOPS_0, IN_RANGES):
        resolved = source.resolve(seen(before + element))
        assert resolved.address is None
        assert resolved.problem.startswith("the forwarded element that decides must name an IP")


@pytest.mark.parametrize("before", ["", f"for={DESIRED},", f"for={DESIRED}, "])
@pytest.mark.parametrize("element", MALFORMED, ids=ascii)
def test_a_malformed_element_leaves_the_client_unresolved(element: str, before: str) -> None:
    """Nor is anything made of what is not well-formed, whether it decides or is on the way."""
    for source in (HOPS_0, HOPS_1, IN_RANGES):
        resolved = source.resolve(seen(before + element))
        assert resolved.address is None
        assert "must be well-formed as in RFC 7239" in resolved.problem


MALFORMED_ELEMENT = "the forwarded element that decides must be well-formed as in RFC 7239"

UNRESOLVED: list[tuple[str, AddressSource, Evidence, str]] = [
    (
        "pipe",
        IN_RANGES,
        seen("for=1.2.3.4", peer=""),
        "the peer has no IP address: a pipe or an internal listener",
    ),
    ("none", HOPS_0, seen(), "forwarded is missing or too short for trusted_hops"),
    (
        "too short",
        HOPS_1,
        seen("for=1.2.3.4"),
        "forwarded is missing or too short for trusted_hops",
    ),
    ("none, ranges", IN_RANGES, seen(), "forwarded is missing behind a trusted proxy"),
    (
        "without end",
        IN_RANGES,
        seen("for=10.1.1.1," * LONGEST_CHAIN + "for=10.2.2.2"),
        "more than 256 trusted proxies in a row",
    ),
    (
        "too much to read",
        IN_RANGES,
        seen(ALL_THAT_IS_READ[0] + "y", *ALL_THAT_IS_READ[1:]),
        "more than 8192 characters of forwarded would have to be read",
    ),
    (
        "too much to read, on several lines and all of it white space",
        Forwarded(trusted_hops=LONGEST_CHAIN),
        seen(*[" " * 1000] * LONGEST_CHAIN),
        "more than 8192 characters of forwarded would have to be read",
    ),
    (
        "hidden",
        IN_RANGES,
        seen(f"for={DESIRED}, for=_hidden, for={INNER_PROXY}"),
        "the forwarded element that decides must name an IP address (got '_hidden')",
    ),
    (
        "malformed",
        HOPS_0,
        seen("for=1.2.3.4:80"),
        f"{MALFORMED_ELEMENT} (got 'for=1.2.3.4:80')",
    ),
    (
        "an element too long",
        HOPS_0,
        seen(f"for={DESIRED};x=" + "y" * LONGEST_ELEMENT + ";for=1.2.3.4"),
        f"""{MALFORMED_ELEMENT} (got '"{"y" * 44}'...)""",
    ),
]


@pytest.mark.parametrize(
    ("source", "evidence", "problem"),
    [case[1:] for case in UNRESOLVED],
    ids=[case[0] for case in UNRESOLVED],
)
def test_the_operator_is_told_why(source: AddressSource, evidence: Evidence, problem: str) -> None:
    """What is missing, malformed or too short is unresolved, and said in a line."""
    assert source.resolve(evidence) == ClientAddress(None, problem)


# --- forgery -----------------------------------------------------------------------------------

FORGED: dict[str, list[str]] = {
    **FORGED_LINES,
    "the address wanted, as it should be": [f"for={DESIRED}"],
    "quoted": [f'for="{DESIRED}"'],
    "with a port": [f'for="{DESIRED}:80"'],
    "twice in an element": [f"for={DESIRED};for={DESIRED}"],
    "as if by the proxy": [f"for={DESIRED};by={PROXY}, for={PROXY}"],
    "open quotes": [f'for={DESIRED};host="'],
    "open quotes at the start": [f'for="{DESIRED}'],
    "open quotes after an escape": [f'for={DESIRED};host="\\"'],
    "a backslash": [f"for={DESIRED};host=\\"],
    "a backslash in open quotes": [f'for={DESIRED};host="\\'],
    "quotes alone": ['"'],
    "an equals sign and quotes": [f'for={DESIRED}, ="'],
    "a pair without a value": [f"for={DESIRED};for="],
    "a semicolon": [f"for={DESIRED};"],
    "quotes on a line of their own": [f'for={DESIRED};host="', '"'],
    "a thousand quotes": ['"' * 1000],
    "a thousand equals signs and quotes": ['="' * 1000],
    "a hundred kilobytes in quotes": [f'for={DESIRED};host="{"," * 100_000}"'],
}

WIRINGS: dict[str, tuple[AddressSource, str, str]] = {
    "hops": (HOPS_0, PROXY, f"for={ATTACKER}"),
    "hops, quoted": (HOPS_0, PROXY, f'proto=https;for="{ATTACKER}:4711";host="a,b;c=\\"d\\""'),
    "two hops": (HOPS_1, PROXY, f'for={ATTACKER};proto=http, for="{INNER_PROXY}:80"'),
    "ranges": (IN_RANGES, PROXY, f'for="{ATTACKER}";host="x=", for={INNER_PROXY}'),
    "ranges, past the proxies": (IN_RANGES, ATTACKER, f"for={DESIRED}"),
}


def held(source: AddressSource, peer: str, lines: Sequence[str]) -> bool:
    """Say whether the client is where it is."""
    return source.resolve(seen(*lines, peer=peer)) == ClientAddress(ip_address(ATTACKER))


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_header_moves_nobody(forgery: str, wiring: str) -> None:
    """Whatever the client put into Forwarded, what the proxies appended is what counts."""
    source, peer, appended = WIRINGS[wiring]
    *lines, last = FORGED[forgery]
    assert held(source, peer, [*lines, last, appended])
    assert held(source, peer, [*lines, f"{last}, {appended}"])
    assert held(source, peer, [*lines, f"{last},{appended}"])


PIECES = st.sampled_from(
    ["for=", DESIRED, '"', "\\", '="', ",", ";", " ", "a", "[", "]", ":80", "by=", '\\"', PROXY]
)
PREFIX = st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=20)


@given(st.sampled_from(sorted(WIRINGS)), st.lists(PREFIX, max_size=3))
def test_nothing_prepended_changes_the_answer(wiring: str, forged: list[str]) -> None:
    """No quotation mark that a client leaves open swallows what a proxy wrote."""
    source, peer, appended = WIRINGS[wiring]
    assert held(source, peer, [*forged, appended])
    assert held(source, peer, [",".join([*forged, appended])])


TOKENS = st.text("ab.-_1", min_size=1, max_size=5)
QUOTED = st.text(' ,;="\\[]:a1', max_size=8).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
EXTRAS = st.dictionaries(TOKENS.filter(lambda name: name != "for"), TOKENS | QUOTED, max_size=3)


@given(st.lists(EXTRAS, min_size=1, max_size=4))
def test_every_well_formed_element_is_read(extras: list[dict[str, str]]) -> None:
    """Read from the right, elements begin and end where they do when read from the left."""
    addresses = [f"10.0.0.{number}" for number in range(len(extras))]
    elements = [
        ";".join([*(f"{name}={value}" for name, value in extra.items()), f"for={address}"])
        for extra, address in zip(extras, addresses, strict=True)
    ]
    for hops, address in enumerate(reversed(addresses)):
        resolved = Forwarded(trusted_hops=hops).resolve(seen(", ".join(elements)))
        assert resolved == ClientAddress(ip_address(address))


@given(st.sampled_from([HOPS_0, HOPS_1, IN_RANGES]), st.lists(PREFIX, min_size=1, max_size=4))
def test_lines_are_one_list(source: AddressSource, lines: list[str]) -> None:
    """On several lines it decides as on one where it decides at all (RFC 9110, section 5.3)."""
    apart = source.resolve(seen(*lines)).address
    joined = source.resolve(seen(",".join(lines))).address
    assert apart is None or joined is None or apart == joined


ENDLESS = {
    "commas": "," * 1_000_000,
    "quotes": '"' * 1_000_000,
    "equals signs and quotes": '="' * 500_000,
    "escapes": '\\"' * 500_000,
    "open quotes": 'for="' + "a" * 1_000_000,
    "one word": "a" * 1_000_000,
    "pairs": "a=b;" * 250_000,
    "trusted elements": "for=10.1.1.1," * 80_000 + "for=10.1.1.1",
    "trusted elements of nothing": ("for=10.1.1.1" + ";" * 1000 + ",") * 990,
    "trusted elements of pairs": ("for=10.1.1.1" + ";a=b" * 250 + ",") * 990,
    "trusted long elements": (f"for=10.1.1.1;x={'y' * 990}," * 990)[:-1],
}


@pytest.mark.parametrize("line", ENDLESS.values(), ids=ENDLESS)
def test_a_megabyte_costs_little(line: str) -> None:
    """Work is bounded by so many elements and so many characters, not by what was sent."""
    for source in (HOPS_0, HOPS_1, IN_RANGES, Forwarded(trusted_hops=LONGEST_CHAIN)):
        started = process_time()
        source.resolve(seen(line))
        assert process_time() - started < 0.25
