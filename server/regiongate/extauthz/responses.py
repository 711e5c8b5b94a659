"""The three answers to Envoy: allow, deny, error.

Every CheckResponse of the service is built here by one of three functions, and checked before it
leaves: a deny always carries a status code that is not 0, header names and values are what HTTP
allows, every text is UTF-8. Nothing here decides.

Sources: envoy/service/auth/v3/external_auth.proto, and what Envoy 1.40 was seen to make of each
field (docs/envoy.md).
"""

from __future__ import annotations

import json
import re
import secrets
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from regiongate._pb import ext_authz_pb2 as pb
from regiongate.policy.decide import Verdict
from regiongate.policy.model import Format, Response
from regiongate.policy.templates import fill

OK: Final = 0
PERMISSION_DENIED: Final = 7
UNAVAILABLE: Final = 14
UNAUTHENTICATED: Final = 16
"""Codes of google.rpc.Code; the same numbers are gRPC's status codes."""

UNAUTHORIZED: Final = 401
INTERNAL_SERVER_ERROR: Final = 500
SERVICE_UNAVAILABLE: Final = 503

OURS: Final = "regiongate"
"""What the name of every header holds that `is_ours` finds to be ours."""
PREFIX: Final = f"x-{OURS}-"
LONGEST_POLICY: Final = 256
"""Characters of a policy's name that are told: who may call the service can ask for any name."""
DECISION_ID: Final = f"{PREFIX}decision-id"
NOTICE: Final = f"{PREFIX}notice"

INTERNAL_ERROR: Final = Response(
    status=SERVICE_UNAVAILABLE, message="The request could not be judged"
)


class Told(NamedTuple):
    """What an answer says of the decision behind it, but for its id; empty where it says nothing.

    Attributes:
        outcome: allow, deny or error.
        policy_verdict: what the policy does once it is wholly in force.
        phase: observe, warn or enforce.
        country: ISO 3166-1 alpha-2 of the client.
        exemption: the id of the exemption that let the request pass.
    """

    outcome: str
    reason: str
    policy_verdict: str = Verdict.DENY.value
    policy: str = ""
    rule: str = ""
    phase: str = ""
    country: str = ""
    key_id: str = ""
    org: str = ""
    exemption: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A serialised CheckResponse that still lacks its decision id.

    Attributes:
        told: what it says.
    """

    told: Told
    _parts: tuple[bytes, ...]

    def render(self, decision_id: str) -> bytes:
        """Return the message to send.

        Args:
            decision_id: 32 characters, so that no length in the message changes.

        Raises:
            ValueError: it is of another length.
        """
        data = decision_id.encode()
        if len(data) != len(_PLACEHOLDER):
            raise ValueError(f"expected a decision id of 32 characters (got {decision_id!r})")
        return data.join(self._parts)


_PLACEHOLDER: Final = secrets.token_hex(16)
"""Stands for the decision id until an answer is rendered; nobody can have written it."""

_IDS: Final[deque[str]] = deque()


def new_id() -> str:
    """Return the id of a new decision: 32 hexadecimal digits of chance."""
    if not _IDS:
        # Many at once: the system call takes longer than all else about an id, and others go on
        # in Python meanwhile.
        digits = secrets.token_hex(16 * 500)
        _IDS.extend([digits[start : start + 32] for start in range(0, len(digits), 32)])
    return _IDS.pop()


def is_ours(name: str) -> bool:
    """Say whether a header is one that only RegionGate may send to an upstream.

    One with other marks for the hyphens is, too: CGI and WSGI cannot tell them apart.
    """
    return _OURS.match(name) is not None and _NAME.fullmatch(name) is not None


def allow(told: Told, notice: str = "", forged: Iterable[str] = ()) -> Answer:
    """Let the request pass.

    The headers of ours that have a value are overwritten and the others removed, so that the
    upstream never sees one that a client sent.

    Args:
        told: what the upstream and Envoy's metadata are told.
        notice: what the client is told beside the upstream's answer; see `notice`.
        forged: further headers that the request carries and `is_ours` says are not its to send.
    """
    ours = {
        f"{PREFIX}country": told.country,
        DECISION_ID: _PLACEHOLDER,
        f"{PREFIX}key-id": told.key_id,
        f"{PREFIX}org": told.org,
    }
    # One that is set and removed would be gone: Envoy removes last.
    absent = sorted({*(name for name in ours if not ours[name]), *(set(forged) - ours.keys())})
    response = pb.OkHttpResponse(
        headers=[_header(name, value) for name, value in ours.items() if value],
        headers_to_remove=[name.encode() for name in absent],
        response_headers_to_add=[_header(NOTICE, notice)] if notice else [],
    )
    return _response(pb.Status(code=OK), told, ok_response=response)


def deny(told: Told, response: Response, *, grpc: bool = False) -> Answer:
    """Refuse the request.

    Args:
        told: what the client and Envoy's metadata are told.
        response: status, message and shape of the body.
        grpc: the client speaks gRPC: its status and message are set as gRPC has them.
    """
    code = UNAUTHENTICATED if response.status == UNAUTHORIZED else PERMISSION_DENIED
    return _denial(code, told, response, grpc=grpc)


def error(told: Told, *, defer: bool, grpc: bool = False) -> Answer:
    """Say that the request could not be judged, for a fault of ours.

    Args:
        told: what the client and Envoy's metadata are told.
        defer: leave it to Envoy's failure_mode_allow; otherwise refuse.
        grpc: as for `deny`.
    """
    return _denial(UNAVAILABLE, told, INTERNAL_ERROR, grpc=grpc, as_error=defer)


def notice(reason: str, effective: str) -> str:
    """Write the value of the header that warns a client of a refusal to come.

    Args:
        reason: the code it will be refused with.
        effective: the moment from which it will, RFC 3339; empty where none is set.
    """
    return f'code={reason}; effective="{effective}"' if effective else f"code={reason}"


def _denial(
    code: int, told: Told, response: Response, *, grpc: bool, as_error: bool = False
) -> Answer:
    if code == OK:
        raise ValueError("expected a code other than 0, which Envoy takes for an allow")
    content_type, body = _body(told, response)
    headers = {
        "content-type": content_type,
        "cache-control": "no-store",
        DECISION_ID: _PLACEHOLDER,
    }
    if grpc:
        # Envoy would derive the status from HTTP's, and 451 would become UNKNOWN; of a body it
        # would make the message.
        headers |= {"grpc-status": str(code), "grpc-message": quote(response.message, safe=" ,")}
        body = ""
    denied = pb.DeniedHttpResponse(
        status=pb.HttpStatus(code=response.status),
        headers=[_header(name, value) for name, value in headers.items()],
        body=body.encode(errors="replace"),
    )
    status = pb.Status(code=code, message=told.reason.encode(errors="replace"))
    if as_error:
        return _response(status, told, error_response=denied)
    return _response(status, told, denied_response=denied)


def _response(status: pb.Status, told: Told, **outcome: Any) -> Answer:
    response = pb.CheckResponse(status=status, dynamic_metadata=_metadata(told), **outcome)
    return Answer(told, tuple(response.SerializeToString().split(_PLACEHOLDER.encode())))


# ---------------------------------------------------------------------------------- the body


def _body(told: Told, response: Response) -> tuple[str, str]:
    """Return the body's content type and text."""
    match response.format:
        case Format.PROBLEM:
            return "application/problem+json", json.dumps(_problem(told, response))
        case Format.TEMPLATE:
            values = {
                "reason": told.reason,
                "decision_id": _PLACEHOLDER,
                "country": told.country,
                "message": response.message,
            }
            return response.content_type, fill(response.body, response.content_type, values)
    return "application/json", json.dumps({"error": _openai(told, response)})


