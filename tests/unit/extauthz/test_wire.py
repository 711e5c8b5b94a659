"""Reading CheckRequests: every one that Envoy was seen to send, and some that it might."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf.message import DecodeError

from regiongate._pb import ext_authz_pb2 as pb
from regiongate.extauthz import wire
from regiongate.extauthz.headers import MAX_HEADERS, WireError
from regiongate.extauthz.wire import Check
from tests.unit.extauthz.upstream import CAPTURED, CheckRequest

# ------------------------------------------------------------------------- what Envoy has sent

PLAIN = {
    "peer": "127.0.0.1",
    "is_http": True,
    "method": "GET",
    "host": "h.example",
    "path": "/a/b",
    "query": "x=1&y=2",
    "scheme": "http",
    "protocol": "HTTP/1.1",
    "route": {},
    "metadata": {},
    "principal": "",
    "sni": "",
    "is_grpc": False,
}
ITEMS = PLAIN | {"host": "api.example:8443", "path": "/v1/items", "query": "a=1&b=%20x"}

EXPECTED: dict[str, dict[str, Any]] = {
    "allowed_headers": PLAIN,
    "bad_utf8_sni": ITEMS | {"scheme": "https", "sni": "\ufffd\ufffd.example"},
    "body_bytes": PLAIN | {"method": "POST"},
    "default_ura": PLAIN,
    "dup_headers_non_utf8": PLAIN,
    "h2_connect_no_path": PLAIN
    | {"method": "CONNECT", "host": "tgt:443", "path": "", "query": "", "protocol": "HTTP/2"},
    "h2_grpc": PLAIN
    | {
        "method": "POST",
        "host": "grpc.example",
        "path": "/pkg.Svc/Method",
        "query": "",
        "protocol": "HTTP/2",
        "is_grpc": True,
    },
    "large_54k": PLAIN,
    "metadata_context_ext": PLAIN
    | {
        "route": {"policy": "eu-only", "tenant": "t1"},
        "metadata": {
            "my.ns": {"n": 1.0, "b": True, "country": b"BG", "l": [b"x", None, {"y": 2.5}]}
        },
    },
    "mtls_sni": ITEMS
    | {"scheme": "https", "sni": "srv.example", "principal": "spiffe://td/ns/a/sa/cli"},
    "network_tcp": dict.fromkeys(PLAIN, "")
    | {"peer": "127.0.0.1", "is_http": False, "route": {}, "metadata": {}, "is_grpc": False},
    "raw_headers": PLAIN,
    "tls_no_sni": ITEMS | {"scheme": "https"},
    "uds_downstream": ITEMS | {"peer": ""},
}

HEADERS: dict[str, dict[str, list[bytes]]] = {
    "allowed_headers": {"x-api-key": [b"k"], ":path": [], "x-request-id": []},
    "bad_utf8_sni": {":authority": [b"api.example:8443"], "x-forwarded-proto": [b"https"]},
    "body_bytes": {"content-length": [b"3"], "x-envoy-auth-partial-body": [b"false"]},
    "default_ura": {
        "x-api-key": [b"k-123"],
        "x-forwarded-for": [b"198.51.100.9,192.0.2.2"],
        "x-envoy-external-address": [b"127.0.0.1"],
        ":path": [b"/a/b?x=1&y=2"],
    },
    # Envoy joins what is sent twice, and writes ! for a byte that is not UTF-8...
    "dup_headers_non_utf8": {
        "x-api-key": [b"k1,k2"],
        "authorization": [b"Bearer a,Bearer b"],
        "x-n": [b"caf!"],
    },
    "h2_connect_no_path": {":method": [b"CONNECT"], ":path": []},
    "h2_grpc": {"content-type": [b"application/grpc"], "te": [b"trailers"], "x-api-key": [b"k"]},
    "large_54k": {"x-h0": [b"v" * 600], "x-h89": [b"v" * 600]},
    "metadata_context_ext": {":method": [b"GET"]},
    "mtls_sni": {":scheme": [b"https"]},
    "network_tcp": {":method": []},
    # ...but neither with encode_raw_headers.
    "raw_headers": {"x-api-key": [b"k1", b"k2"], "x-n": [b"caf\xe9"], "x-empty": [b""]},
    "tls_no_sni": {":scheme": [b"https"]},
    "uds_downstream": {":path": [b"/v1/items?a=1&b=%20x"]},
}

REFUSED_BY_UPSTREAM = ["bad_utf8_sni"]


def test_the_tables_hold_every_captured_message() -> None:
    """A message added to the data cannot go unexamined."""
    assert EXPECTED.keys() == HEADERS.keys() == CAPTURED.keys()


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items(), ids=EXPECTED)
def test_captured_messages_are_read(name: str, expected: Mapping[str, Any]) -> None:
    """What Envoy sent is read as what the client did."""
    check = wire.read(CAPTURED[name])
    assert {field: getattr(check, field) for field in expected} == expected


@pytest.mark.parametrize(("name", "expected"), HEADERS.items(), ids=HEADERS)
def test_captured_headers_are_read(name: str, expected: Mapping[str, list[bytes]]) -> None:
    """Headers are read from either form that Envoy sends them in, each value as it was sent."""
    check = wire.read(CAPTURED[name])
    assert {header: list(check.header(header)) for header in expected} == expected


@pytest.mark.parametrize("name", REFUSED_BY_UPSTREAM)
def test_upstream_refuses_what_we_read(name: str) -> None:
    """Upstream's classes refuse the whole message for one byte that a client chose."""
    with pytest.raises(DecodeError):
        CheckRequest.FromString(CAPTURED[name])


