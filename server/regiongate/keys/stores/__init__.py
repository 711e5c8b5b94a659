"""Where key records are kept: one port, and a module for each kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from regiongate.keys.record import KeyRecord
from regiongate.policy.exemptions import Exemption


class KeyStore(Protocol):
    """The port: what the rest of the service asks of a store."""

    @property
    def version(self) -> str:
        """Name the state of the store that answers come from, for decision records."""
        ...

    async def find(self, digest: bytes) -> KeyRecord | None:
        """Return the record of a key by its digest; None when the key is unknown."""
        ...

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        """Yield every exemption there is, with the id of a key that it belongs to."""
        ...
