"""Envoy's own message classes, from xds-protos: the independent reference of these tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import Default

from regiongate._pb import ext_authz_pb2 as pb

__all__ = ["CAPTURED", "MESSAGES", "Answer", "CheckRequest", "CheckResponse", "read", "settled"]

CAPTURED: Final = {
    path.stem: path.read_bytes()
    for path in sorted((Path(__file__).parents[2] / "data" / "check_requests").glob("*.bin"))
}
"""CheckRequests as a real Envoy sent them, by what is odd about each."""

_AUTH, _CORE, _PROTOBUF = "envoy.service.auth.v3.", "envoy.config.core.v3.", "google.protobuf."

MESSAGES: Final[tuple[tuple[str, str], ...]] = (
    ("CheckRequest", f"{_AUTH}CheckRequest"),
    ("AttributeContext", f"{_AUTH}AttributeContext"),
    ("AttributeContext.Peer", f"{_AUTH}AttributeContext.Peer"),
    ("AttributeContext.HttpRequest", f"{_AUTH}AttributeContext.HttpRequest"),
    ("AttributeContext.Request", f"{_AUTH}AttributeContext.Request"),
    ("AttributeContext.TLSSession", f"{_AUTH}AttributeContext.TLSSession"),
    (
        "AttributeContext.HttpRequest.HeadersEntry",
        f"{_AUTH}AttributeContext.HttpRequest.HeadersEntry",
    ),
    ("AttributeContext.ContextExtensionsEntry", f"{_AUTH}AttributeContext.ContextExtensionsEntry"),
    ("Address", f"{_CORE}Address"),
    ("SocketAddress", f"{_CORE}SocketAddress"),
    ("Pipe", f"{_CORE}Pipe"),
    ("EnvoyInternalAddress", f"{_CORE}EnvoyInternalAddress"),
    ("HeaderMap", f"{_CORE}HeaderMap"),
    ("HeaderValue", f"{_CORE}HeaderValue"),
    ("Metadata", f"{_CORE}Metadata"),
    ("Metadata.FilterMetadataEntry", f"{_CORE}Metadata.FilterMetadataEntry"),
    ("Struct", f"{_PROTOBUF}Struct"),
    ("Struct.FieldsEntry", f"{_PROTOBUF}Struct.FieldsEntry"),
    ("Value", f"{_PROTOBUF}Value"),
    ("ListValue", f"{_PROTOBUF}ListValue"),
    ("CheckResponse", f"{_AUTH}CheckResponse"),
    ("Status", "google.rpc.Status"),
    ("OkHttpResponse", f"{_AUTH}OkHttpResponse"),
    ("DeniedHttpResponse", f"{_AUTH}DeniedHttpResponse"),
    ("HttpStatus", "envoy.type.v3.HttpStatus"),
    ("HeaderValueOption", f"{_CORE}HeaderValueOption"),
    ("BoolValue", f"{_PROTOBUF}BoolValue"),
)
"""Each message of ours, and the upstream message whose bytes it reads and writes."""


def message(name: str) -> Descriptor:
    """Return a message's descriptor by its full name, ours or upstream's."""
    found: Descriptor = Default().FindMessageTypeByName(name)
    return found


def ours(name: str) -> Descriptor:
    """Return the descriptor of a message of protos/ext_authz.proto."""
    return message(f"{pb.DESCRIPTOR.package}.{name}")


@dataclass(frozen=True, slots=True)
class Answer:
    """A CheckResponse as Envoy's own classes read it.

    Attributes:
        code: 0 lets the request pass, whatever else is said.
        outcome: which of ok_response, denied_response and error_response there is; "" for none.
        status: the HTTP status of a denial or an error.
        headers: those for the client of a denial, those for the upstream of an allow.
        removed: the headers that the upstream must not see.
        added: the headers added to the upstream's own answer.
        metadata: Envoy's dynamic metadata.
    """

    code: int
    message: str
    outcome: str
    status: int
    headers: Mapping[str, str]
    removed: tuple[str, ...]
    added: Mapping[str, str]
    body: str
    metadata: Mapping[str, Any]


def read(data: bytes) -> Answer:
    """Read a CheckResponse; raises what upstream's class raises when it is none."""
    response = CheckResponse.FromString(data)
    outcome = response.WhichOneof("http_response") or ""
    said = getattr(response, outcome) if outcome else None
    denied = outcome in ("denied_response", "error_response")
    return Answer(
        code=response.status.code,
        message=response.status.message,
        outcome=outcome,
        status=said.status.code if said and denied else 0,
        headers=_headers(said.headers) if said else {},
        removed=() if denied or not said else tuple(said.headers_to_remove),
        added={} if denied or not said else _headers(said.response_headers_to_add),
        body=said.body if said and denied else "",
        metadata=dict(response.dynamic_metadata.items()),
    )


def _headers(options: Any) -> dict[str, str]:
    headers = {option.header.key: option.header.value for option in options}
    assert len(headers) == len(options), "a header is given twice"
    return headers


def settled(answer: Answer) -> str:
    """Say whether an answer is an explicit "allow" or an explicit "deny", or what else it is."""
    if answer.code == 0 and answer.outcome == "ok_response":
        return "allow"
    if answer.code > 0 and answer.outcome == "denied_response" and 400 <= answer.status <= 599:
        return "deny"
    return repr(answer)
