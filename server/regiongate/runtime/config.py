"""The shape of regiongate.yaml, and what its sections mean.

Nothing here opens a file but the configuration itself; `parts` makes the things it names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
from regiongate.documents import (
    Document,
    DocumentError,
    Integer,
    Model,
    Number,
    Switch,
    check,
    parse,
    shown,
)
from regiongate.durations import delay, duration
from regiongate.keys.cache import Limits as CacheLimits
from regiongate.keys.digest import Digester
from regiongate.keys.extraction import Extractor, FromHeader, FromMetadata
from regiongate.keys.stores import opening

Duration = Annotated[timedelta, BeforeValidator(duration)]
Delay = Annotated[timedelta, BeforeValidator(delay)]
Header = Annotated[str, Field(pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]+$", max_length=128)]
"""A header's name, lower-case as Envoy sends it."""


_PORT: Final = re.compile(r"[0-9]{1,5}")


def _listener(text: str) -> str:
    if text.startswith("unix:") and len(text) > len("unix:"):
        return text
    host, colon, port = text.rpartition(":")
    if not (colon and host and _PORT.fullmatch(port) and int(port) < 2**16):
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


def _mode(text: Any) -> int:
    if isinstance(text, str) and re.fullmatch("0?[0-7]{3}", text):
        return int(text, 8)
    raise ValueError(f'expected octal digits in quotes such as "0660" (got {shown(text)})')


Listener = Annotated[str, AfterValidator(_listener)]
Mode = Annotated[int, BeforeValidator(_mode)]
"""The permissions of a file."""
Range = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Probe = Annotated[str, AfterValidator(_address)]
Country = Annotated[str, AfterValidator(_country)]


class Listen(Model):
    """Where Envoy and people reach the process; Envoy's each has a worker process of its own."""

    grpc: Annotated[list[Listener], Field(min_length=1)] = Field(
        default_factory=lambda: ["127.0.0.1:9191"]
    )
    admin: Listener | None = None
    socket_mode: Mode = 0o660

    @model_validator(mode="after")
    def _distinct(self) -> Listen:
        fixed = [one for one in (*self.grpc, self.admin) if one and not one.endswith(":0")]
        for one in fixed:
            if fixed.count(one) > 1:
                raise ValueError(f"expected every address once (got {one} more than once)")
        return self


class Tls(Model):
    """What the grpcio engine proves itself with, whom it asks to, and who may ask."""

    cert: str
    key: str
    client_ca: str | None = None
    clients: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _verified(self) -> Tls:
        if self.clients is not None and self.client_ca is None:
            raise ValueError("expected client_ca where clients are named: it vouches for them")
        return self


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


class Geo(Model):
    """The databases, and when one is fit for use."""

    country: str
    asn: str | None = None
    anonymous: str | None = None
    max_age: Duration | None = None
    on_stale: Literal["serve", "unknown"] = "serve"
    probes: dict[Probe, Country] = Field(default_factory=dict)
    require_c_extension: Switch = False


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

    size: Integer = Field(default=100_000, gt=0)
    ttl: Duration = timedelta(seconds=30)
    negative_ttl: Duration = timedelta(seconds=5)


class Lookup(Model):
    """What a Check waits for when its key is not remembered."""

    deadline: Duration = timedelta(milliseconds=50)
    concurrent: Integer = Field(default=64, gt=0)


class Keys(Model):
    """Where keys are found in a request, and what is known about them."""

    extract: list[Extract] = Field(default_factory=list)
    store: Annotated[str, AfterValidator(opening.check)] | None = None
    pepper_file: str | None = None
    previous_pepper_file: str | None = None
    cache: Cache = Cache()
    lookup: Lookup = Lookup()
    on_store_error: Literal["stale", "deny"] = "stale"

    def digester(self, base: Path, read: Callable[[Path], str]) -> Digester:
        """Make what digests keys.

        Args:
            base: the folder that paths are relative to.
            read: returns the text of a file.
        """

        def pepper(name: str | None) -> bytes:
            return read(base / name).strip().encode() if name is not None else b""

        if self.previous_pepper_file is None:
            return Digester(pepper(self.pepper_file))
        return Digester(pepper(self.pepper_file), Digester(pepper(self.previous_pepper_file)))

    def limits(self) -> CacheLimits:
        """Return what a cache of the store goes by."""
        return CacheLimits(
            size=self.cache.size,
            ttl=self.cache.ttl,
            negative_ttl=self.cache.negative_ttl,
            deadline=self.lookup.deadline,
            concurrent=self.lookup.concurrent,
            deny_when_away=self.on_store_error == "deny",
        )


class DecisionLog(Model):
    """Where decisions are written down."""

    path: str = "-"
    sample_allowed: Number = Field(default=1.0, ge=0, le=1)
    address: Literal["full", "truncated", "hmac"] = "full"
    hmac_key_file: str | None = None

    @model_validator(mode="after")
    def _keyed(self) -> DecisionLog:
        if (self.address == "hmac") != (self.hmac_key_file is not None):
            raise ValueError("expected hmac_key_file exactly where address is hmac")
        return self


class Limits(Model):
    """How much is taken on at once."""

    calls: Integer = Field(default=1000, gt=0)
    streams: Integer = Field(default=1024, gt=0)


class Metrics(Model):
    """What is counted beyond the rest."""

    countries: Switch = False


class Tracing(Model):
    """Where spans go: a collector that takes OTLP over HTTP."""

    endpoint: Annotated[str, Field(pattern=r"^https?://")]
    sample: Number = Field(default=1.0, ge=0, le=1)


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
    limits: Limits = Limits()
    metrics: Metrics = Metrics()
    tracing: Tracing | None = None
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
    except ValueError as error:  # a NUL in the path
        raise DocumentError([nothing.problem((), f"expected a readable file ({error})")]) from None
