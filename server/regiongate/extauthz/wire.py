"""Envoy's CheckRequest as the rest of the service sees it.

Reads bytes into a `Check`. Text is decoded here, once and leniently: a byte that is not UTF-8
becomes U+FFFD and never an error, because a client can put one there. Nothing here decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError

from regiongate._pb import ext_authz_pb2 as pb

MAX_CHECK_BYTES: Final = 16 * 1024 * 1024
"""A larger CheckRequest is not read. Envoy's limits on headers and bodies lie far below."""
MAX_HEADERS: Final = 1000
"""Envoy's own default is 100."""


class WireError(ValueError):
    """The bytes are no CheckRequest that can be judged; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question of Envoy's.

    Attributes:
        peer: the address of attributes.source; empty for a pipe or an internal listener.
        is_http: whether there is a request at all; a TCP check has none, and every field below
            but `principal`, `sni`, `route` and `metadata` is then empty.
        method, host, path, query, scheme, protocol: of the request; CONNECT has no path.
        headers: by lower-case name, the values in the order they were sent.
        route: the context extensions of Envoy's virtual host and route.
        metadata: Envoy's filter metadata, by namespace; text in it is bytes.
        principal: the identity of the client's certificate, as Envoy verified it.
        sni: what the client's TLS session asked for.
    """

    peer: str = ""
    is_http: bool = False
    method: str = ""
    host: str = ""
    path: str = ""
    query: str = ""
    scheme: str = ""
    protocol: str = ""
    headers: Mapping[str, Sequence[bytes]]
    route: Mapping[str, str]
    metadata: Mapping[str, Any]
    principal: str = ""
    sni: str = ""

    def header(self, name: str) -> Sequence[bytes]:
        """Return the values of a header by its lower-case name."""
        return self.headers.get(name, ())

    def text(self, name: str) -> str:
        """Return a header as one text, repeated values joined as HTTP joins them."""
        return b",".join(self.header(name)).decode(errors="replace")

    @property
    def is_grpc(self) -> bool:
        """Whether the client speaks gRPC, and so reads grpc-status rather than the HTTP status."""
        kind = self.text("content-type").partition(";")[0].strip()
        return kind == "application/grpc" or kind.startswith("application/grpc+")


def read(data: bytes) -> Check:
    """Read a serialised CheckRequest.

    Raises:
        WireError: the bytes are no such message, or are more than is ever judged.
    """
    if len(data) > MAX_CHECK_BYTES:
        raise WireError(f"expected at most {MAX_CHECK_BYTES} bytes (got {len(data)})")
    try:
        attributes = pb.CheckRequest.FromString(data).attributes
    except DecodeError:
        raise WireError("expected a CheckRequest (got bytes that are none)") from None
    http = attributes.request.http
    path, _, query = _text(http.path).partition("?")
    return Check(
        peer=_text(attributes.source.address.socket_address.address),
        is_http=attributes.HasField("request"),
        method=_text(http.method),
        host=_text(http.host),
        path=path,
        query=query,
        scheme=_text(http.scheme),
        protocol=_text(http.protocol),
        headers=_headers(http),
        route=_unique(attributes.context_extensions),
        metadata=_metadata(attributes.metadata_context),
        principal=_text(attributes.source.principal),
        sni=_text(attributes.tls_session.sni),
    )


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _headers(http: pb.AttributeContext.HttpRequest) -> dict[str, list[bytes]]:
    """Collect the headers, whichever of its two forms Envoy sent them in."""
    if len(http.headers) + len(http.header_map.headers) > MAX_HEADERS:
        raise WireError(f"expected at most {MAX_HEADERS} headers (got more)")
    headers: dict[str, list[bytes]] = {}
    for entry in http.headers:
        headers.setdefault(_text(entry.key.lower()), []).append(entry.value)
    for header in http.header_map.headers:
        value = header.raw_value or header.value
        headers.setdefault(_text(header.key.lower()), []).append(value)
    return headers


def _unique(entries: Sequence[pb.Entry]) -> dict[str, str]:
    """Read a map whose keys Envoy's operator wrote: as in any map, the last one counts."""
    return {_text(entry.key): _text(entry.value) for entry in entries}


def _metadata(metadata: pb.Metadata) -> dict[str, Any]:
    return {_text(entry.key): _struct(entry.value) for entry in metadata.filter_metadata}


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