def _openai(told: Told, response: Response) -> Mapping[str, str | None]:
    """Make the error object that OpenAI-compatible client libraries read."""
    return {
        "message": response.message,
        "type": _error_type(response.status),
        "param": None,
        "code": told.reason,
        "decision_id": _PLACEHOLDER,
    }


def _error_type(status: int) -> str:
    if status == UNAUTHORIZED:
        return "invalid_request_error"
    return "request_forbidden" if status < INTERNAL_SERVER_ERROR else "server_error"


def _problem(told: Told, response: Response) -> Mapping[str, str | int]:
    """Make a problem object, RFC 9457."""
    return {
        "type": "about:blank",
        "title": response.message,
        "status": response.status,
        "code": told.reason,
        "decision_id": _PLACEHOLDER,
    }


# --------------------------------------------------------------------- headers and metadata

_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_OURS: Final = re.compile(rf"x[^a-z0-9]{OURS}[^a-z0-9]")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_OVERWRITE: Final = pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


def _header(name: str, value: str) -> pb.HeaderValueOption:
    """Make a header that overwrites whatever is there.

    `append: false` as well as the action, since Envoy's releases differ in which of the two they
    honour; either alone would somewhere let a client's own value stand.

    Raises:
        ValueError: the name is no lower-case token or the value holds a control character.
            Envoy would write it to the wire as it is.
    """
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"expected an HTTP header (got {name!r}: {value[:60]!r})")
    return pb.HeaderValueOption(
        header=pb.HeaderValue(key=name, value=value.encode()),
        append=pb.BoolValue(value=False),
        append_action=_OVERWRITE,
    )


def _metadata(told: Told) -> pb.Struct:
    """Make the dynamic metadata that access logs, RBAC and rate limits can read."""
    values = ((name, getattr(told, name)) for name in _TOLD)
    return pb.Struct(fields=_fields([("decision_id", _PLACEHOLDER), *values]))


def _fields(values: Iterable[tuple[str, str]]) -> list[pb.Struct.FieldsEntry]:
    return [
        pb.Struct.FieldsEntry(
            key=name.encode(), value=pb.Value(string_value=str(value).encode(errors="replace"))
        )
        for name, value in values
        if value
    ]


_TOLD: Final = Told._fields
