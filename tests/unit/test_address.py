"""Who the client is, for each way of knowing it; and the many ways to lie about it, in vain."""

import ast
import socket
from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate import address as address_module
from regiongate.address import (
    FORMS,
    LONGEST_CHAIN,
    AddressSource,
    ClientAddress,
    EnvoyMetadata,
    Evidence,
    Forwarded,
    ForwardedFor,
    GivenEvidence,
    NamedHeader,
    Network,
    Peer,
    parse,
)

ATTACKER = "203.0.113.66"  # where the attacker really is
DESIRED = "198.51.100.1"  # where the attacker would like to be
PROXY = "10.0.0.5"
INNER_PROXY = "10.0.0.6"
RANGES: tuple[Network, ...] = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"))
METADATA = "x-regiongate-client-address"


def seen(
    peer: str = PROXY,
    forwarded_for: Sequence[str] | None = None,
    *,
    headers: dict[str, list[str]] | None = None,
    metadata: dict[str, list[str]] | None = None,
) -> Evidence:
    """Return what a Check carries."""
    forwarded = {} if forwarded_for is None else {"x-forwarded-for": list(forwarded_for)}
    return GivenEvidence(peer, {**forwarded, **(headers or {})}, metadata or {})


# --- parse -------------------------------------------------------------------------------------

ADDRESSES = {
    "203.0.113.7": "203.0.113.7",
    "0.0.0.0": "0.0.0.0",
    "255.255.255.255": "255.255.255.255",
    "2001:db8::7": "2001:db8::7",
    "2001:DB8:0:0:0:0:0:7": "2001:db8::7",
    "2001:0db8:0000:0000:0000:0000:0000:0007": "2001:db8::7",
    "::": "::",
    "::1": "::1",
    "::ffff:5.5.5.5": "5.5.5.5",
    "::FFFF:0505:0505": "5.5.5.5",
    "0000:0000:0000:0000:0000:ffff:255.255.255.254": "255.255.255.254",  # 45 characters
    "::5.5.5.5": "::505:505",  # IPv4-compatible is not IPv4-mapped
    "64:ff9b::5.5.5.5": "64:ff9b::505:505",  # nor is NAT64
}

NO_ADDRESSES = [
    "",
    " ",
    "-",
    "unknown",
    "_hidden",
    "localhost",
    "garbage",
    "1.1.1",
    "1.1.1.1.1",
    "1.1.1.",
    ".1.1.1.1",
    "1..1.1",
    "256.1.1.1",
    "1.1.1.-1",
    "+1.1.1.1",
    "1.1.1.1 ",
    " 1.1.1.1",
    "1.1.1.1\n",
    "1.1.1.1\x00",
    "1.1.1.1/32",
    "1.1.1.1:55",
    "01.01.01.01",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "2130706433",
    "1_0.1.1.1",
    "1.1.1.1,2.2.2.2",
    "\u0661.\u0661.\u0661.\u0661",  # ARABIC-INDIC DIGIT ONE
    "\uff11.\uff11.\uff11.\uff11",  # FULLWIDTH DIGIT ONE
    "1\u30021\u30021\u30021",  # IDEOGRAPHIC FULL STOP
    "1.1.1.\u00b9",  # SUPERSCRIPT ONE
    "[2001:db8::7]",
    "[2001:db8::8]:443",
    "2001:db8::7%eth0",
    "fe80::1%25eth0",
    "::ffff:1.1.1.1%1",
    "fe80::1%",
    "2001:db8::7/128",
    "2001:db8::7::1",
    "2001:db8",
    "1:2:3:4:5:6:7:8:9",
    ":::",
    ":1:2:3:4:5:6:7:8",
    "12345::",
    "g::1",
    "::ffff:5.5.5.05",
    "::ffff:5.5.5",
    '"1.1.1.1"',
    "for=1.1.1.1",
    "\ud800",
    "00000000:0000:0000:0000:0000:0000:0000:0000:0001",
    "1" * 46,
]


@pytest.mark.parametrize(("text", "expected"), ADDRESSES.items())
def test_parse_reads_bare_addresses(text: str, expected: str) -> None:
    """A bare address is read, and an IPv4-mapped one is unwrapped."""
    assert parse(text) == ip_address(expected)


@pytest.mark.parametrize("text", NO_ADDRESSES, ids=ascii)
def test_parse_reads_nothing_else(text: str) -> None:
    """Whatever Envoy would not take for an address is none."""
    assert parse(text) is None


