"""A request's headers, in either of the two forms that Envoy sends them in.

Of two dozen headers a decision looks at two or three, so that little is made of the others. What
Envoy writes one by one is read here, where that is faster; written in any other way it is left to
protobuf.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
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

_COMPILED: Final = not __file__.endswith(".py")
"""Interpreted, what protobuf makes of headers takes less than reading them here; compiled, more."""


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
        _few(sent)
        self._sent = sent
        self.names = _acceptable("\n".join(sent))

    def get(self, name: str) -> Sequence[bytes]:
        """Return the values of a header by its lower-case name; none where it was not sent."""
        value = self._sent.get(name)
        return () if value is None else (value,)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sent)

    def __len__(self) -> int:
        return len(self._sent)


class Listed:
    """Headers one by one, as protobuf reads them; otherwise the same."""

    __slots__ = ("_by_name", "_sent", "names")

    def __init__(self, sent: Sequence[pb.HeaderValue]) -> None:
        """Take what Envoy sent.

        Raises:
            WireError: Envoy cannot have sent these, or they are more than is ever judged.
        """
        _few(sent)
        self._sent = sent
        self._by_name = {one.key: one for one in sent}
        self.names = _acceptable("\n".join(self._by_name))

    def get(self, name: str) -> Sequence[bytes]:
        """Return the values of a header by its lower-case name, in the order they were sent."""
        last = self._by_name.get(name)
        if last is None:
            return ()
        if len(self._by_name) == len(self._sent):
            return (last.raw_value or last.value,)
        return [one.raw_value or one.value for one in self._sent if one.key == name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


class Scanned:
    """Headers one by one, each of another name; otherwise the same."""

    __slots__ = ("_values", "names")

    def __init__(self, values: Mapping[bytes, bytes]) -> None:
        """Take what Envoy sent.

        Raises:
            UnicodeDecodeError: a name is no text.
            WireError: Envoy cannot have sent these.
        """
        self._values = values
        self.names = _acceptable(b"\n".join(values).decode())

    def get(self, name: str) -> Sequence[bytes]:
        """Return the value of a header by its lower-case name; none where it was not sent."""
        value = self._values.get(name.encode())
        return () if value is None else (value,)

    def __iter__(self) -> Iterator[str]:
        return iter([name.decode() for name in self._values])

    def __len__(self) -> int:
        return len(self._values)


Headers = Joined | Listed | Scanned


def one_by_one(sent: bytes) -> Listed | Scanned:
    """Read headers that Envoy sends one by one, as encode_raw_headers has it.

    Args:
        sent: a serialised HeaderMap.

    Raises:
        DecodeError, UnicodeDecodeError: the bytes are none.
        WireError: Envoy cannot have sent these, or they are more than is ever judged.
    """
    values = scanned(sent) if _COMPILED else None
    return Listed(pb.HeaderMap.FromString(sent).headers) if values is None else Scanned(values)


def scanned(sent: bytes) -> dict[bytes, bytes] | None:
    """Read a HeaderMap of the form that Envoy writes: of each header its name and its raw value.

    Returns:
        The value of each header by its name. None where the bytes are of another form, no HeaderMap
        at all, more than is ever judged, or of headers that repeat.
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
    return values if at == end and count == len(values) <= MAX_HEADERS else None


def _longer(low: int, high: int) -> int:
    """Return a length of two bytes; one of more bytes becomes a length that nothing has."""
    return (low & _LONGEST) + (high << 7) if high <= _LONGEST else _NO_LENGTH


_NO_LENGTH: Final = -(1 << 32)


def _acceptable(names: str) -> str:
    if names != names.lower() or not names.isascii():
        raise WireError("expected the names of headers in lower case, as Envoy has them")
    return names


def _few(headers: Sized) -> None:
    if len(headers) > MAX_HEADERS:
        raise WireError(f"expected at most {MAX_HEADERS} headers (got more)")
