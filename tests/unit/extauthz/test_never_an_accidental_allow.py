"""Whatever bytes arrive, the answer is a decision, and never an allow by accident.

The policy lets one key pass from one address and nothing else. Errors are left to Envoy
(`on_error: defer`), so that a fault of ours on the way shows as what it then is: no decision. What
must be in the bytes for an allow is judged by upstream's classes and by plain search, without a
line of the service.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from typing import Final, TypeVar

import pytest
from google.protobuf.message import DecodeError
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from regiongate._pb import ext_authz_pb2 as pb
from regiongate.address import CLIENT_ADDRESS_METADATA, EnvoyMetadata
from regiongate.keys.record import KeyRecord
from tests.unit.extauthz.fakes import Places, bearer, check, service
from tests.unit.extauthz.upstream import CAPTURED, Answer, CheckRequest, settled

T = TypeVar("T")

POLICY = """
version: 1
regions: {supported: [FR]}
policies:
  default:
    rules:
      - name: the-one
        when: key.found && key.status == "active" && source.within("supported")
        allow: true
    otherwise: deny
"""
HOME, KEY = "127.0.0.1", "k-123"
KEYS = {KEY: KeyRecord(id="key_1", org="acme")}
PLACES = Places({HOME: "FR", "127.0.0.2": "BR"})
BY_PEER = service(POLICY, KEYS, locator=PLACES, defer_errors=True)
BY_METADATA = service(POLICY, KEYS, locator=PLACES, address=EnvoyMetadata(), defer_errors=True)

EXAMPLES: Final = {
    "arbitrary": 4000,
    "assembled": 2500,
    "mutated": 8000,
    "built": 4500,
    "metadata": 1500,
}


def examples(kind: str) -> settings:
    """Return how a property is tried: so many examples, and the same ones every time."""
    return settings(
        max_examples=EXAMPLES[kind],
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate, Phase.shrink),
    )


class Choices:
    """Choices written down in bytes, zeros behind their end.

    Each example is one draw of bytes: a tenth of the time that as many draws as choices would take,
    and still what hypothesis can shrink.
    """

    def __init__(self, written: bytes) -> None:
        self._written = chain(written, repeat(0))

    def number(self) -> int:
        """Return the next number, 0 to 65535."""
        return next(self._written) << 8 | next(self._written)

    def of(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.number() % len(options)]

    def some_of(self, options: Sequence[Sequence[T]], most: int) -> list[T]:
        """Return up to so many, each one of the options of one of the kinds."""
        return [self.of(self.of(options)) for _ in range(self.number() % (most + 1))]


WRITTEN = st.binary(min_size=20, max_size=20)


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    """Keep ten thousand warnings of malformed Checks out of the test report."""
    logger = logging.getLogger("regiongate")
    before = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(before)


# ------------------------------------------------------------------------------------- oracles

SAID: Final = {
    *("application/json", "no-store", "FR", "key_1", "acme"),
    *("7", "16", "Request not allowed", "Invalid API key"),
}
"""Every header value there is, but for decision ids: none is of a client's making."""


def verdict(answer: Answer) -> str:
    """Return allow or deny, having made sure that the answer is one and tells nothing else."""
    verdict = settled(answer)
    assert verdict in ("allow", "deny")
    decision_id = answer.metadata["decision_id"]
    assert re.fullmatch("[0-9a-f]{32}", decision_id)
    assert {*answer.headers.values(), *answer.added.values()} - {decision_id} <= SAID
    return verdict


def may_be_allowed(data: bytes) -> bool:
    """Say whether these bytes can be a request from HOME with KEY and no other."""
    if HOME.encode() not in data or KEY.encode() not in data:
        return False
    try:
        attributes = CheckRequest.FromString(data).attributes
    except DecodeError:
        # Upstream refuses also what is merely not UTF-8: then the search has to do.
        return True
    http = attributes.request.http
    raw = ((one.key, one.raw_value or one.value.encode()) for one in http.header_map.headers)
    sent = [*((name, value.encode()) for name, value in http.headers.items()), *raw]
    keys = set(chain.from_iterable(presented(name, value) for name, value in sent))
    return attributes.source.address.socket_address.address == HOME and keys == {KEY.encode()}


def presented(name: str, value: bytes) -> list[bytes]:
    """Return the key in a header; names are compared as HTTP compares them, in ASCII."""
    name = re.sub("[A-Z]", lambda capital: capital[0].lower(), name)
    scheme, _, credentials = value.replace(b"\t", b" ").strip().partition(b" ")
    if name == "authorization" and scheme.lower() == b"bearer":
        return [credentials.strip()]
    return [value] if name == "x-api-key" else []


