"""regiongate.yaml as a whole, and its sections of a few lines."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from regiongate.documents import Integer, Model, Number, Switch
from regiongate.runtime.config.client_address import ClientAddress
from regiongate.runtime.config.fields import Delay, Discreet, Listener, Mode, installed
from regiongate.runtime.config.geo import Geo
from regiongate.runtime.config.keys import Keys


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


_ENDPOINT: Final = re.compile(
    r"https?://(?:[^/?#]*@)?(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::[0-9]+)?(?:[/?][^@#]*)?"
)
"""An address of which nobody can be mistaken about where a password is."""


def _endpoint(url: str) -> str:
    try:
        usable = _ENDPOINT.fullmatch(url) and urlsplit(url).port != 0
        (urlsplit(url).hostname or "").encode("idna")
    except ValueError:  # which quotes it
        usable = False
    if not usable:
        forms = "http://[USER:PASSWORD@]HOST[:PORT]/PATH, or https://…"
        raise ValueError(f"expected {forms}; / ? # @ in a password are %2F %3F %23 %40")
    return url


class Tracing(Model):
    """Where spans go: a collector that takes OTLP over HTTP."""

    endpoint: Annotated[Discreet, AfterValidator(_endpoint)]
    sample: Number = Field(default=1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _possible(self) -> Tracing:
        if not installed("opentelemetry.exporter.otlp.proto.http"):
            raise ValueError("expected the otel extra: pip install '.[otel]' in a checkout")
        return self


class Shutdown(Model):
    """How the process stops: it says so, waits until that is heard, and finishes what it has."""

    notice: Delay = timedelta(seconds=2)
    grace: Delay = timedelta(seconds=10)


class Settings(Model):
    """regiongate.yaml."""

    listen: Listen = Listen()
    tls: Tls | None = None
    engine: Literal["auto", "native", "grpcio"] = "auto"
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

    @field_validator("engine")
    @classmethod
    def _engine_fits(cls, engine: str, others: ValidationInfo) -> str:
        if engine == "native" and others.data.get("tls") is not None:
            raise ValueError("expected grpcio or auto where tls is asked for (got native)")
        if engine == "native" and not installed("pygrpc_native"):
            raise ValueError("expected the package pygrpc-native where engine is native")
        return engine
