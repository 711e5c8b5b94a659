"""A request's headers, in either of the two forms that Envoy sends them in.

Of two dozen headers a decision looks at two or three, so that nothing is made of the others. What
Envoy writes is read here; the same message written in any other way is left to protobuf.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from regiongate._pb import ext_authz_pb2 as pb

MAX_HEADERS: Final = 1000
"""Envoy's own default is 100."""

_HEADERS: Final = 1 << 3 | 2
_KEY: Final = 1 << 3 | 2
_RAW_VALUE: Final = 3 << 3 | 2
"""How these fields begin on the wire: the field's number, and that a length follows."""

_LONGEST: Final = 0x7F
"""The longest length that takes one byte; a longer one has seven bits in each."""


class WireError(ValueError):
    """The bytes are no CheckRequest that can be judged; the message says why."""


class Joined:
    """Headers as Envoy sends them by default: those of one name are joined with commas.

    Attributes:
        names: all of them, one a line.
    """

    __slots__ = ("_sent", "names")

    def __init__(self, sent: Mapping[str, bytes]) -> None:
        """Take what Envoy sent.

        Raises:
            WireError: Envoy cannot have sent these, or they are more than is ever judged.
        """
        self._sent = sent
        self.names = _acceptable("\n".join(sent), len(sent))

    def get(self, name: str) -> Sequence[bytes]:
        """Return the values of a header by its lower-case name; none where it was not sent."""
        value = self._sent.get(name)
        return () if value is None else (value,)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sent)

    def __len__(self) -> int:
        return len(self._sent)


class Listed:
    """Headers one by one, as they came: what Envoy sends with encode_raw_headers.

    Attributes:
        names: all of them, one a line.
    """

    __slots__ = ("_all", "_repeated", "_sent", "_values", "names")

    def __init__(self, sent: bytes) -> None:
        """Take what Envoy sent.

        Args:
            sent: a serialised HeaderMap.

        Raises:
            DecodeError: the bytes are none.
            WireError: Envoy cannot have sent these, or they are more than is ever judged.
        """
        self._sent = sent
        self._values, count = _as_envoy_writes(sent) or _as_protobuf_reads(sent)
        self._repeated = count > len(self._values)
        self._all: dict[bytes, list[bytes]] = {}
        self.names = _acceptable(b"\n".join(self._values).decode(errors="replace"), count)

    def get(self, name: str) -> Sequence[bytes]:
        """Return the values of a header by its lower-case name, in the order they were sent."""
        value = self._values.get(name.encode())
        if value is None:
            return ()
        return self._repetitions()[name.encode()] if self._repeated else (value,)

    def __iter__(self) -> Iterator[str]:
        return iter([name.decode() for name in self._values])

    def __len__(self) -> int:
        return len(self._values)

    def _repetitions(self) -> dict[bytes, list[bytes]]:
        """Return every value of every header; worked out where one is sent twice, and is asked."""
        if not self._all:
            for one in pb.HeaderMap.FromString(self._sent).headers:
                self._all.setdefault(one.key.encode(), []).append(one.raw_value or one.value)
        return self._all


Headers = Joined | Listed

_Read = tuple[dict[bytes, bytes], int]
"""The last value of each header by its name, and how many headers there are."""


def _as_envoy_writes(sent: bytes) -> _Read | None:
    """Read a HeaderMap of the form that Envoy writes: of each header its name and its raw value.

    Returns:
        None where the bytes are of another form, or no HeaderMap at all.
    """
    values: dict[bytes, bytes] = {}
    count, at, end = 0, 0, len(sent)
    try:
        while at < end and count <= MAX_HEADERS:
            size, key = sent[at + 1], at + 2
            if size > _LONGEST:
                size, key = _longer(size, sent[key]), key + 1
            length, name, stop = sent[key + 1], key + 2, key + size
            value = name + length
            if sent[at] != _HEADERS or sent[key] != _KEY or length > _LONGEST:
                return None
            if value == stop:  # An empty value is not written.
                values[sent[name:value]] = b""
            else:
                size, begin = sent[value + 1], value + 2
                if size > _LONGEST:
                    size, begin = _longer(size, sent[begin]), begin + 1
                if sent[value] != _RAW_VALUE or begin + size != stop:
                    return None
                values[sent[name:value]] = sent[begin:stop]
            count, at = count + 1, stop
    except IndexError:
        return None
    return (values, count) if at == end else None


def _longer(low: int, high: int) -> int:
    """Return a length of two bytes; one of more bytes becomes a length that nothing has."""
    return (low & _LONGEST) + (high << 7) if high <= _LONGEST else _NO_LENGTH


_NO_LENGTH: Final = -(1 << 32)


def _as_protobuf_reads(sent: bytes) -> _Read:
    headers = pb.HeaderMap.FromString(sent).headers
    _few(len(headers))
    return {one.key.encode(): one.raw_value or one.value for one in headers}, len(headers)


def _acceptable(names: str, count: int) -> str:
    _few(count)
    if names != names.lower() or not names.isascii():
        raise WireError("expected the names of headers in lower case, as Envoy has them")
    return names


def _few(count: int) -> None:
    if count > MAX_HEADERS:
        raise WireError(f"expected at most {MAX_HEADERS} headers (got more)")