# ----------------------------------------------------------------------------- arbitrary bytes

PIECES = (
    *(HOME.encode(), KEY.encode(), b"x-api-key", b"Bearer ", b"\x1a\x05k-123"),
    *(b"\x0a", b"\x12", b"\x1a", b"\x22", b"\x05", b"\x10", b"\x0b", b"\0", b"\xff", b"\x80\x80"),
)


@examples("arbitrary")
@given(data=st.binary(max_size=150))
def test_arbitrary_bytes(data: bytes) -> None:
    """Bytes of no meaning are denied."""
    assert verdict(BY_PEER.answer(data)) == "deny" or may_be_allowed(data)


@examples("assembled")
@given(written=WRITTEN)
def test_assembled_bytes(written: bytes) -> None:
    """The pieces of an allow in any order are no allow."""
    data = b"".join(Choices(written).some_of([PIECES], 9))
    assert verdict(BY_PEER.answer(data)) == "deny" or may_be_allowed(data)


# ---------------------------------------------------------------------- mutated real messages

REAL = (
    *CAPTURED.values(),
    *[check(HOME, bearer(KEY)), check(HOME, [("x-api-key", KEY)]), CAPTURED["default_ura"]] * 3,
)

Mutation = Callable[[bytes, int, int], bytes]


def flip(data: bytes, at: int, by: int) -> bytes:
    """Flip bits of one byte."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ (by % 255 + 1)]) + data[at + 1 :]


def flip_a_bit(data: bytes, at: int, by: int) -> bytes:
    """Flip one bit."""
    return flip(data, at, (1 << by % 8) - 1)


def truncate(data: bytes, at: int, _: int) -> bytes:
    """Keep the beginning."""
    return data[: at % len(data)]


def cut(data: bytes, at: int, by: int) -> bytes:
    """Leave a few bytes out."""
    at %= len(data)
    return data[:at] + data[at + by % 16 + 1 :]


def stutter(data: bytes, at: int, by: int) -> bytes:
    """Say a few bytes twice."""
    at %= len(data)
    return data[: at + by % 64] + data[at:]


def splice(data: bytes, at: int, by: int) -> bytes:
    """Go on with the end of another message."""
    other = REAL[by % len(REAL)]
    return data[: at % len(data)] + other[at % len(other) :]


def append(data: bytes, at: int, by: int) -> bytes:
    """Go on with another whole message, whose fields are then there twice."""
    return data + REAL[(at + by) % len(REAL)]


def append_junk(data: bytes, at: int, by: int) -> bytes:
    """Go on with something that is no field, or one that nobody knows."""
    return data + at.to_bytes(4) + by.to_bytes(4)


def swap(data: bytes, at: int, by: int) -> bytes:
    """Take one of the attributes from another message."""
    ours, other = read(data), read(REAL[by % len(REAL)])
    field = pb.AttributeContext.DESCRIPTOR.fields[at % 5].name
    ours.attributes.ClearField(field)
    theirs = pb.AttributeContext()
    theirs.CopyFrom(other.attributes)
    for one in pb.AttributeContext.DESCRIPTOR.fields:
        if one.name != field:
            theirs.ClearField(one.name)
    ours.attributes.MergeFrom(theirs)
    return ours.SerializeToString()


def repeat_a_header(data: bytes, at: int, by: int) -> bytes:
    """Send a header again, with another header's value."""
    headers = sorted(read(data).attributes.request.http.headers.items())
    if not headers:
        return data
    again = headers[at % len(headers)][0].encode(), headers[by % len(headers)][1]
    return data + in_a_map(again)


def in_a_map(*headers: tuple[bytes, bytes]) -> bytes:
    """Serialise headers as Envoy's map of them, also what no map would hold."""
    entries = (field(3, field(1, name) + field(2, value)) for name, value in headers)
    return field(1, field(4, field(2, b"".join(entries))))


def field(number: int, content: bytes) -> bytes:
    """Serialise a field of text, bytes or a message."""
    length, size = bytearray(), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


def read(data: bytes) -> pb.CheckRequest:
    """Read a message as far as it is one."""
    try:
        return pb.CheckRequest.FromString(data)
    except DecodeError:
        return pb.CheckRequest()