@pytest.mark.parametrize("name", sorted(CAPTURED.keys() - {*REFUSED_BY_UPSTREAM}))
def test_upstream_reads_the_others_alike(name: str) -> None:
    """Where upstream's classes read a captured message, they find in it what we find."""
    check, attributes = (
        wire.read(CAPTURED[name]),
        CheckRequest.FromString(CAPTURED[name]).attributes,
    )
    http = attributes.request.http
    raw = {one.key: one.raw_value.decode(errors="replace") for one in http.header_map.headers}
    sent = {**http.headers, **raw, "x-api-key": check.text("x-api-key")}
    assert {header: check.text(header) for header in check.headers} | sent == sent
    assert (f"{check.path}?{check.query}".rstrip("?"), check.host) == (http.path, http.host)
    assert check.route == dict(attributes.context_extensions)


# ------------------------------------------------------------------------- what Envoy may send

Http = pb.AttributeContext.HttpRequest


def check_of(http: Http | None = None, **attributes: Any) -> Check:
    """Read the Check of these attributes."""
    return wire.read(sent(http, **attributes))


def sent(http: Http | None = None, **attributes: Any) -> bytes:
    """Serialise the same."""
    if http is not None:
        attributes["request"] = pb.AttributeContext.Request(http=http)
    context = pb.AttributeContext(**attributes)
    return pb.CheckRequest(attributes=context).SerializeToString()


def peer(**address: Any) -> pb.AttributeContext.Peer:
    """Make a peer of this kind of address."""
    return pb.AttributeContext.Peer(address=pb.Address(**address))


PEERS = {
    "IPv4": (peer(socket_address=pb.SocketAddress(address=b"1.2.3.4", port_value=1)), "1.2.3.4"),
    "IPv6": (peer(socket_address=pb.SocketAddress(address=b"2001:db8::1")), "2001:db8::1"),
    "pipe": (peer(pipe=pb.Pipe(path=b"/run/envoy.sock")), ""),
    "pipe named like an address": (peer(pipe=pb.Pipe(path=b"8.8.8.8")), ""),
    "internal": (
        peer(envoy_internal_address=pb.EnvoyInternalAddress(server_listener_name=b"8.8.8.8")),
        "",
    ),
    "none": (pb.AttributeContext.Peer(), ""),
    "not UTF-8": (peer(socket_address=pb.SocketAddress(address=b"1.2.3.\xff")), "1.2.3.\ufffd"),
}


