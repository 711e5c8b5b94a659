"""The section geo.update: where new databases come from, and when they are asked for."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from regiongate.documents import Integer, Model
from regiongate.geo.update.catalogue import Vendor, vendor
from regiongate.runtime.config.fields import Duration

LICENSE_KEY: Final = "REGIONGATE_MAXMIND_LICENSE_KEY"
"""The variable of the environment that may hold MaxMind's licence key."""

LEAST: Final = timedelta(minutes=1)
_BASE: Final = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?")


def _source(name: str) -> str:
    vendor(name)
    return name


def _seldom(every: timedelta) -> timedelta:
    if every < LEAST:
        raise ValueError("expected at least a minute between two updates; vendors count them")
    return every


def _base(address: str) -> str:
    if not _BASE.fullmatch(address):
        # Not shown: what is wrong may be that it holds a password.
        raise ValueError(
            "expected an address such as https://mirror.example/path,"
            " without a name, a password or a query"
        )
    return address


Source = Annotated[str, AfterValidator(_source)]
Base = Annotated[str, AfterValidator(_base)]
"""The address of a mirror."""
Interval = Annotated[Duration, AfterValidator(_seldom)]


class MaxMind(Model):
    """The account that MaxMind's databases are fetched with."""

    account_id: Integer = Field(gt=0)
    license_key_file: Annotated[str, Field(min_length=1)] | None = None


class Update(Model):
    """Where new databases come from, and when they are asked for."""

    every: Interval | None = None
    sources: Annotated[dict[str, Source], Field(min_length=1)]
    maxmind: MaxMind | None = None
    mirrors: dict[Vendor, Base] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_an_account(self) -> Update:
        if self.maxmind is None and "maxmind" in map(vendor, self.sources.values()):
            raise ValueError("expected maxmind with an account_id where a source is MaxMind's")
        return self
