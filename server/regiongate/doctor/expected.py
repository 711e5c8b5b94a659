"""What regiongate.yaml and policy.yaml rely on Envoy for: the half of the wiring that is ours.

Plain values; how they are written in a file is known where the file is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is relied on.

    Attributes:
        source: client_address.source.
        metadata: the gRPC metadata that holds the client's address, with source envoy.
        header: the header that holds it, with source header.
        trusted_hops: client_address.trusted_hops.
        envoy_appends: client_address.envoy_appends.
        key_headers: the headers that keys are looked for in.
        key_namespaces: the metadata namespaces that they are looked for in.
        key_deadline: seconds that a Check may wait for the key store; 0 where it never does.
        policies: the names that a route may give; None where they are not known.
        reads: the parts of a request that some condition reads: path, headers, sni.
        listen: the addresses that Checks are answered at.
        tls: whether they are answered over TLS.
        client_certificate: whether Envoy must then prove itself (tls.client_ca).
        admin: the address at which the running service tells of itself; empty where none is known.
    """

    source: str = "envoy"
    metadata: str = "x-regiongate-client-address"
    header: str = ""
    trusted_hops: int | None = None
    envoy_appends: bool = True
    key_headers: tuple[str, ...] = ()
    key_namespaces: tuple[str, ...] = ()
    key_deadline: float = 0.0
    policies: frozenset[str] | None = None
    reads: frozenset[str] = frozenset()
    listen: tuple[str, ...] = ()
    tls: bool = False
    client_certificate: bool = False
    admin: str = ""

    @property
    def address_header(self) -> str:
        """The request header that the client's address is taken from; empty where it is not."""
        return {"header": self.header, **_HEADERS}.get(self.source, "")

    @property
    def needed_headers(self) -> Mapping[str, str]:
        """Return the headers that must arrive, each with what it is needed for."""
        needed = dict.fromkeys(self.key_headers, "a key (keys.extract)")
        if self.address_header:
            needed[self.address_header] = f"the client's address (source {self.source})"
        return needed


_HEADERS: Final = {"xff": "x-forwarded-for", "forwarded": "forwarded"}
