"""What a forger sends, byte by byte: the table of forgeries.

Each is made for the header that a wiring reads; those about other headers are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from tests.e2e.forgeries.wirings import BALANCER, INNER, WANTED, WANTED_IPV6

Lines = list[tuple[bytes, bytes]]

Protocol = Literal["HTTP/1.0", "HTTP/1.1", "HTTP/2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A request.

    Attributes:
        lines: header lines: names and values exactly as they are sent.
        before: what is sent before the request itself.
        target: the request target.
        host: the value of Host, or of :authority.
        pseudo: further pseudo-headers, of HTTP/2.
        body: sent after the head, as it stands.
        trailers: header lines after the body; the body is then sent in chunks.
        refusable: whether Envoy may refuse the request, or the client stay unresolved.
    """

    lines: Lines = field(default_factory=list)
    protocol: Protocol = "HTTP/1.1"
    before: bytes = b""
    target: bytes = b"/v1/models"
    host: bytes = b"api.example"
    pseudo: Lines = field(default_factory=list)
    body: bytes = b""
    trailers: Lines = field(default_factory=list)
    refusable: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """The header that is forged.

    Attributes:
        name: lower-case.
    """

    name: bytes

    def says(self, address: str) -> bytes:
        """Write an address as the header has it."""
        if self.name != b"forwarded":
            return address.encode()
        return f'for="[{address}]"'.encode() if ":" in address else f"for={address}".encode()

    @property
    def wanted(self) -> bytes:
        """The address that the forger wants to have, as the header has it."""
        return self.says(WANTED)

    def line(self, value: bytes, name: bytes | None = None) -> tuple[bytes, bytes]:
        """Return a line of this header."""
        return name or self.name, value


Forgery = Callable[[Header], Attempt]


def values(*made: Callable[[Header], bytes], refusable: bool = False) -> Forgery:
    """Send the header on so many lines."""
    return lambda header: Attempt(
        lines=[header.line(value(header)) for value in made], refusable=refusable
    )


def value(pattern: bytes, *, refusable: bool = False) -> Forgery:
    """Send the header once; WANTED in the pattern is the address wanted, as the header has it."""
    return values(lambda header: pattern.replace(b"WANTED", header.wanted), refusable=refusable)


def text(written: str, *, refusable: bool = False) -> Forgery:
    """Send the header once, with a text in the place of an address."""
    return values(lambda header: header.says(written), refusable=refusable)


def named(change: Callable[[bytes], bytes], *, refusable: bool = False) -> Forgery:
    """Send the header once, under a name that is changed."""
    return lambda header: Attempt(lines=[(change(header.name), header.wanted)], refusable=refusable)


def other(name: str, value: str = WANTED) -> Forgery:
    """Send another header."""
    return lambda _: Attempt(lines=[(name.encode(), value.encode())])


def beside(*lines: tuple[bytes, bytes], refusable: bool = False) -> Forgery:
    """Send the header, and others with it; HEADER in one of them is the header's name."""
    return lambda header: Attempt(
        lines=[
            header.line(header.wanted),
            *((name, sent.replace(b"HEADER", header.name)) for name, sent in lines),
        ],
        refusable=refusable,
    )


def over(protocol: Protocol, forgery: Forgery, *, refusable: bool = False) -> Forgery:
    """Send the same over another version of HTTP."""
    return lambda header: replace(forgery(header), protocol=protocol, refusable=refusable)


def wanted(header: Header) -> bytes:
    """Return the address wanted, as the header has it."""
    return header.wanted


def nothing(_: Header) -> bytes:
    """Return an empty value."""
    return b""


def repeated(times: int, *last: str) -> Forgery:
    """Send a list of the address wanted many times, and of others after it."""
    return values(
        lambda header: b", ".join([header.wanted] * times + [header.says(one) for one in last])
    )


MEGABYTE: Final = 1_000_000

