"""Headers one by one, read without protobuf where they are written as Envoy writes them."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regiongate._pb import ext_authz_pb2 as pb
from regiongate.extauthz import headers
from regiongate.extauthz.headers import Listed, WireError
from tests.unit.extauthz.upstream import CAPTURED

NAMES = st.sampled_from(["a", "x-api-key", "n" * 127, "n" * 128, "X-Key", "\u212a", ""])
VALUES = st.sampled_from([b"", b"1", b"v" * 127, b"v" * 128, b"v" * 16_384, b"\xff", b"\x0a\x01a"])
EACH = st.lists(st.tuples(NAMES, VALUES), max_size=4)
CHANGES = st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3)))

Values = dict[str, list[bytes]]


def as_listed(sent: bytes) -> Values | None:
    """Return the values of every header; None where the bytes are refused."""
    try:
        listed = Listed(sent)
    except (DecodeError, WireError):
        return None
    return {name: list(listed.get(name)) for name in listed}


def as_protobuf(sent: bytes) -> Values | None:
    """Return the same by protobuf's own reading."""
    found: Values = {}
    try:
        for one in pb.HeaderMap.FromString(sent).headers:
            found.setdefault(one.key, []).append(one.raw_value or one.value)
    except DecodeError:
        return None
    names = "".join(found)
    return found if names == names.lower() and names.isascii() else None


def serialised(each: list[tuple[str, bytes]]) -> bytes:
    """Serialise headers as Envoy does."""
    values = [pb.HeaderValue(key=name, raw_value=value) for name, value in each]
    return pb.HeaderMap(headers=values).SerializeToString()


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(each=EACH)
def test_what_envoy_writes_is_read_as_protobuf_reads_it(each: list[tuple[str, bytes]]) -> None:
    """Names, values, their order and their number are the same."""
    sent = serialised(each)
    assert as_listed(sent) == as_protobuf(sent)


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
    assert as_listed(sent) == as_protobuf(sent)


def test_what_envoy_sends_needs_no_protobuf() -> None:
    """A captured message is read on the short way, which is what the tests above are about."""
    sent = pb.CheckRequest.FromString(CAPTURED["raw_headers"]).attributes.request.http.header_map
    assert headers._as_envoy_writes(sent) == headers._as_protobuf_reads(sent)
