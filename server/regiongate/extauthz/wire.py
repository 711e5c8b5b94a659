"""Envoy's CheckRequest as the rest of the service sees it.

Reads bytes into a `Check`, which decodes what it is asked for and nothing else: of two dozen
headers a decision looks at two. Text is decoded leniently: a byte that is not UTF-8 becomes U+FFFD
and never an error, because a client can put one there. Nothing here decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError

from regiongate._pb import ext_authz_pb2 as pb
from regiongate.extauthz.headers import Headers, Joined, WireError, one_by_one

MAX_CHECK_BYTES: Final = 16 * 1024 * 1024
"""A larger CheckRequest is not read. Envoy's limits on headers and bodies lie far below."""

Value = TypeVar("Value")


class Check:
    """One question of Envoy's.

    Attributes:
        headers: of the request, by name.
    """

    __slots__ = ("_attributes", "_http", "headers")

    def __init__(self, attributes: pb.AttributeContext) -> None:
        """Take what Envoy tells of a request.

        Raises:
            WireError: there are more headers than is ever judged, or one that Envoy cannot have
                sent.
        """
        self._attributes = attributes
        self._http = http = attributes.request.http
        self.headers = _headers(http)

    @property
    def route(self) -> Mapping[str, str]:
        """The context extensions of Envoy's virtual host and route."""
        return _Decoded(self._attributes.context_extensions, _text)

    def extension(self, name: str) -> str:
        """Return a context extension; empty where there is none."""
        return _text(self._attributes.context_extensions.get(name, b""))

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Envoy's filter metadata, by namespace; text in it is bytes."""
        return _Decoded(self._attributes.metadata_context.filter_metadata, _struct)

    @property
    def peer(self) -> str:
        """The address of attributes.source; empty for a pipe or an internal listener."""
        return _text(self._attributes.source.address.socket_address.address)

    @property
    def is_http(self) -> bool:
        """Whether there is a request at all.

        A TCP check has none, and all but its `peer`, `principal`, `sni`, `route` and `metadata` is
        empty.
        """
        return self._attributes.HasField("request")

    @property
    def method(self) -> str:
        """The request's method."""
        return _text(self._http.method)

    @property
    def host(self) -> str:
        """The request's authority."""
        return _text(self._http.host)

    @property
    def path(self) -> str:
        """The request's path, without the query; CONNECT has none."""
        return _text(self._http.path.partition(b"?")[0])

    @property
    def query(self) -> str:
        """What follows the first question mark of the path."""
        return _text(self._http.path.partition(b"?")[2])

    @property
    def scheme(self) -> str:
        """The request's scheme."""
        return _text(self._http.scheme)

    @property
    def protocol(self) -> str:
        """The version of HTTP, for instance HTTP/2."""
        return _text(self._http.protocol)

    @property
    def principal(self) -> str:
        """The identity of the client's certificate, as Envoy verified it."""
        return _text(self._attributes.source.principal)

    @property
    def sni(self) -> str:
        """What the client's TLS session asked for."""
        return _text(self._attributes.tls_session.sni)

    @property
    def is_grpc(self) -> bool:
        """Whether the client speaks gRPC, and so reads grpc-status rather than the HTTP status."""
        kind = b",".join(self.headers.get("content-type"))
        if not kind.startswith(b"application/grpc"):
            return False
        kind = kind.partition(b";")[0].strip()
        return kind == b"application/grpc" or kind.startswith(b"application/grpc+")

    def header(self, name: str) -> Sequence[bytes]:
        """Return the values of a header by its lower-case name."""
        return self.headers.get(name)

    def text(self, name: str) -> str:
        """Return a header as one text, repeated values joined as HTTP joins them."""
        return _text(b",".join(self.headers.get(name)))


def read(data: bytes) -> Check:
    """Read a serialised CheckRequest.

    Raises:
        WireError: the bytes are no such message, or are more than is ever judged.
    """
    if len(data) > MAX_CHECK_BYTES:
        raise WireError(f"expected at most {MAX_CHECK_BYTES} bytes (got {len(data)})")
    try:
        return Check(pb.CheckRequest.FromString(data).attributes)
    except (DecodeError, UnicodeDecodeError):
        raise WireError("expected a CheckRequest (got bytes that are none)") from None


def asked(
    *,
    method: str,
    host: str,
    path: str,
    headers: Sequence[tuple[str, bytes]],
    route: Mapping[str, str],
) -> Check:
    """Make the Check that Envoy would send for an HTTPS request.

    Args:
        method: of the request.
        host: its authority.
        path: with its query.
        headers: names in lower case, and values, in the order they are sent.
        route: the context extensions of Envoy's route.
    """
    raw = [pb.HeaderValue(key=name, raw_value=value) for name, value in headers]
    http = pb.AttributeContext.HttpRequest(
        method=method.encode(),
        host=host.encode(),
        path=path.encode(),
        scheme=b"https",
        protocol=b"HTTP/2",
        header_map=pb.HeaderMap(headers=raw).SerializeToString(),
    )
    extensions = {name: value.encode() for name, value in route.items()}
    request = pb.AttributeContext.Request(http=http)
    return Check(pb.AttributeContext(request=request, context_extensions=extensions))


class _Decoded(Mapping[str, Value]):
    """A map of the message, whose values are decoded when they are asked for."""

    __slots__ = ("_decode", "_raw")

    def __init__(self, raw: Mapping[str, Any], decode: Callable[[Any], Value]) -> None:
        self._raw = raw
        self._decode = decode

    def __getitem__(self, name: str) -> Value:
        # Not raw[name], which adds what is missing to the message.
        value = self._raw.get(name)
        if value is None:
            raise KeyError(name)
        return self._decode(value)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value; of what is not there the default, without an exception on the way."""
        value = self._raw.get(name)
        return default if value is None else self._decode(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _headers(http: pb.AttributeContext.HttpRequest) -> Headers:
    """Take the headers in whichever of its two forms Envoy sent them."""
    if not http.header_map:
        return Joined(http.headers)
    if http.headers:
        raise WireError("expected headers in one of the two forms that Envoy has (got both)")
    return one_by_one(http.header_map)


def _struct(struct: pb.Struct) -> dict[str, Any]:
    return {_text(entry.key): _value(entry.value) for entry in struct.fields}


def _value(value: pb.Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return _struct(value.struct_value)
        case "list_value":
            return [_value(one) for one in value.list_value.values]
        case None:
            return None
        case kind:
            return getattr(value, kind)
