"""The shape of regiongate.yaml, and what its sections mean.

Nothing here opens a file but the configuration itself; `parts` makes the things it names.
"""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from regiongate.address import (
    CLIENT_ADDRESS_METADATA,
    AddressSource,
    EnvoyMetadata,
    ForwardedFor,
    NamedHeader,
    Peer,
)
from regiongate.countries import countries
from regiongate.documents import Document, DocumentError, Model, check, parse, shown
from regiongate.durations import delay, duration
from regiongate.keys.extraction import Extractor, FromHeader, FromMetadata

Duration = Annotated[timedelta, BeforeValidator(duration)]
Delay = Annotated[timedelta, BeforeValidator(delay)]
Header = Annotated[str, Field(pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]+$", max_length=128)]
"""A header's name, lower-case as Envoy sends it."""


def _listener(text: str) -> str:
    if text.startswith("unix:") and len(text) > len("unix:"):
        return text
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 2**16):
        raise ValueError(f"expected host:port or unix:/path (got {shown(text)})")
    return text


def _network(text: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text) if isinstance(text, str) else _not_a_range(text)
    except ValueError as error:
        raise ValueError(f"expected an address range such as 10.0.0.0/8 ({error})") from None


def _not_a_range(value: Any) -> IPv4Network:
    raise ValueError(f"got {shown(value)}")


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"expected an IP address (got {shown(text)})") from None


def _country(text: str) -> str:
    if text not in countries():
        raise ValueError(f"expected an ISO 3166-1 code such as US (got {shown(text)})")
    return text


Listener = Annotated[str, AfterValidator(_listener)]
Range = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Probe = Annotated[str, AfterValidator(_address)]
Country = Annotated[str, AfterValidator(_country)]


class Listen(Model):
    """Where Envoy and people reach the process."""

    grpc: Annotated[list[Listener], Field(min_length=1)] = Field(
        default_factory=lambda: ["127.0.0.1:9191"]
    )
    admin: Listener | None = None


class Tls(Model):
    """What the grpcio engine proves itself with, and whom it asks to."""

    cert: str
    key: str
    client_ca: str | None = None


class ClientAddress(Model):
    """Which one thing says who the client is."""

    source: Literal["envoy", "xff", "header", "peer"] = "envoy"
    metadata: Header = CLIENT_ADDRESS_METADATA
    header: Header | None = None
    trusted_hops: int | None = None
    trusted_proxies: list[Range] = Field(default_factory=list)
    envoy_appends: bool = True

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
                return EnvoyMetadata(self.metadata)
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
    "envoy": {"metadata"},
    "xff": {"trusted_hops", "trusted_proxies", "envoy_appends"},
    "header": {"header", "trusted_proxies"},
    "peer": set[str](),
}


class Geo(Model):
    """The databases, and when one is fit for use."""

    country: str
    asn: str | None = None
    anonymous: str | None = None
    max_age: Duration | None = None
    on_stale: Literal["serve", "unknown"] = "serve"
    probes: dict[Probe, Country] = Field(default_factory=dict)
    require_c_extension: bool = False


class Extract(Model):
    """One place where a key may be: a header or metadata."""

    header: Header | None = None
    scheme: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")] | None = None
    metadata: Annotated[str, Field(min_length=1)] | None = None
    path: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Extract:
        if (self.header is None) == (self.metadata is None):
            raise ValueError("expected exactly one of header and metadata")
        if (self.metadata is None) != (self.path is None):
            raise ValueError("expected path exactly where metadata is")
        if self.scheme is not None and self.header is None:
            raise ValueError("expected scheme only with header")
        return self

    def extractor(self) -> Extractor:
        """Return the place that this entry describes."""
        if self.header is not None:
            return FromHeader(self.header, self.scheme or "")
        return FromMetadata(self.metadata or "", tuple(self.path or ()))


class Cache(Model):
    """How much of a remote store is remembered, and how long."""

    size: int = Field(default=100_000, gt=0)
    ttl: Duration = timedelta(seconds=30)
    negative_ttl: Duration = timedelta(seconds=5)


def _store(url: str) -> str:
    if not (url.startswith("file:") and len(url) > len("file:")):
        raise ValueError(
            f"expected file:PATH, the one kind of store there is yet (got {shown(url)})"
        )
    return url


class Keys(Model):
    """Where keys are found in a request, and what is known about them."""

    extract: list[Extract] = Field(default_factory=list)
    store: Annotated[str, AfterValidator(_store)] | None = None
    pepper_file: str | None = None
    cache: Cache = Cache()
    on_store_error: Literal["stale", "deny"] = "stale"


class DecisionLog(Model):
    """Where decisions are written down."""

    path: str = "-"
    sample_allowed: float = Field(default=1.0, ge=0, le=1)
    address: Literal["full", "truncated"] = "full"


class Shutdown(Model):
    """How the process stops: it says so, waits until that is heard, and finishes what it has."""

    notice: Delay = timedelta(seconds=2)
    grace: Delay = timedelta(seconds=10)


class Settings(Model):
    """regiongate.yaml."""

    listen: Listen = Listen()
    engine: Literal["auto", "native", "grpcio"] = "auto"
    tls: Tls | None = None
    client_address: ClientAddress = ClientAddress()
    geo: Geo
    keys: Keys = Keys()
    policy: str
    on_error: Literal["deny", "defer"] = "deny"
    decision_log: DecisionLog | None = None
    shutdown: Shutdown = Shutdown()

    @model_validator(mode="after")
    def _engine_fits(self) -> Settings:
        if self.tls is not None and self.engine == "native":
            raise ValueError("expected engine grpcio or auto where tls is asked for (got native)")
        return self


def read(path: Path) -> Settings:
    """Read regiongate.yaml.

    Raises:
        DocumentError: with every problem found; also when the file cannot be read.
    """
    return check(document(path), Settings)


def document(path: Path) -> Document:
    """Open and parse a YAML file.

    Raises:
        DocumentError: it cannot be read, is not UTF-8, or is not YAML.
    """
    return parse(str(path), text(path))


def text(path: Path) -> str:
    """Read a text file.

    Raises:
        DocumentError: it cannot be read or is not UTF-8.
    """
    nothing = Document(str(path), None, None)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DocumentError(
            [nothing.problem((), f"expected a readable file ({error.strerror})")]
        ) from None
    except UnicodeDecodeError as error:
        raise DocumentError([nothing.problem((), f"expected UTF-8 ({error.reason})")]) from None