@given(st.text(alphabet="0123456789abcdefF:.", max_size=45))
def test_parse_agrees_with_inet_pton(text: str) -> None:
    """Exactly the texts that inet_pton, which Envoy uses, takes for addresses are addresses."""
    assert (parse(text) is not None) == _inet_pton_takes(text)


def _inet_pton_takes(text: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False


@given(st.ip_addresses())
def test_parse_reads_every_address_that_is_written_plainly(
    address: IPv4Address | IPv6Address,
) -> None:
    """The usual text of an address is read as that address."""
    assert parse(str(address)) == (getattr(address, "ipv4_mapped", None) or address)


# --- each source at its ordinary work ----------------------------------------------------------

HOPS_0, HOPS_1, HOPS_2 = (ForwardedFor(trusted_hops=hops) for hops in range(3))
BEHIND_0, BEHIND_1 = (ForwardedFor(trusted_hops=hops, envoy_appends=False) for hops in range(2))
IN_RANGES = ForwardedFor(trusted_proxies=RANGES)
BEHIND_RANGES = ForwardedFor(trusted_proxies=RANGES, envoy_appends=False)
CDN = NamedHeader("cf-connecting-ip", RANGES)

RESOLVED: list[tuple[str, AddressSource, Evidence, str]] = [
    ("metadata", EnvoyMetadata(), seen(metadata={METADATA: ["1.2.3.4"]}), "1.2.3.4"),
    ("metadata, IPv6", EnvoyMetadata(), seen(metadata={METADATA: ["2001:db8::7"]}), "2001:db8::7"),
    ("metadata, mapped", EnvoyMetadata(), seen(metadata={METADATA: ["::ffff:1.2.3.4"]}), "1.2.3.4"),
    ("metadata, pipe", EnvoyMetadata(), seen("", metadata={METADATA: ["1.2.3.4"]}), "1.2.3.4"),
    ("metadata, own name", EnvoyMetadata("x-c"), seen(metadata={"x-c": ["1.2.3.4"]}), "1.2.3.4"),
    ("no hop is the peer", HOPS_0, seen("1.2.3.4", ["9.9.9.9,1.2.3.4"]), "1.2.3.4"),
    ("one hop", HOPS_1, seen(PROXY, [f"9.9.9.9, 1.2.3.4,{PROXY}"]), "1.2.3.4"),
    ("two hops", HOPS_2, seen(PROXY, [f"9.9.9.9, 1.2.3.4, {INNER_PROXY},{PROXY}"]), "1.2.3.4"),
    ("hops, garbage skipped", HOPS_2, seen(PROXY, [f"1.2.3.4, unknown,{PROXY}"]), "1.2.3.4"),
    ("hops, white space", HOPS_1, seen(PROXY, [f"1.2.3.4 \t, {PROXY} "]), "1.2.3.4"),
    ("hops, lines", HOPS_1, seen(PROXY, ["9.9.9.9", "1.2.3.4", PROXY]), "1.2.3.4"),
    ("hops, IPv6 peer", HOPS_1, seen("2001:db8::5", ["1.2.3.4,2001:DB8::5"]), "1.2.3.4"),
    ("hops, mapped peer", HOPS_1, seen(PROXY, [f"1.2.3.4,::ffff:{PROXY}"]), "1.2.3.4"),
    ("hops, loopback peer", HOPS_1, seen("127.0.0.1", ["1.2.3.4,192.0.2.2"]), "1.2.3.4"),
    ("hops, IPv6 loopback", HOPS_0, seen("::1", ["192.0.2.2"]), "::1"),
    ("hops, not appending", BEHIND_0, seen(PROXY, ["9.9.9.9, 1.2.3.4"]), "1.2.3.4"),
    ("one hop, not appending", BEHIND_1, seen(PROXY, [f"1.2.3.4, {INNER_PROXY}"]), "1.2.3.4"),
    ("untrusted peer", IN_RANGES, seen("1.2.3.4", ["9.9.9.9,1.2.3.4"]), "1.2.3.4"),
    ("one trusted proxy", IN_RANGES, seen(PROXY, [f"9.9.9.9, 1.2.3.4,{PROXY}"]), "1.2.3.4"),
    ("two", IN_RANGES, seen(PROXY, [f"9.9.9.9,1.2.3.4,{INNER_PROXY},{PROXY}"]), "1.2.3.4"),
    ("all trusted: leftmost", IN_RANGES, seen(PROXY, [f"10.1.1.1,10.2.2.2,{PROXY}"]), "10.1.1.1"),
    (
        "ranges, mapped entry",
        IN_RANGES,
        seen(PROXY, [f"1.2.3.4,::ffff:10.1.1.1,{PROXY}"]),
        "1.2.3.4",
    ),
    ("ranges, mapped peer", BEHIND_RANGES, seen(f"::ffff:{PROXY}", ["1.2.3.4"]), "1.2.3.4"),
    ("ranges, loopback peer", IN_RANGES, seen("127.0.0.1", ["9.9.9.9,10.0.0.9"]), "127.0.0.1"),
    ("ranges, IPv6", IN_RANGES, seen("2001:db8:1::1", ["1.2.3.4,2001:db8:1::1"]), "1.2.3.4"),
    ("ranges, behind", BEHIND_RANGES, seen(PROXY, ["9.9.9.9, 1.2.3.4, 10.1.1.1"]), "1.2.3.4"),
    ("ranges, behind, no header", BEHIND_RANGES, seen("1.2.3.4"), "1.2.3.4"),
    (
        "the longest chain",
        BEHIND_RANGES,
        seen(PROXY, [",".join(["10.1.1.1"] + ["10.2.2.2"] * (LONGEST_CHAIN - 1))]),
        "10.1.1.1",
    ),
    ("header", CDN, seen(PROXY, headers={"cf-connecting-ip": ["1.2.3.4"]}), "1.2.3.4"),
    ("peer", Peer(), seen("1.2.3.4", ["9.9.9.9"]), "1.2.3.4"),
    ("mapped peer", Peer(), seen("::ffff:1.2.3.4"), "1.2.3.4"),
]


@pytest.mark.parametrize(
    ("source", "evidence", "expected"),
    [case[1:] for case in RESOLVED],
    ids=[case[0] for case in RESOLVED],
)
def test_the_client_is_resolved(source: AddressSource, evidence: Evidence, expected: str) -> None:
    """Each source finds the client where its wiring puts it."""
    assert source.resolve(evidence) == ClientAddress(ip_address(expected))


PIPE = "the peer has no IP address: a pipe or an internal listener"
ENTRY = "the x-forwarded-for entry that decides must be a bare IP address"
SHORT = "x-forwarded-for is missing or too short for trusted_hops"
NOT_APPENDED = (
    "x-forwarded-for must end with the peer that Envoy appends (got {got}, expected {peer}); "
    "see use_remote_address, skip_xff_append and envoy_appends"
)

UNRESOLVED: list[tuple[str, AddressSource, Evidence, str]] = [
    (
        "no metadata",
        EnvoyMetadata(),
        seen(),
        f"gRPC metadata {METADATA} must have one value (got 0)",
    ),
    (
        "metadata twice",
        EnvoyMetadata(),
        seen(metadata={METADATA: ["1.2.3.4", "1.2.3.4"]}),
        f"gRPC metadata {METADATA} must have one value (got 2)",
    ),
    (
        "empty metadata",
        EnvoyMetadata(),
        seen(metadata={METADATA: [""]}),
        f"gRPC metadata {METADATA} must be a bare IP address (got '')",
    ),
    (
        "metadata of a pipe",
        EnvoyMetadata(),
        seen(metadata={METADATA: ["/run/envoy.sock"]}),
        f"gRPC metadata {METADATA} must be a bare IP address (got '/run/envoy.sock')",
    ),
    (
        "metadata with a port",
        EnvoyMetadata(),
        seen(metadata={METADATA: ["1.2.3.4:55"]}),
        f"gRPC metadata {METADATA} must be a bare IP address (got '1.2.3.4:55')",
    ),
    ("pipe, peer", Peer(), seen(""), PIPE),
    ("pipe, header", CDN, seen("", headers={"cf-connecting-ip": ["1.2.3.4"]}), PIPE),
    ("pipe, hops", HOPS_1, seen("", [f"1.2.3.4,{PROXY}"]), PIPE),
    ("pipe, hops, behind", BEHIND_0, seen("", ["1.2.3.4"]), PIPE),
    ("pipe, ranges", IN_RANGES, seen("", [f"1.2.3.4,{PROXY}"]), PIPE),
    ("pipe, ranges, behind", BEHIND_RANGES, seen("", ["1.2.3.4"]), PIPE),
    (
        "peer with a zone",
        Peer(),
        seen("fe80::1%2"),
        "the peer must be a bare IP address (got 'fe80::1%2')",
    ),
    ("hops, no header", BEHIND_0, seen(PROXY), SHORT),
    ("hops, too few", HOPS_2, seen(PROXY, [f"1.2.3.4,{PROXY}"]), SHORT),
    ("hops, empty header", BEHIND_0, seen(PROXY, [""]), f"{ENTRY} (got '')"),
    ("hops, trailing comma", BEHIND_0, seen(PROXY, ["1.2.3.4,"]), f"{ENTRY} (got '')"),
    ("hops, port", BEHIND_0, seen(PROXY, ["1.2.3.4:5"]), f"{ENTRY} (got '1.2.3.4:5')"),
    (
        "hops, other white space",
        BEHIND_0,
        seen(PROXY, ["\u00a01.2.3.4"]),
        rf"{ENTRY} (got '\xa01.2.3.4')",
    ),
    (
        "ranges, no header",
        BEHIND_RANGES,
        seen(PROXY),
        "x-forwarded-for is missing behind a trusted proxy",
    ),
    (
        "ranges, only the peer",
        IN_RANGES,
        seen(PROXY, [PROXY]),
        "x-forwarded-for is missing behind a trusted proxy",
    ),
    ("ranges, empty header", BEHIND_RANGES, seen(PROXY, [""]), f"{ENTRY} (got '')"),
    (
        "ranges, malformed on the way",
        IN_RANGES,
        seen(PROXY, [f"1.2.3.4,unknown,10.1.1.1,{PROXY}"]),
        f"{ENTRY} (got 'unknown')",
    ),
    (
        "ranges, without end",
        BEHIND_RANGES,
        seen(PROXY, ["10.1.1.1," * LONGEST_CHAIN + "10.2.2.2"]),
        "more than 256 trusted proxies in a row",
    ),
    (
        "nothing appended",
        HOPS_0,
        seen(PROXY),
        NOT_APPENDED.format(got="''", peer=PROXY),
    ),
    (
        "another appended",
        IN_RANGES,
        seen(PROXY, ["1.2.3.4"]),
        NOT_APPENDED.format(got="'1.2.3.4'", peer=PROXY),
    ),
    (
        "another appended for 127.0.0.2",
        HOPS_0,
        seen("127.0.0.2", ["192.0.2.2"]),
        NOT_APPENDED.format(got="'192.0.2.2'", peer="127.0.0.2"),
    ),
    (
        "garbage appended for loopback",
        HOPS_0,
        seen("127.0.0.1", ["unknown"]),
        NOT_APPENDED.format(got="'unknown'", peer="127.0.0.1"),
    ),
    (
        "header from elsewhere",
        CDN,
        seen("1.2.3.4", headers={"cf-connecting-ip": ["1.2.3.4"]}),
        "the peer must be in trusted_proxies for cf-connecting-ip (got 1.2.3.4)",
    ),
    ("no header", CDN, seen(PROXY), "header cf-connecting-ip must have one value (got 0)"),
    (
        "long text is cut",
        CDN,
        seen(PROXY, headers={"cf-connecting-ip": ["9" * 900_000]}),
        f"header cf-connecting-ip must be a bare IP address (got '{'9' * 45}'...)",
    ),
]


@pytest.mark.parametrize(
    ("source", "evidence", "problem"),
    [case[1:] for case in UNRESOLVED],
    ids=[case[0] for case in UNRESOLVED],
)
def test_the_client_is_unresolved(source: AddressSource, evidence: Evidence, problem: str) -> None:
    """What is missing, malformed or too short is unresolved, and the operator is told why."""
    assert source.resolve(evidence) == ClientAddress(None, problem)


# --- forgery -----------------------------------------------------------------------------------

# What a client sends as X-Forwarded-For; the proxies and Envoy append to it. More than one item is
# the header sent more than once.
FORGED_LINES: dict[str, list[str]] = {
    "the address wanted": [DESIRED],
    "twice": [f"{DESIRED}, {DESIRED}"],
    "many times": [", ".join([DESIRED] * 1000)],
    "a thousand empty elements": ["," * 1000],
    "junk": ["junk, junk, junk"],
    "the proxy's address": [f"{DESIRED}, {PROXY}"],
    "the whole chain": [f"{DESIRED}, {INNER_PROXY}, {PROXY}"],
    "trusted addresses, a thousand": [", ".join([DESIRED, *["10.9.9.9"] * 1000])],
    "twenty entries and one": [", ".join([DESIRED] * 21)],
    "the header twice": [DESIRED, DESIRED],
    "the header a hundred times": [DESIRED] * 100,
    "an empty header": [""],
    "an empty header before another": ["", DESIRED],
    "an empty header after another": [DESIRED, ""],
    "a comma alone": [","],
    "a trailing comma": [f"{DESIRED},"],
    "a trailing comma and a space": [f"{DESIRED}, "],
    "a leading comma": [f",{DESIRED}"],
    "two trailing commas": [f"{DESIRED},,"],
    "spaces": [f"   {DESIRED}   "],
    "many spaces": [" " * 5000 + DESIRED + " " * 5000],
    "tabs": [f"\t{DESIRED}\t"],
    "a vertical tab and a form feed": [f"\v{DESIRED}\f"],
    "a folded line": [f"{DESIRED},\r\n {DESIRED}"],
    "a line feed": [f"{DESIRED}\n"],
    "a second header in the value": [f"{DESIRED}\r\nx-forwarded-for: {DESIRED}"],
    "NUL": [f"{DESIRED}\x00"],
    "NUL instead of a comma": [f"{DESIRED}\x00{PROXY}"],
    "a zone id": [f"{DESIRED}%eth0", "fe80::1%25eth0"],
    "a port": [f"{DESIRED}:443"],
    "brackets": ["[2001:db8::8]"],
    "brackets and a port": ["[2001:db8::8]:443"],
    "the syntax of Forwarded": [f"for={DESIRED};proto=https"],
    "a quoted string": [f'"{DESIRED}"'],
    "an open quotation mark": [f'{DESIRED}, "'],
    "a backslash at the end": [f"{DESIRED}\\"],
    "an open comment": [f"{DESIRED} ("],
    "a semicolon for a comma": [f"{DESIRED};"],
    "a full-width comma": [f"{DESIRED}\uff0c"],
    "an Arabic comma": [f"{DESIRED}\u060c"],
    "Arabic digits": [DESIRED.translate({ord("0") + n: 0x0660 + n for n in range(10)})],
    "full-width digits": [DESIRED.translate({ord("0") + n: 0xFF10 + n for n in range(10)})],
    "right-to-left override": [f"\u202e{DESIRED}"],
    "zero-width spaces": [f"\u200b{DESIRED}\u200b"],
    "no-break spaces": [f"\u00a0{DESIRED}\u00a0"],
    "a byte order mark": [f"\ufeff{DESIRED}"],
    "bytes that are not UTF-8": [f"\udcff{DESIRED}"],
    "octal": ["0306.063.0144.01"],
    "hexadecimal": ["0xc6.0x33.0x64.0x1"],
    "one integer": ["3325256705"],
    "leading zeros": ["198.051.100.001"],
    "short notation": ["198.51.25601"],
    "a mask": [f"{DESIRED}/0"],
    "all addresses": ["0.0.0.0/0"],
    "IPv4-mapped": [f"::ffff:{DESIRED}"],
    "IPv4-mapped proxy": [f"{DESIRED}, ::ffff:{PROXY}"],
    "IPv4-compatible": [f"::{DESIRED}"],
    "6to4": ["2002:c633:6401::1"],
    "loopback": ["127.0.0.1"],
    "IPv6 loopback": ["::1"],
    "unspecified": ["0.0.0.0"],
    "a private address": ["192.168.0.1"],
    "a name": ["localhost"],
    "the words of RFC 7239": ["unknown, _hidden"],
    "a hundred kilobytes": ["9" * 100_000],
    "percent-encoding": ["198%2E51%2E100%2E1%2C"],
    "an encoded word": ["=?utf-8?q?198.51.100.1?="],
}

# How what the client sent reaches us: who the peer is, and what the proxies and Envoy append.
WIRINGS: dict[str, tuple[AddressSource, str, str]] = {
    "edge Envoy": (HOPS_0, ATTACKER, ATTACKER),
    "behind a load balancer": (HOPS_1, PROXY, f"{ATTACKER},{PROXY}"),
    "behind two": (HOPS_2, PROXY, f"{ATTACKER}, {INNER_PROXY},{PROXY}"),
    "behind, not appending": (BEHIND_0, PROXY, ATTACKER),
    "behind two, not appending": (BEHIND_1, PROXY, f"{ATTACKER}, {INNER_PROXY}"),
    "ranges": (IN_RANGES, PROXY, f"{ATTACKER}, {INNER_PROXY},{PROXY}"),
    "ranges, not appending": (BEHIND_RANGES, PROXY, f"{ATTACKER}, {INNER_PROXY}"),
    "ranges, past the proxies": (IN_RANGES, ATTACKER, ATTACKER),
    "ranges, past the proxies, not appending": (BEHIND_RANGES, ATTACKER, ATTACKER),
    "peer": (Peer(), ATTACKER, ATTACKER),
}


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("forgery", FORGED_LINES)
def test_a_forged_header_moves_nobody(forgery: str, wiring: str) -> None:
    """Whatever the client put into X-Forwarded-For, the client is where it is."""
    source, peer, appended = WIRINGS[wiring]
    *lines, last = FORGED_LINES[forgery]
    joined = seen(peer, [*lines, f"{last}, {appended}"])
    apart = seen(peer, [*lines, last, appended])
    assert source.resolve(joined) == source.resolve(apart) == ClientAddress(ip_address(ATTACKER))


FORGED_ELSEWHERE: list[tuple[str, AddressSource, Evidence, str | None]] = [
    (
        "the metadata's name as a header",
        EnvoyMetadata(),
        seen(headers={METADATA: [DESIRED]}, metadata={METADATA: [ATTACKER]}),
        ATTACKER,
    ),
    (
        "the metadata's name as a header, Envoy sends none",
        EnvoyMetadata(),
        seen(headers={METADATA: [DESIRED]}),
        None,
    ),
    (
        "the gRPC call's own x-forwarded-for",
        HOPS_0,
        seen(ATTACKER, [ATTACKER], metadata={"x-forwarded-for": [DESIRED]}),
        ATTACKER,
    ),
    (
        "x-envoy-external-address, x-real-ip, forwarded and others",
        HOPS_0,
        seen(
            ATTACKER,
            [ATTACKER],
            headers={
                "x-envoy-external-address": [DESIRED],
                "x-real-ip": [DESIRED],
                "true-client-ip": [DESIRED],
                "cf-connecting-ip": [DESIRED],
                "forwarded": [f"for={DESIRED}"],
                "x_forwarded_for": [DESIRED],
            },
        ),
        ATTACKER,
    ),
    (
        "past the CDN, with its header",
        CDN,
        seen(ATTACKER, headers={"cf-connecting-ip": [DESIRED]}),
        None,
    ),
    (
        "past the CDN, naming it in x-forwarded-for",
        CDN,
        seen(ATTACKER, [PROXY], headers={"cf-connecting-ip": [DESIRED]}),
        None,
    ),
    (
        "through the CDN, header first",
        CDN,
        seen(PROXY, headers={"cf-connecting-ip": [DESIRED, ATTACKER]}),
        None,
    ),
    (
        "through the CDN, header last",
        CDN,
        seen(PROXY, headers={"cf-connecting-ip": [ATTACKER, DESIRED]}),
        None,
    ),
    (
        "through the CDN, joined by Envoy",
        CDN,
        seen(PROXY, headers={"cf-connecting-ip": [f"{DESIRED},{ATTACKER}"]}),
        None,
    ),
    (
        "through the CDN, with spaces",
        CDN,
        seen(PROXY, headers={"cf-connecting-ip": [f" {DESIRED} "]}),
        None,
    ),
    (
        "through the CDN, underscores for hyphens",
        CDN,
        seen(PROXY, headers={"cf_connecting_ip": [DESIRED], "cf-connecting-ip": [ATTACKER]}),
        ATTACKER,
    ),
    (
        "Envoy was to append and does not, one hop",
        HOPS_1,
        seen(PROXY, [f"{DESIRED}, {ATTACKER}"]),
        None,
    ),
    ("Envoy was to append and does not, no hop", HOPS_0, seen(ATTACKER, [DESIRED]), None),
    (
        "Envoy was to append and does not, ranges",
        IN_RANGES,
        seen(PROXY, [f"{DESIRED}, {ATTACKER}"]),
        None,
    ),
    (
        "Envoy was to append and cannot, on a pipe",
        HOPS_1,
        seen("", [f"{DESIRED}, {PROXY}"]),
        None,
    ),
    (
        "a chain of trusted addresses on a pipe",
        IN_RANGES,
        seen("", [f"{DESIRED}, {INNER_PROXY}, {PROXY}"]),
        None,
    ),
    (
        "the proxy wrote the port too",
        HOPS_1,
        seen(PROXY, [f"{DESIRED}, {ATTACKER}:55,{PROXY}"]),
        None,
    ),
    (
        "the proxy wrote unknown",
        IN_RANGES,
        seen(PROXY, [f"{DESIRED}, unknown,{PROXY}"]),
        None,
    ),
    (
        "the proxy wrote nothing but a comma",
        IN_RANGES,
        seen(PROXY, [f"{DESIRED},,{PROXY}"]),
        None,
    ),
]


@pytest.mark.parametrize(
    ("source", "evidence", "expected"),
    [case[1:] for case in FORGED_ELSEWHERE],
    ids=[case[0] for case in FORGED_ELSEWHERE],
)
def test_forgery_by_other_ways(
    source: AddressSource, evidence: Evidence, expected: str | None
) -> None:
    """The client is where it is, or unresolved; never where it would like to be."""
    assert source.resolve(evidence).address == (ip_address(expected) if expected else None)


# --- laws --------------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
HOP_TEXT = st.sampled_from([DESIRED, PROXY, "10.1.1.1", "::ffff:10.0.0.1", "unknown", "", " "])
HEADER = st.lists(ANY_TEXT | st.lists(HOP_TEXT).map(",".join), max_size=4)
PEERS = ANY_TEXT | st.sampled_from([PROXY, ATTACKER, "127.0.0.1", "::1", "2001:db8:1::1"])
SOURCES: list[AddressSource] = [
    EnvoyMetadata(),
    *(HOPS_0, HOPS_1, HOPS_2, BEHIND_0, BEHIND_1),
    *(IN_RANGES, BEHIND_RANGES, CDN, Peer()),
    *(Forwarded(trusted_hops=1), Forwarded(trusted_proxies=RANGES, accept=frozenset({"zone"}))),
    ForwardedFor(trusted_hops=1, accept=FORMS),
]


@given(st.sampled_from(sorted(WIRINGS)), HEADER)
def test_nothing_prepended_changes_the_answer(wiring: str, forged: list[str]) -> None:
    """What stands left of the trusted part never decides."""
    source, peer, appended = WIRINGS[wiring]
    expected = source.resolve(seen(peer, [appended]))
    assert source.resolve(seen(peer, [*forged, appended])) == expected
    assert source.resolve(seen(peer, [",".join([*forged, appended])])) == expected


@given(st.sampled_from(SOURCES), PEERS, HEADER, HEADER, HEADER)
def test_resolve_is_total(
    source: AddressSource, peer: str, forwarded: list[str], header: list[str], metadata: list[str]
) -> None:
    """Any text at all gives an address or a short problem in plain ASCII, never an exception."""
    headers = {"cf-connecting-ip": header, "forwarded": [*header, *forwarded]}
    resolved = source.resolve(seen(peer, forwarded, headers=headers, metadata={METADATA: metadata}))
    assert (resolved.address is None) == bool(resolved.problem)
    assert resolved.problem.isascii()
    assert resolved.problem.isprintable()
    assert len(resolved.problem) < 700


@given(st.sampled_from(SOURCES), PEERS, HEADER.filter(bool))
def test_lines_are_one_list(source: AddressSource, peer: str, lines: list[str]) -> None:
    """X-Forwarded-For on several lines is the same as on one, joined by commas (RFC 9110, 5.3)."""
    assert source.resolve(seen(peer, lines)) == source.resolve(seen(peer, [",".join(lines)]))


NETWORKS = st.builds(
    lambda address, bits: ip_network((address, max(0, address.max_prefixlen - bits)), strict=False),
    st.ip_addresses(v=4) | st.ip_addresses(v=6, network="2001:db8::/32"),
    st.integers(0, 33),
)


@given(st.lists(NETWORKS, min_size=1), st.data())
def test_a_peer_is_trusted_exactly_inside_the_ranges(
    networks: list[Network], data: st.DataObject
) -> None:
    """Merging and searching the ranges gives the same answer as asking each of them."""
    inside = st.sampled_from(networks).flatmap(lambda network: st.ip_addresses(network=network))
    peer = data.draw(
        inside | st.ip_addresses().filter(lambda address: parse(str(address)) == address)
    )
    source = NamedHeader("x-client", tuple(networks))
    resolved = source.resolve(seen(str(peer), headers={"x-client": ["1.2.3.4"]}))
    assert (resolved.address is not None) == any(peer in network for network in networks)


# --- bounds and construction -------------------------------------------------------------------


class CountedLine(str):
    """A header line that counts how often it is searched for a comma."""

    __slots__ = ("searches",)

    searches: int

    def rfind(
        self,
        sub: str,
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
        /,
    ) -> int:
        """Search, and count it."""
        self.searches += 1
        return super().rfind(sub, start, end)


@pytest.mark.parametrize(
    ("source", "searches"), [(HOPS_0, 1), (HOPS_1, 2), (HOPS_2, 3), (IN_RANGES, 3)]
)
def test_a_header_is_read_no_further_than_it_counts(source: AddressSource, searches: int) -> None:
    """900 KiB of entries cost no more than the two or three that count."""
    line = CountedLine("10.9.9.9," * 100_000 + f"{ATTACKER}, {INNER_PROXY},{PROXY}")
    line.searches = 0
    source.resolve(seen(PROXY, [line]))
    assert line.searches == searches


WRONG: list[tuple[type[AddressSource], dict[str, object], str]] = [
    (ForwardedFor, {}, r"exactly one of .* must be given \(got neither\)"),
    (
        ForwardedFor,
        {"trusted_hops": 1, "trusted_proxies": RANGES},
        r"exactly one of .* must be given \(got both\)",
    ),
    (ForwardedFor, {"trusted_hops": -1}, r"trusted_hops must be from 0 to 256 \(got -1\)"),
    (ForwardedFor, {"trusted_hops": 257}, r"trusted_hops must be from 0 to 256 \(got 257\)"),
    (Forwarded, {}, r"exactly one of .* must be given \(got neither\)"),
    (Forwarded, {"trusted_hops": -1}, r"trusted_hops must be from 0 to 256 \(got -1\)"),
    (
        Forwarded,
        {"trusted_hops": 0, "accept": frozenset({"port", "brackets"})},
        r"accept must be zone at most, .* \(got brackets, port\)",
    ),
    (
        ForwardedFor,
        {"trusted_proxies": (ip_network("::ffff:10.0.0.0/104"),)},
        r"of IPv4 addresses must be written as such, .* \(got ::ffff:a00:0/104\)",
    ),
    (NamedHeader, {"name": "x-c", "trusted_proxies": ()}, r"must name a range .* \(got none\)"),
    (NamedHeader, {"name": "", "trusted_proxies": RANGES}, r"lower-case header name \(got ''\)"),
    (
        NamedHeader,
        {"name": "CF-Connecting-IP", "trusted_proxies": RANGES},
        r"lower-case header name \(got 'CF-Connecting-IP'\)",
    ),
    (NamedHeader, {"name": ":authority", "trusted_proxies": RANGES}, r"lower-case header name"),
    (EnvoyMetadata, {"name": "x y"}, r"lower-case header name \(got 'x y'\)"),
    (EnvoyMetadata, {"name": "x-client-bin"}, r"must not end in -bin, .* \(got 'x-client-bin'\)"),
    (EnvoyMetadata, {"name": "x-forwarded-for"}, r"must not be x-forwarded-for, .* own address"),
]


@pytest.mark.parametrize(("source", "arguments", "message"), WRONG)
def test_a_wrong_source_cannot_be_made(
    source: type[AddressSource], arguments: dict[str, object], message: str
) -> None:
    """A source that could not work, or not as meant, is refused when it is made."""
    with pytest.raises(ValueError, match=message):
        source(**arguments)


def test_a_source_is_a_value() -> None:
    """Two sources of the same settings are equal, and none can be changed."""
    source = ForwardedFor(trusted_proxies=RANGES)
    assert source == IN_RANGES
    assert hash(source) == hash(IN_RANGES)
    with pytest.raises(FrozenInstanceError):
        source.envoy_appends = False  # type: ignore[misc]  # what is tried


def test_the_room_is_pure() -> None:
    """Nothing but the standard library, and nothing of that which does input or output."""
    assert address_module.__file__ is not None
    modules = Path(address_module.__file__).parent.glob("*.py")
    imported = {
        name
        for module in modules
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if not name.startswith("regiongate.address.")
    }
    assert imported == {
        "bisect",
        "collections.abc",
        "dataclasses",
        "functools",
        "ipaddress",
        "itertools",
        "re",
        "typing",
    }