LISTS: Final[Mapping[str, Forgery]] = {
    "the address wanted": value(b"WANTED"),
    "twice in a list": repeated(2),
    "a thousand times in a list": repeated(1000),
    "twenty-one times in a list": repeated(21),
    "on two lines": values(wanted, wanted),
    "on a hundred lines": values(*[wanted] * 100),
    "on two thousand lines": values(*[wanted] * 2000, refusable=True),
    "an empty header": values(nothing),
    "an empty line before": values(nothing, wanted),
    "an empty line after": values(wanted, nothing),
    "a comma alone": value(b","),
    "a leading comma": value(b",WANTED"),
    "a trailing comma": value(b"WANTED,"),
    "a trailing comma and a space": value(b"WANTED, "),
    "two trailing commas": value(b"WANTED,,"),
    "empty entries": value(b"WANTED, , ,\t, WANTED"),
    "fifty thousand commas": value(b"WANTED" + b"," * 50_000),
    "followed by the proxy": repeated(1, BALANCER),
    "followed by the whole chain": repeated(1, INNER, BALANCER),
    "followed by a thousand trusted addresses": values(
        lambda header: b", ".join([header.wanted, *[header.says("10.9.9.9")] * 1000])
    ),
    "half a megabyte of entries": values(
        lambda header: b",".join([header.wanted] * (MEGABYTE // 2 // (len(header.wanted) + 1)))
    ),
    "a megabyte of commas": value(b"," * MEGABYTE),
    "a megabyte of digits": value(b"9" * MEGABYTE),
    "a megabyte of quotation marks": value(b'WANTED="' * (MEGABYTE // 16)),
}

BYTES: Final[Mapping[str, Forgery]] = {
    "many spaces": value(b" " * 5000 + b"WANTED" + b" " * 5000),
    "tabs": value(b"\tWANTED\t"),
    "a folded line": value(b"WANTED,\r\n WANTED"),
    "a line folded with a tab": value(b"WANTED\r\n\tWANTED"),
    "a line folded into nothing": value(b"WANTED\r\n "),
    "NUL": value(b"WANTED\x00", refusable=True),
    "NUL for a comma": value(b"WANTED\x00WANTED", refusable=True),
    "a vertical tab and a form feed": value(b"\x0bWANTED\x0c", refusable=True),
    "DEL": value(b"WANTED\x7f", refusable=True),
    "a carriage return": value(b"WANTED\rx: y"),
    "a line feed": value(b"WANTED\nx-real-ip: WANTED"),
    "bytes that are not UTF-8": value(b"\xff\xfeWANTED"),
    "a full-width comma": value("WANTED\uff0c".encode()),
    "a no-break space": value("\u00a0WANTED\u00a0".encode()),
    "a right-to-left override": value("\u202eWANTED".encode()),
    "an open quotation mark": value(b'WANTED, "'),
    "an open quotation mark after a parameter": value(b'WANTED;host="'),
    "a backslash in open quotes": value(b'WANTED;host="\\'),
    "a backslash": value(b"WANTED\\"),
    "an open comment": value(b"WANTED ("),
    "a semicolon": value(b"WANTED;"),
}

ADDRESSES: Final[Mapping[str, Forgery]] = {
    "IPv6": text(WANTED_IPV6),
    "IPv4-mapped": text(f"::ffff:{WANTED}"),
    "IPv4-mapped in hexadecimal": text("::ffff:808:808"),
    "IPv4-compatible": text(f"::{WANTED}"),
    "a zone": text(f"{WANTED_IPV6}%eth0"),
    "a link-local address with a zone": text("fe80::1%eth0"),
    "brackets": text(f"[{WANTED_IPV6}]"),
    "brackets and a port": text(f"[{WANTED_IPV6}]:443"),
    "a port": text(f"{WANTED}:443"),
    "octal": text("010.010.010.010"),
    "hexadecimal": text("0x8.0x8.0x8.0x8"),
    "one integer": text("134744072"),
    "leading zeros": text("008.008.008.008"),
    "a short notation": text("8.526344"),
    "a mask": text(f"{WANTED}/0"),
    "for=": text(f"for={WANTED};proto=https"),
    "for= in quotes": text(f'for="{WANTED}:80"'),
    "a quoted string": text(f'"{WANTED}"'),
    "unknown": text("unknown"),
    "an obfuscated identifier": text("_hidden"),
    "a private address": text("192.168.0.1"),
    "loopback": text("127.0.0.1"),
    "IPv6 loopback": text("::1"),
    "the unspecified address": text("0.0.0.0"),
    "a name": text("localhost"),
    "percent-encoding": text("8%2E8%2E8%2E8%2C"),
}

NAMES: Final[Mapping[str, Forgery]] = {
    "the name in capitals": named(bytes.upper),
    "the name in mixed case": named(bytes.title),
    "the name in two cases": lambda header: Attempt(
        lines=[(header.name.upper(), header.wanted), (header.name.title(), header.wanted)]
    ),
    "the name with underscores": named(lambda name: name.replace(b"-", b"_")),
    "the name with an underscore and capitals": named(
        lambda name: name.upper().replace(b"-", b"_")
    ),
    "a space before the colon": named(lambda name: name + b" ", refusable=True),
    "a tab before the name": named(lambda name: b"\t" + name, refusable=True),
    "NUL in the name": named(lambda name: name + b"\x00", refusable=True),
    "a colon before the name": named(lambda name: b":" + name, refusable=True),
    "a Kelvin sign in the name": named(lambda name: name + "\u212a".encode(), refusable=True),
}

OTHERS: Final[Mapping[str, Forgery]] = {
    **{
        name: other(name)
        for name in (
            "x-envoy-external-address",
            "x-real-ip",
            "true-client-ip",
            "cf-connecting-ip",
            "fastly-client-ip",
            "x-client-ip",
            "client-ip",
            "x-cluster-client-ip",
            "x-azure-clientip",
            "x-appengine-user-ip",
            "x-original-forwarded-for",
            "x-forwarded",
            "forwarded-for",
            "x-forwarded-host",
            "remote-addr",
            "x_forwarded_for",
            "cf_connecting_ip",
            "x-regiongate-client-address",
            "x_regiongate_client_address",
            "x-regiongate-client-address-bin",
        )
    },
    "forwarded": other("forwarded", f"for={WANTED}"),
    "the country, as RegionGate tells it": other("x-regiongate-country", "US"),
    "the country, in capitals": other("X-REGIONGATE-COUNTRY", "US"),
    "the country, with underscores": other("x_regiongate_country", "US"),
    "the country of a content delivery network": other("cf-ipcountry", "US"),
    "an internal request": beside(
        (b"x-envoy-internal", b"true"), (b"x-envoy-external-address", WANTED.encode())
    ),
    "Envoy's own cluster": beside((b"x-envoy-downstream-service-cluster", b"edge")),
    "everything at once": beside(
        *(
            (name, WANTED.encode())
            for name in (b"x-envoy-external-address", b"x-real-ip", b"true-client-ip")
        ),
        (b"x-regiongate-client-address", WANTED.encode()),
        (b"x-regiongate-country", b"US"),
    ),
}

HOP_BY_HOP: Final[Mapping[str, Forgery]] = {
    "named in Connection": beside((b"connection", b"HEADER"), refusable=True),
    "named in Connection, with close": beside((b"Connection", b"close, HEADER"), refusable=True),
    "named in Connection, with keep-alive": beside(
        (b"Connection", b"keep-alive, HEADER"), (b"keep-alive", b"HEADER"), refusable=True
    ),
    "x-forwarded-for named in Connection": beside(
        (b"connection", b"x-forwarded-for"), refusable=True
    ),
    "our header named in Connection": beside(
        (b"connection", b"x-regiongate-client-address, x-regiongate-country")
    ),
    "named in Proxy-Connection": beside((b"proxy-connection", b"HEADER")),
    "named in TE": beside((b"te", b"trailers, HEADER")),
    "named in Trailer": beside((b"trailer", b"HEADER")),
    "named in Keep-Alive": beside((b"keep-alive", b"timeout=5, HEADER")),
}

MESSAGES: Final[Mapping[str, Forgery]] = {
    "in trailers": lambda header: Attempt(trailers=[header.line(header.wanted)]),
    "the country in trailers": lambda _: Attempt(trailers=[(b"x-regiongate-country", b"US")]),
    "in the body": lambda header: Attempt(
        lines=[(b"content-length", b"%d" % (len(header.name + header.wanted) + 4))],
        body=header.name + b": " + header.wanted + b"\r\n",
    ),
    "HTTP/1.0": over("HTTP/1.0", value(b"WANTED")),
    "HTTP/1.0, two lines": over("HTTP/1.0", values(wanted, wanted)),
    "an upgrade to HTTP/2": beside(
        (b"connection", b"upgrade, http2-settings"),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"AAMAAABkAAQAAP__"),
    ),
    "an upgrade to WebSocket": beside(
        (b"connection", b"upgrade"), (b"upgrade", b"websocket"), refusable=True
    ),
    "two lengths of the body": lambda header: Attempt(
        lines=[
            header.line(header.wanted),
            (b"content-length", b"5"),
            (b"transfer-encoding", b"chunked"),
        ],
        body=b"0\r\n\r\n",
        refusable=True,
    ),
    "the PROXY protocol": lambda _: Attempt(
        before=f"PROXY TCP4 {WANTED} 127.0.0.1 1 1\r\n".encode(), refusable=True
    ),
    "the binary PROXY protocol": lambda _: Attempt(
        before=bytes.fromhex("0d0a0d0a000d0a515549540a2111000c080808087f00000100010001"),
        refusable=True,
    ),
    "as the host": lambda _: Attempt(host=WANTED.encode()),
    "as an absolute target": lambda _: Attempt(target=f"http://{WANTED}/v1/models".encode()),
    "in the query": lambda header: Attempt(
        target=b"/v1/models?" + header.name + b"=" + WANTED.encode()
    ),
}

HTTP2: Final[Mapping[str, Forgery]] = {
    "HTTP/2": over("HTTP/2", value(b"WANTED")),
    "HTTP/2, two lines": over("HTTP/2", values(wanted, wanted)),
    "HTTP/2, a hundred lines": over("HTTP/2", values(*[wanted] * 100)),
    "HTTP/2, spaces, which are kept": over("HTTP/2", value(b"  WANTED  ")),
    "HTTP/2, tabs": over("HTTP/2", value(b"\tWANTED\t")),
    "HTTP/2, an empty value": over("HTTP/2", values(nothing)),
    "HTTP/2, a trailing comma": over("HTTP/2", value(b"WANTED,")),
    "HTTP/2, capitals": over("HTTP/2", named(bytes.upper), refusable=True),
    "HTTP/2, underscores": over("HTTP/2", named(lambda name: name.replace(b"-", b"_"))),
    "HTTP/2, a second header in the value": over(
        "HTTP/2", value(b"WANTED\r\nx-real-ip: 8.8.8.8"), refusable=True
    ),
    "HTTP/2, NUL": over("HTTP/2", value(b"WANTED\x00"), refusable=True),
    "HTTP/2, bytes that are not UTF-8": over("HTTP/2", value(b"\xffWANTED")),
    "HTTP/2, a colon in the name": over("HTTP/2", named(lambda name: name + b":"), refusable=True),
    "HTTP/2, a request line in the name": over(
        "HTTP/2", named(lambda name: name + b": x\r\nx-real-ip"), refusable=True
    ),
    "HTTP/2, as a pseudo-header": lambda header: Attempt(
        protocol="HTTP/2", pseudo=[(b":" + header.name, header.wanted)], refusable=True
    ),
    "HTTP/2, as a pseudo-header after the others": over(
        "HTTP/2", named(lambda name: b":" + name), refusable=True
    ),
    "HTTP/2, two authorities": lambda _: Attempt(
        protocol="HTTP/2", pseudo=[(b":authority", WANTED.encode())], refusable=True
    ),
    "HTTP/2, as the authority": lambda _: Attempt(protocol="HTTP/2", host=WANTED.encode()),
    "HTTP/2, as the host beside an authority": over("HTTP/2", other("host")),
    "HTTP/2, as the protocol": lambda header: Attempt(
        protocol="HTTP/2", pseudo=[(b":protocol", header.name)], refusable=True
    ),
    "HTTP/2, named in Connection": over(
        "HTTP/2", beside((b"connection", b"HEADER")), refusable=True
    ),
    "HTTP/2, with te": over("HTTP/2", beside((b"te", b"trailers"))),
    "HTTP/2, in trailers": lambda header: Attempt(
        protocol="HTTP/2", trailers=[header.line(header.wanted)]
    ),
    "HTTP/2, a pseudo-header in trailers": lambda header: Attempt(
        protocol="HTTP/2", trailers=[(b":authority", header.wanted)], refusable=True
    ),
    "HTTP/2, as Envoy's finding": over("HTTP/2", other("x-envoy-external-address")),
    "HTTP/2, as Envoy's metadata": over("HTTP/2", other("x-regiongate-client-address")),
    "HTTP/2, five hundred times in a list": over("HTTP/2", repeated(500)),
}

FORGERIES: Final[Mapping[str, Forgery]] = {
    **LISTS,
    **BYTES,
    **ADDRESSES,
    **NAMES,
    **OTHERS,
    **HOP_BY_HOP,
    **MESSAGES,
    **HTTP2,
}
