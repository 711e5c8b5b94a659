"""The section client_address: which one thing says who the client is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_network
from typing import Annotated, Final, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from regiongate.address import (
    CLIENT_ADDRESS_METADATA,
    AddressSource,
    EnvoyMetadata,
    Form,
    Forwarded,
    ForwardedFor,
    NamedHeader,
    Network,
    Peer,
)
from regiongate.documents import DocumentError, Integer, Model, Path, Problem, Switch
from regiongate.runtime.config.fields import Header, Range


class RangeFile(Model):
    """Ranges kept in a file of their own."""

    file: Annotated[str, Field(min_length=1)]
    service: Annotated[str, Field(min_length=1)] | None = None


def _kind(value: object) -> str:
    return "a file" if isinstance(value, dict | RangeFile) else "a range"


Ranges = Annotated[
    Annotated[Range, Tag("a range")] | Annotated[RangeFile, Tag("a file")], Discriminator(_kind)
]
"""A range, or a file of ranges."""


class ClientAddress(Model):
    """Which one thing says who the client is."""

    source: Literal["envoy", "xff", "forwarded", "header", "peer"] = "envoy"
    metadata: Header = CLIENT_ADDRESS_METADATA
    header: Header | None = None
    trusted_hops: Integer | None = None
    trusted_proxies: list[Ranges] = Field(default_factory=list)
    envoy_appends: Switch = True
    accept: list[Form] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fits(self) -> ClientAddress:
        wanted = _OPTIONS[self.source]
        stray = sorted(self.model_fields_set - wanted - {"source"})
        if stray:
            raise ValueError(f"expected no {', '.join(stray)} with source {self.source}")
        if self.source == "header" and self.header is None:
            raise ValueError("expected header, the name of the header that holds the address")
        self.resolver(self.proxies(lambda _: _SOME_RANGE))
        return self

    @property
    def lists(self) -> tuple[str, ...]:
        """The files that ranges of trusted proxies are kept in, as they are written."""
        return tuple(one.file for one in self.trusted_proxies if isinstance(one, RangeFile))

    def key_of(self, one: RangeFile) -> Path:
        """Return the key of the configuration that names a file of ranges."""
        index = self.trusted_proxies.index(one)
        return ("client_address", "trusted_proxies", index, "file")

    def proxies(self, read: Callable[[RangeFile], Iterable[Network]]) -> tuple[Network, ...]:
        """Return the ranges of all trusted proxies.

        Args:
            read: reads a file of ranges.

        Raises:
            DocumentError: with what is wrong in every file.
        """
        found: list[Network] = []
        problems: list[Problem] = []
        for one in self.trusted_proxies:
            try:
                found += read(one) if isinstance(one, RangeFile) else [one]
            except DocumentError as error:
                problems += error.problems
        if problems:
            raise DocumentError(problems)
        return tuple(found)

    def resolver(self, proxies: Sequence[Network]) -> AddressSource:
        """Return the source of the client's address that this section describes.

        Args:
            proxies: the ranges of all trusted proxies.
        """
        ranges, accept = tuple(proxies), frozenset(self.accept)
        match self.source:
            case "envoy":
                return EnvoyMetadata(self.metadata, ranges)
            case "xff":
                return ForwardedFor(self.trusted_hops, ranges, self.envoy_appends, accept)
            case "forwarded":
                return Forwarded(self.trusted_hops, ranges, accept)
            case "header":
                return NamedHeader(self.header or "", ranges, accept)
        return Peer()


_OPTIONS: Final = {
    "envoy": {"metadata", "trusted_proxies"},
    "xff": {"trusted_hops", "trusted_proxies", "envoy_appends", "accept"},
    "forwarded": {"trusted_hops", "trusted_proxies", "accept"},
    "header": {"header", "trusted_proxies", "accept"},
    "peer": set[str](),
}

_SOME_RANGE: Final = (ip_network("192.0.2.0/24"),)
"""Stands for what a file holds while it has not been read; that is never nothing."""
