"""What a Check, and the call that brought it, say about the client.

Decoded when it is asked for: of many headers one or two ever are. Nothing here believes any of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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

    def header(self, name: str) -> Sequence[str]:
        """Return the values of a header of the client's."""
        return [value.decode(errors="replace") for value in self._check.header(name)]

    def initial_metadata(self, name: str) -> Sequence[str]:
        """Return the values of metadata of the call, but for what is no text."""
        return [value for key, value in self._metadata if key == name and isinstance(value, str)]
