"""Which key a request carries: exactly one, none, or a reason why that cannot be said.

Pure. The first configured place that holds a key wins; more than one value is an error and never
a guess, because the upstream might guess differently. The key's text goes no further than its
digest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

from regiongate.keys import minting

MAX_LENGTH: Final = 1024
"""Bytes of a key."""

_VISIBLE: Final = rb"[\x21-\x2b\x2d-\x7e]"
"""RFC 9110's field characters without white space and the comma, which Envoy joins repeated headers
with."""
_KEY: Final = re.compile(rb"%b{1,%d}" % (_VISIBLE, MAX_LENGTH))


class Presented(NamedTuple):
    """What a request presents as its key.

    Attributes:
        key: the key; None when there is none, or not exactly one.
        problem: why what is there is not exactly one key; empty when it is, or nothing is there.
    """

    key: bytes | None = None
    problem: str = ""

    def __repr__(self) -> str:
        return f"Presented({'a key' if self.key else self.problem or 'nothing'})"


NOTHING: Final = Presented()

_NO_IDENTITY: Final = "the verified identity is not one text of a usable length"

_SPACE: Final = b" \t"
"""Optional white space of RFC 9110, section 5.6.3."""

MAX_COMMAS: Final = 32
"""Commas in a header with a scheme; the longest that is in use, Digest, has about ten."""

_ODD: Final = re.compile(rb"[^\x20-\x7e\t]")
"""Bytes that no credential has, and that some upstreams take for white space."""

MetadataValue = Mapping[str, Any]
"""Envoy's filter metadata: namespaces of nested mappings, lists, text (as bytes), numbers."""


class Sent(Protocol):
    """What a request carries, as far as a key may be in it."""

    def header(self, name: str) -> Sequence[bytes]:
        """Return the values of a header, one for each time it was sent, by lower-case name."""
        ...

    @property
    def metadata(self) -> MetadataValue:
        """Envoy's filter metadata, by namespace."""
        ...


@dataclass(frozen=True, slots=True)
class FromHeader:
    """A key in a header.

    Attributes:
        header: the lower-case name.
        scheme: of an Authorization header (RFC 9110, section 11.4), in any case; a value of
            another scheme is no key. Empty where the whole value is the key.
    """

    header: str
    scheme: str = ""
    _usual: re.Pattern[bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # What a header of the scheme and one key matches; nothing else can be read into it.
        pattern = rb"%b +(%b)" % (re.escape(self.scheme.encode()), _KEY.pattern)
        object.__setattr__(self, "_usual", re.compile(pattern, re.IGNORECASE))

    def find(self, sent: Sent) -> Presented:
        """Find the key in the headers."""
        values = sent.header(self.header)
        if not values:
            return NOTHING
        if self.scheme:
            usual = self._usual.fullmatch(values[0]) if len(values) == 1 else None
            return Presented(usual[1]) if usual else self._credentials(values)
        if len(values) > 1:
            return Presented(problem="the key header is sent more than once")
        return _exactly_one(values[0])

    def objection(self, key: bytes) -> str:
        """Return why a key is never found in the header; empty where it is."""
        return _exactly_one(key).problem

    def sent(self, key: str) -> tuple[str, bytes]:
        """Return the header, name and value, that a client would send a key in."""
        return self.header, f"{self.scheme} {key}".strip().encode()

    def _credentials(self, values: Sequence[bytes]) -> Presented:
        # Envoy joins a repeated Authorization header with commas: a credential may stand behind
        # one. Searched in C, as a client may send tens of thousands of commas.
        sent = b",".join(values)
        if sent.count(b",") > MAX_COMMAS or _ODD.search(sent):
            return Presented(problem="the key header is no list of credentials")
        if not _mention(self.scheme).search(sent):
            return NOTHING
        if len(values) > 1:
            return Presented(problem="the key header is sent more than once")
        value = sent.strip(_SPACE)
        found = _mention(self.scheme).match(value)
        if found is None or found.end() != len(self.scheme):
            return Presented(problem="the key header holds more than one credential")
        return _exactly_one(value[len(self.scheme) :].strip(_SPACE))


@cache
def _mention(scheme: str) -> re.Pattern[bytes]:
    """Return what finds a scheme where a credential begins; also one with nothing behind it."""
    pattern = rb"(?:^|,)[ \t]*%b(?=[ \t,]|\Z)" % re.escape(scheme.encode())
    return re.compile(pattern, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FromMetadata:
    """An identity that an earlier Envoy filter has verified.

    Attributes:
        namespace: of the filter, for instance envoy.filters.http.jwt_authn.
        path: the fields that lead to the text.
    """

    namespace: str
    path: tuple[str, ...]

    def find(self, sent: Sent) -> Presented:
        """Find the identity in the metadata."""
        value: Any = sent.metadata.get(self.namespace)
        for part in self.path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            return NOTHING
        problem = self.objection(value) if isinstance(value, bytes) else _NO_IDENTITY
        return Presented(problem=problem) if problem else Presented(value)

    def objection(self, key: bytes) -> str:
        """Return why a key is never found in the metadata; empty where it is."""
        return "" if 0 < len(key) <= MAX_LENGTH else _NO_IDENTITY

    def sent(self, _: str) -> None:
        """No header carries a verified identity."""


Extractor = FromHeader | FromMetadata


def objection(extractors: Sequence[Extractor], key: bytes) -> str:
    """Return why no request can carry a key in any of the places; empty where one can."""
    objections = [one.objection(key) for one in extractors]
    return objections[0] if all(objections) and objections else ""


def unusable(extractors: Sequence[Extractor], key: bytes) -> str:
    """Return why it makes no sense to keep a key; empty where it does."""
    if minting.is_mistyped(key):
        return f"expected a key as it was printed: after {minting.PREFIX} it has a checksum"
    problem = objection(extractors, key)
    return f"expected a key that a request can carry ({problem})" if problem else ""


def extract(extractors: Sequence[Extractor], sent: Sent) -> Presented:
    """Find the key that a request carries.

    The first place that holds one wins. Two headers that hold different keys are refused all the
    same: nobody can tell which of them the upstream will go by.
    """
    found = NOTHING
    in_headers = NOTHING
    for extractor in extractors:
        presented = extractor.find(sent)
        if presented is NOTHING:
            continue
        if isinstance(extractor, FromHeader):
            if presented.problem:
                return presented
            if in_headers is not NOTHING and in_headers.key != presented.key:
                return Presented(problem="two headers hold different keys")
            in_headers = presented
        if found is NOTHING:
            found = presented
    return found


def _exactly_one(value: bytes) -> Presented:
    if _KEY.fullmatch(value):
        return Presented(value)
    if not value:
        return Presented(problem="the key is empty")
    if len(value) > MAX_LENGTH:
        return Presented(problem=f"the key is longer than {MAX_LENGTH} bytes")
    return Presented(problem="the key holds a comma, a space or a character no key has")
