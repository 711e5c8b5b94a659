"""The section geo: the databases, and when one is fit for use."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from regiongate.documents import Model, Switch
from regiongate.runtime.config.fields import Country, Duration, Probe


class Geo(Model):
    """The databases, and when one is fit for use."""

    country: str
    asn: str | None = None
    anonymous: str | None = None
    max_age: Duration | None = None
    on_stale: Literal["serve", "unknown"] = "serve"
    probes: dict[Probe, Country] = Field(default_factory=dict)
    require_c_extension: Switch = False