@pytest.mark.parametrize(("source", "expected"), PEERS.values(), ids=PEERS)
def test_the_peer(source: pb.AttributeContext.Peer, expected: str) -> None:
    """Only a socket has an address; a pipe or an internal listener has none to be mistaken for."""
    assert check_of(source=source).peer == expected


PATHS = {
    b"": ("", ""),
    b"/": ("/", ""),
    b"/a?": ("/a", ""),
    b"/a?b=1": ("/a", "b=1"),
    b"/a?b?c": ("/a", "b?c"),
    b"?b": ("", "b"),
    b"/a%3Fb": ("/a%3Fb", ""),
    b"//a/../b;c=1": ("//a/../b;c=1", ""),
    b"/caf\xc3\xa9": ("/café", ""),
    b"/caf\xe9": ("/caf\ufffd", ""),
}


@pytest.mark.parametrize(("path", "expected"), PATHS.items())
def test_path_and_query(path: bytes, expected: tuple[str, str]) -> None:
    """The path ends at the first question mark and is otherwise as it was received."""
    check = check_of(Http(path=path))
    assert (check.path, check.query) == expected


def listed(*headers: tuple[str, bytes]) -> Http:
    """Return a request whose headers are sent one by one."""
    each = [pb.HeaderValue(key=name, raw_value=value) for name, value in headers]
    return Http(header_map=pb.HeaderMap(headers=each).SerializeToString())


HEADER_CASES: dict[str, tuple[Http, dict[str, list[bytes]]]] = {
    "none": (Http(), {}),
    "map": (Http(headers={"a": b"1"}), {"a": [b"1"]}),
    "a value that is not UTF-8": (Http(headers={"a": b"\xff"}), {"a": [b"\xff"]}),
    "raw": (listed(("a", b"\xff")), {"a": [b"\xff"]}),
    "raw, in the field for text": (
        Http(header_map=b"\x0a\x06\x0a\x01a\x12\x011"),
        {"a": [b"1"]},
    ),
    "raw, in the order they were sent": (
        listed(("a", b"2"), ("b", b""), ("a", b"1"), ("a", b"2")),
        {"a": [b"2", b"1", b"2"], "b": [b""]},
    ),
    "raw, long and longer": (
        listed(("a" * 127, b"1" * 127), ("b" * 128, b"2" * 128), ("c", b"3" * 20_000)),
        {"a" * 127: [b"1" * 127], "b" * 128: [b"2" * 128], "c": [b"3" * 20_000]},
    ),
    "raw, the value before the name": (
        Http(header_map=b"\x0a\x06\x1a\x011\x0a\x01a"),
        {"a": [b"1"]},
    ),
    "raw, the name twice, of which the last counts": (
        Http(header_map=b"\x0a\x09\x0a\x01b\x0a\x01a\x1a\x011"),
        {"a": [b"1"]},
    ),
    "raw, with a field of a later Envoy": (
        Http(header_map=b"\x0a\x09\x0a\x01a\x1a\x011\x22\x012\x12\x00"),
        {"a": [b"1"]},
    ),
    "raw, without a name": (Http(header_map=b"\x0a\x03\x1a\x011"), {"": [b"1"]}),
    "an empty value": (Http(headers={"a": b""}), {"a": [b""]}),
}


@pytest.mark.parametrize(("http", "expected"), HEADER_CASES.values(), ids=HEADER_CASES)
def test_headers(http: Http, expected: dict[str, list[bytes]]) -> None:
    """Every value of a header is kept, in order, under its name."""
    assert headers_of(check_of(http)) == expected
    assert len(check_of(http).headers) == len(expected)


def headers_of(check: Check) -> dict[str, list[bytes]]:
    """Return every header of a Check."""
    return {name: list(check.header(name)) for name in check.headers}


