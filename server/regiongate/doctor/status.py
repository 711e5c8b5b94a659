"""Which of Envoy's HTTP statuses a client takes for a refusal."""

from __future__ import annotations

import re
from typing import Final

from regiongate.doctor.tree import Node

_FIRST_REFUSAL: Final = 400

_PASSING: Final = re.compile(
    "Continue|OK|Created|Accepted|NonAuthoritativeInformation|NoContent|ResetContent"
    "|PartialContent|MultiStatus|AlreadyReported|IMUsed|MultipleChoices|MovedPermanently|Found"
    "|SeeOther|NotModified|UseProxy|TemporaryRedirect|PermanentRedirect"
)
_REFUSING: Final = re.compile(
    "BadRequest|Unauthorized|PaymentRequired|Forbidden|NotFound|MethodNotAllowed|NotAcceptable"
    "|ProxyAuthenticationRequired|RequestTimeout|Conflict|Gone|LengthRequired|PreconditionFailed"
    "|PayloadTooLarge|URITooLong|UnsupportedMediaType|RangeNotSatisfiable|ExpectationFailed"
    "|MisdirectedRequest|UnprocessableEntity|Locked|FailedDependency|UpgradeRequired"
    "|PreconditionRequired|TooManyRequests|RequestHeaderFieldsTooLarge|InternalServerError"
    "|NotImplemented|BadGateway|ServiceUnavailable|GatewayTimeout|HTTPVersionNotSupported"
    "|VariantAlsoNegotiates|InsufficientStorage|LoopDetected|NotExtended"
    "|NetworkAuthenticationRequired"
)
"""envoy/type/v3/http_status.proto."""


def refuses(code: Node) -> bool:
    """Say whether a status is an error.

    Args:
        code: an envoy.type.v3.StatusCode, by its name or number.

    Raises:
        UnclearError: it is none.
    """
    name = code.value if isinstance(code.value, str) else ""
    if _PASSING.fullmatch(name) or _REFUSING.fullmatch(name):
        return _REFUSING.fullmatch(name) is not None
    return (code.whole or 0) >= _FIRST_REFUSAL