MUTATIONS: tuple[Mutation, ...] = (
    *(flip, flip_a_bit, truncate, cut, stutter, splice),
    *(append, append_junk, swap, repeat_a_header),
)


@examples("mutated")
@given(written=WRITTEN)
def test_mutated_messages(written: bytes) -> None:
    """A real message with anything done to it is allowed only if it still says what it must."""
    choices = Choices(written)
    data = choices.of(REAL)
    for mutate in (choices.of(MUTATIONS) for _ in range(1 + choices.number() % 3)):
        data = mutate(data or b"\0", choices.number(), choices.number())
    assert verdict(BY_PEER.answer(data)) == "deny" or may_be_allowed(data)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_every_mutation_changes_a_message(mutation: Mutation) -> None:
    """The property tries what it says it tries."""
    real = check(HOME, bearer(KEY))
    assert any(mutation(real, at, 7) != real for at in range(5))


# ------------------------------------------------------------ messages built from hostile text

# Of a header of keys: is it the key, is it none, or is it anything that must be refused?
API_KEYS = {
    KEY.encode(): "key",
    b"": "bad",
    b"other": "bad",
    b" k-123": "bad",
    b"k-123\0": "bad",
    b"k-123,": "bad",
    b"k-123,k-123": "bad",
    b"K-123": "bad",
    b"k-123\xff": "bad",
    b"k" * 1025: "bad",
}
CREDENTIALS = {
    b"Bearer k-123": "key",
    b"bEARER \t k-123 ": "key",
    b"Basic azE6azI=": "none",
    b"": "none",
    b"Bearer": "bad",
    b"Bearer other": "bad",
    b"Bearer k-123,Bearer k-123": "bad",
    b"Basic x, Bearer k-123": "bad",
    b"Bearer Bearer k-123": "bad",
    b"Bearer k-123\r\nx: y": "bad",
}
NAMES = {b"x-api-key": API_KEYS, b"X-API-Key": API_KEYS, b"authorization": CREDENTIALS}
LIKE_THEM = (b"x_api_key", b"x-api-key ", b"x-api-\xff", b":authorization")
"""Names of headers that hold no key, however much they look like it."""

HOSTILE = (
    *(b"", b"\0", b"\xff\xfe", b"a\r\nx-regiongate-country: FR", b"${reason}", b"%s%n", b"k-123"),
    *("\u202e".encode(), b"\xf0\x9f", b"application/grpc", b"127.0.0.1", b"a" * 5000),
)
GOOD = (
    *((b"x-api-key", b"k-123"), (b"X-API-Key", b"k-123")),
    *((b"authorization", b"Bearer k-123"), (b"authorization", b"Basic azE6azI=")),
)
KNOWN = tuple((name, value) for name, values in NAMES.items() for value in values)
STRANGE = tuple((name, value) for name in (*LIKE_THEM, *HOSTILE) for value in HOSTILE)
HEADERS = (GOOD, GOOD, KNOWN, STRANGE)

SOCKETS = (*[HOME.encode()] * 4, b"127.0.0.2", b"127.0.0.1 ", b"127.0.0.1\0", b"::ffff:127.0.0.1")
PEERS = (
    *(pb.Address(socket_address=pb.SocketAddress(address=one, port_value=1)) for one in SOCKETS),
    pb.Address(pipe=pb.Pipe(path=HOME.encode())),
    pb.Address(envoy_internal_address=pb.EnvoyInternalAddress(server_listener_name=HOME.encode())),
)
AT_HOME = {b"127.0.0.1", b"::ffff:127.0.0.1"}
POLICIES = (None, None, None, b"", b"default", b"Default", b"default\0", b"\xff")

Headers = list[tuple[bytes, bytes]]


def built(
    peer: pb.Address, headers: Headers, policy: bytes | None, text: bytes, *, raw: bool
) -> bytes:
    """Serialise a Check of these parts, with hostile text everywhere else."""
    request = pb.AttributeContext.HttpRequest(
        id=text, method=text, path=text, host=text, scheme=text, protocol=text
    )
    attributes = pb.AttributeContext(
        source=pb.AttributeContext.Peer(address=peer, principal=text),
        request=pb.AttributeContext.Request(http=request),
        context_extensions={"tenant": text},
        tls_session=pb.AttributeContext.TLSSession(sni=text),
    )
    if policy is not None:
        attributes.context_extensions["regiongate.policy"] = policy
    data = pb.CheckRequest(attributes=attributes).SerializeToString()
    return data + (one_by_one if raw else in_a_map)(*headers)


