"""What a Check, and the call that brought it, say about the client.

Decoded when it is asked for: of many headers one or two ever are. Nothing here believes any of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from regiongate.extauthz.wire import Check

Metadata = Iterable[tuple[str, str | bytes]]
"""The metadata of the gRPC call that carries a Check."""


class CallEvidence:
    """The evidence of one call.

    Args:
        check: what is asked.
        metadata: of the gRPC call that brought it.
    """

    __slots__ = ("_check", "_metadata")

    def __init__(self, check: Check, metadata: Metadata) -> None:
        self._check = check
        self._metadata = metadata

    @property
    def peer(self) -> str:
        """The address in attributes.source."""
        return self._check.peer

    @property
    def headers(self) -> Mapping[str, Sequence[str]]:
        """The client's request headers."""
        return _Headers(self._check)

    @property
    def metadata(self) -> Mapping[str, Sequence[str]]:
        """The metadata of the call, but for what is no text."""
        return _Texts(self._metadata)


class _Headers(Mapping[str, Sequence[str]]):
    __slots__ = ("_check",)

    def __init__(self, check: Check) -> None:
        self._check = check

    def __getitem__(self, name: str) -> Sequence[str]:
        return [value.decode(errors="replace") for value in self._check.headers[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._check.headers)

    def __len__(self) -> int:
        return len(self._check.headers)


class _Texts(Mapping[str, Sequence[str]]):
    __slots__ = ("_metadata",)

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def __getitem__(self, name: str) -> Sequence[str]:
        values: Sequence[str] | None = self.get(name)
        if values is None:
            raise KeyError(name)
        return values

    def get(self, name: str, default: Any = None) -> Any:
        """Return the texts of a name; of one that has none the default."""
        values = [value for key, value in self._metadata if key == name and isinstance(value, str)]
        return values or default

    def __iter__(self) -> Iterator[str]:
        texts = (name for name, value in self._metadata if isinstance(value, str))
        return iter(dict.fromkeys(texts))

    def __len__(self) -> int:
        return sum(1 for _ in self)