def test_an_unsent_header_has_no_values() -> None:
    """Asking for a header that was not sent is no error."""
    check = check_of(Http())
    assert (check.header("a"), check.text("a")) == ((), "")


def test_the_text_of_a_header_sent_twice() -> None:
    """As one text, repeated values are joined as HTTP joins them."""
    check = check_of(listed(("a", b"1"), ("a", b"\xff")))
    assert check.text("a") == "1,\ufffd"


GRPC = {
    "application/grpc": True,
    "application/grpc+proto": True,
    "application/grpc; charset=utf-8": True,
    "application/grpc-web": False,
    "application/grpcx": False,
    "application/json": False,
    "text/plain; application/grpc": False,
    "": False,
}


@pytest.mark.parametrize(("kind", "expected"), GRPC.items())
def test_who_speaks_grpc(kind: str, expected: bool) -> None:  # noqa: FBT001 a case of the table
    """A client speaks gRPC when its content type is gRPC's, with or without a message format."""
    check = check_of(Http(headers={"content-type": kind.encode()}))
    assert check.is_grpc is expected


def test_a_tcp_check() -> None:
    """A Check without a request has a principal, an SNI and route data, and nothing else."""
    check = check_of(
        source=pb.AttributeContext.Peer(principal=b"spiffe://x"),
        tls_session=pb.AttributeContext.TLSSession(sni=b"a.example"),
        context_extensions={"tenant": b"t1"},
    )
    expected = {"route": {"tenant": "t1"}, "principal": "spiffe://x", "sni": "a.example"}
    assert told(check) == told(wire.read(b"")) | expected


def told(check: Check) -> dict[str, Any]:
    """Return all that can be asked of a Check."""
    found = {name: getattr(check, name) for name in EXPECTED["default_ura"]}
    return found | {"headers": headers_of(check)}


def test_nothing_at_all() -> None:
    """No bytes are the Check of nobody for nothing, which the policy is to judge."""
    check = wire.read(b"")
    assert not any(told(check).values())


VALUES: dict[str, tuple[pb.Value, object]] = {
    "number": (pb.Value(number_value=2.5), 2.5),
    "text": (pb.Value(string_value=b"caf\xe9"), b"caf\xe9"),
    "truth": (pb.Value(bool_value=False), False),
    "null": (pb.Value(), None),
    "list": (pb.Value(list_value=pb.ListValue(values=[pb.Value(bool_value=True)])), [True]),
    "empty mapping": (pb.Value(struct_value=pb.Struct()), {}),
    "mapping": (
        pb.Value(
            struct_value=pb.Struct(
                fields=[pb.Struct.FieldsEntry(key=b"\xff", value=pb.Value(number_value=0))]
            )
        ),
        {"\ufffd": 0.0},
    ),
}


@pytest.mark.parametrize(("value", "expected"), VALUES.values(), ids=VALUES)
def test_metadata(value: pb.Value, expected: object) -> None:
    """Envoy's metadata become mappings, lists, numbers, truths and, for text, bytes."""
    struct = pb.Struct(fields=[pb.Struct.FieldsEntry(key=b"field", value=value)])
    check = check_of(metadata_context=pb.Metadata(filter_metadata={"ns": struct}))
    assert check.metadata == {"ns": {"field": expected}}


def nested(depth: int) -> bytes:
    """Serialise metadata of lists inside one another, deeper than protobuf builds them."""
    value = b""
    for number in (*[1, 6] * depth, 2, 1, 2, 1, 11, 1):
        value = bytes([number << 3 | 2]) + _varint(len(value)) + value
    return value


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def named(name: bytes) -> bytes:
    """Serialise a Check of one header, whose name may be none."""
    sent = pb.CheckRequest()
    sent.attributes.request.http.headers["?" * len(name)] = b"1"
    return sent.SerializeToString().replace(b"?" * len(name), name)


