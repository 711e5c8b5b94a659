"""Headers one by one, read without protobuf where they are written as Envoy writes them."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regiongate._pb import ext_authz_pb2 as pb
from regiongate.extauthz import headers
from regiongate.extauthz.headers import WireError, one_by_one
from tests.unit.extauthz.upstream import CAPTURED

NAMES = st.sampled_from(["a", "x-api-key", "b", "c", "n" * 127, "n" * 128, "X-Key", "\u212a"])
VALUES = st.sampled_from([b"", b"1", b"v" * 127, b"v" * 128, b"v" * 16_384, b"\xff", b"\x0a\x01a"])
EACH = st.lists(st.tuples(NAMES, VALUES), max_size=4)
CHANGES = st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3)))

Values = dict[str, list[bytes]]


def as_scanned(sent: bytes) -> Values | None:
    """Return the values of every header; None where the bytes are not read."""
    values = headers.scanned(sent)
    return None if values is None else {name.decode(): [value] for name, value in values.items()}


def as_read(sent: bytes) -> Values | None:
    """Return the same, by whatever reads them; None where they are refused."""
    try:
        read = one_by_one(sent)
    except (DecodeError, UnicodeDecodeError, WireError):
        return None
    return {name: list(read.get(name)) for name in read}


def as_protobuf(sent: bytes) -> Values | None:
    """Return the same, by protobuf alone."""
    found: Values = {}
    try:
        for one in pb.HeaderMap.FromString(sent).headers:
            found.setdefault(one.key, []).append(one.raw_value or one.value)
    except DecodeError:
        return None
    return found


def lower(found: Values | None) -> Values | None:
    """Return what was found, unless it is what Envoy never sends."""
    names = "".join(found or ())
    return found if names == names.lower() and names.isascii() else None


def serialised(each: list[tuple[str, bytes]]) -> bytes:
    """Serialise headers as Envoy does."""
    values = [pb.HeaderValue(key=name, raw_value=value) for name, value in each]
    return pb.HeaderMap(headers=values).SerializeToString()


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(each=EACH)
def test_what_envoy_writes_is_scanned(each: list[tuple[str, bytes]]) -> None:
    """Names and values are as protobuf reads them, unless a name is repeated or too long."""
    sent, names = serialised(each), [name for name, _ in each]
    short = all(len(name.encode()) <= 127 and len(value) < 16_000 for name, value in each)
    unique = len({*names}) == len(names)
    assert as_scanned(sent) == (as_protobuf(sent) if short and unique else None)


@settings(max_examples=3000, deadline=None, derandomize=True, database=None)
@given(each=EACH, changes=CHANGES)
@example([("a", b"1")], [(6, b"", 1)])  # cut short
@example([("a", b"1")], [(1, b"\x86\x00", 1)])  # a length in more bytes than it needs
def test_whatever_is_read_is_read_as_protobuf_reads_it(
    each: list[tuple[str, bytes]], changes: list[tuple[int, bytes, int]]
) -> None:
    """Of bytes that were tampered with, what protobuf refuses is refused, and the rest is alike."""
    sent = serialised(each)
    for at, put, lost in changes:
        sent = sent[:at] + put + sent[at + lost :]
    expected = as_protobuf(sent)
    assert as_read(sent) == lower(expected)
    if headers.scanned(sent) is not None and expected is not None:
        assert as_scanned(sent) == expected


def test_what_envoy_sends_is_scanned() -> None:
    """A header map as a real Envoy wrote it is of the form that is scanned."""
    sent = pb.CheckRequest.FromString(CAPTURED["raw_headers"]).attributes.request.http.header_map
    each = pb.HeaderMap.FromString(sent).headers
    once = {one.key: one for one in each}.values()
    alone = pb.HeaderMap(headers=once).SerializeToString()
    assert as_scanned(alone) == as_protobuf(alone)
    assert (headers.scanned(sent) is None) == (len(once) < len(each))
