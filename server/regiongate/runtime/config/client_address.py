"""The section client_address: which one thing says who the client is."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, model_validator

from regiongate.address import (
    CLIENT_ADDRESS_METADATA,
    AddressSource,
    EnvoyMetadata,
    ForwardedFor,
    NamedHeader,
    Peer,
)
from regiongate.documents import Integer, Model, Switch
from regiongate.runtime.config.fields import Header, Range


class ClientAddress(Model):
    """Which one thing says who the client is."""

    source: Literal["envoy", "xff", "header", "peer"] = "envoy"
    metadata: Header = CLIENT_ADDRESS_METADATA
    header: Header | None = None
    trusted_hops: Integer | None = None
    trusted_proxies: list[Range] = Field(default_factory=list)
    envoy_appends: Switch = True

    @model_validator(mode="after")
    def _fits(self) -> ClientAddress:
        wanted = _OPTIONS[self.source]
        stray = sorted(self.model_fields_set - wanted - {"source"})
        if stray:
            raise ValueError(f"expected no {', '.join(stray)} with source {self.source}")
        if self.source == "header" and self.header is None:
            raise ValueError("expected header, the name of the header that holds the address")
        self.resolver()
        return self

    def resolver(self) -> AddressSource:
        """Return the source of the client's address that this section describes."""
        match self.source:
            case "envoy":
                return EnvoyMetadata(self.metadata, tuple(self.trusted_proxies))
            case "xff":
                return ForwardedFor(
                    trusted_hops=self.trusted_hops,
                    trusted_proxies=tuple(self.trusted_proxies),
                    envoy_appends=self.envoy_appends,
                )
            case "header":
                return NamedHeader(self.header or "", tuple(self.trusted_proxies))
        return Peer()


_OPTIONS: Final = {
    "envoy": {"metadata", "trusted_proxies"},
    "xff": {"trusted_hops", "trusted_proxies", "envoy_appends"},
    "header": {"header", "trusted_proxies"},
    "peer": set[str](),
}