MALFORMED = {
    "a length beyond the end": (b"\x0a\x05", "expected a CheckRequest (got bytes that are none)"),
    "a field number of 0": (b"\x00", "expected a CheckRequest (got bytes that are none)"),
    "text": (b"GET / HTTP/1.1\r\n", "expected a CheckRequest (got bytes that are none)"),
    "a truncated message": (
        CAPTURED["default_ura"][:-1],
        "expected a CheckRequest (got bytes that are none)",
    ),
    "lists too deep": (nested(1000), "expected a CheckRequest (got bytes that are none)"),
    "too many bytes": (
        bytes(wire.MAX_CHECK_BYTES + 1),
        "expected at most 16777216 bytes (got 16777217)",
    ),
    "too many headers": (
        sent(Http(headers={str(number): b"" for number in range(MAX_HEADERS + 1)})),
        "expected at most 1000 headers (got more)",
    ),
    "too many headers, one by one": (
        sent(listed(*[("a", b"")] * (MAX_HEADERS + 1))),
        "expected at most 1000 headers (got more)",
    ),
    "headers in both forms": (
        sent(Http(headers={"a": b"1"}, header_map=listed(("b", b"")).header_map)),
        "expected headers in one of the two forms that Envoy has (got both)",
    ),
    "headers cut short": (
        sent(Http(header_map=listed(("a", b"1")).header_map[:-1])),
        "expected a CheckRequest (got bytes that are none)",
    ),
    "a header longer than all of them": (
        sent(Http(header_map=b"\x0a\x7f\x0a\x01a\x1a\x011")),
        "expected a CheckRequest (got bytes that are none)",
    ),
    "a value longer than its header": (
        sent(Http(header_map=b"\x0a\x06\x0a\x01a\x1a\x051")),
        "expected a CheckRequest (got bytes that are none)",
    ),
    "a value longer than any": (
        sent(Http(header_map=b"\x0a\x05\x0a\x01a\x1a\xff\xff\x01\x0a")),
        "expected a CheckRequest (got bytes that are none)",
    ),
    "a name, one by one, that is not UTF-8": (
        sent(Http(header_map=b"\x0a\x03\x0a\x01\xff")),
        "expected a CheckRequest (got bytes that are none)",
    ),
    "a name, one by one, in capitals": (
        sent(listed(("X-Key", b"1"))),
        "expected the names of headers in lower case, as Envoy has them",
    ),
    "a name that is not UTF-8": (
        named(b"\xff"),
        "expected a CheckRequest (got bytes that are none)",
    ),
    "a name in capitals": (
        named(b"X-Key"),
        "expected the names of headers in lower case, as Envoy has them",
    ),
    # A name that is not x-key to the upstream, and must not be here: U+212A, the Kelvin sign.
    "a letter that is K only to Unicode": (
        named("x-\u212aey".encode()),
        "expected the names of headers in lower case, as Envoy has them",
    ),
}


@pytest.mark.parametrize(("data", "message"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_check(data: bytes, message: str) -> None:
    """Bytes that are no CheckRequest, or too large a one, are an error that quotes none of them."""
    with pytest.raises(WireError) as caught:
        wire.read(data)
    assert str(caught.value) == message


def test_the_limits_themselves_are_within() -> None:
    """A Check of just as many headers, or of nearly as many bytes, is read."""
    headers = {str(number): b"v" for number in range(MAX_HEADERS)}
    assert len(check_of(Http(headers=headers)).headers) == MAX_HEADERS
    body = b"\x0a" + _varint(wire.MAX_CHECK_BYTES - 100)
    assert not wire.read(b"\x7a" + body[1:] + bytes(wire.MAX_CHECK_BYTES - 100)).headers


@pytest.mark.parametrize("name", CAPTURED)
def test_fields_of_a_later_envoy_are_ignored(name: str) -> None:
    """A field that is not known yet changes nothing."""
    data = CAPTURED[name]
    assert told(wire.read(data + b"\xfa\x3f\x03new")) == told(wire.read(data))