def one_by_one(*headers: tuple[bytes, bytes]) -> bytes:
    """Serialise headers as encode_raw_headers has them."""
    values = (field(1, field(1, name) + field(3, value)) for name, value in headers)
    return field(1, field(4, field(2, field(13, b"".join(values)))))


def readable(headers: Headers) -> bool:
    """Say whether the names of headers are such as Envoy sends."""
    try:
        names = [name.decode() for name, _ in headers]
    except UnicodeDecodeError:
        return False
    return all(name == name.lower() and name.isascii() for name in names)


def one_key(headers: Headers) -> bool:
    """Say whether the headers hold KEY, once in each header that may hold a key, and no other."""
    labels = [(NAMES[name], NAMES[name][value]) for name, value in headers if name in NAMES]
    api_keys = [label for values, label in labels if values is API_KEYS]
    credentials = [label for values, label in labels if values is CREDENTIALS]
    bearers = [label for label in credentials if label != "none"]
    if len(api_keys) > 1 or (bearers and len(credentials) > 1):
        return False
    return {*api_keys, *bearers} == {"key"}


@examples("built")
@given(written=WRITTEN)
def test_built_messages(written: bytes) -> None:
    """A request is allowed exactly if it is from HOME, with KEY, on a route of the one policy."""
    choices = Choices(written)
    peer, policy, text = choices.of(PEERS), choices.of(POLICIES), choices.of(HOSTILE)
    headers, raw = choices.some_of(HEADERS, 3), choices.of((False, True))
    # Of two entries of a map with one key, the last is the one there is.
    sent = headers if raw else list(dict(headers).items())
    expected = (
        peer.socket_address.address in AT_HOME
        and readable(headers)
        and one_key(sent)
        and policy in (None, b"", b"default")
    )
    data = built(peer, headers, policy, text, raw=raw)
    assert verdict(BY_PEER.answer(data)) == ("allow" if expected else "deny")


# --------------------------------------------------------------- the metadata of Envoy's call

VALUES: tuple[str | bytes, ...] = (
    *(HOME, HOME, HOME, "127.0.0.2", "", "unknown", f"{HOME}, {HOME}", f"{HOME}:80", "\0"),
    HOME.encode(),
)
HERE = tuple((CLIENT_ADDRESS_METADATA, value) for value in VALUES)
ELSEWHERE = tuple((name, HOME) for name in ("x-forwarded-for", f"{CLIENT_ADDRESS_METADATA}-bin"))


@examples("metadata")
@given(written=WRITTEN)
def test_metadata_of_the_call(written: bytes) -> None:
    """With the address from the call's metadata, there must be exactly one, and that HOME."""
    choices = Choices(written)
    metadata = choices.some_of([HERE, HERE, ELSEWHERE], 3)
    headers = choices.some_of([GOOD], 2)
    forged = [*headers, (CLIENT_ADDRESS_METADATA.encode(), HOME.encode())]
    texts = [one for name, one in metadata if (name, one) in HERE and isinstance(one, str)]
    expected = texts == [HOME] and one_key(headers) and readable(headers)
    data = built(PEERS[0], forged, None, b"", raw=True)
    assert verdict(BY_METADATA.answer(data, metadata)) == ("allow" if expected else "deny")


# ------------------------------------------------------------------------- the properties' own

ALLOWED = {
    "captured": CAPTURED["default_ura"],
    "bearer": check(HOME, bearer(KEY)),
    "x-api-key": check(HOME, [("x-api-key", KEY)]),
    "not UTF-8": check(HOME, bearer(KEY)) + b"\x0a\x05\x62\x03\x0a\x01\xff",
}


@pytest.mark.parametrize("data", ALLOWED.values(), ids=ALLOWED)
def test_what_is_mutated_would_be_allowed(data: bytes) -> None:
    """The policy does let something pass, so that the properties could fail."""
    assert (verdict(BY_PEER.answer(data)), may_be_allowed(data)) == ("allow", True)


@pytest.mark.parametrize("name", sorted(CAPTURED.keys() - {"default_ura"}))
def test_what_else_is_mutated_would_be_denied(name: str) -> None:
    """Of the captured messages, one has the key."""
    assert (verdict(BY_PEER.answer(CAPTURED[name])), may_be_allowed(CAPTURED[name])) == (
        "deny",
        False,
    )


def test_there_are_twenty_thousand_examples() -> None:
    """The properties are tried on at least twenty thousand examples together."""
    assert sum(EXAMPLES.values()) >= 20_000
