"""The section keys: where keys are found in a request, and what is known about them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from regiongate.documents import Integer, Model
from regiongate.keys.cache import Limits as CacheLimits
from regiongate.keys.extraction import Extractor, FromHeader, FromMetadata
from regiongate.keys.stores import opening
from regiongate.runtime.config.fields import Discreet, Duration, Header


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

    deadline: Duration = timedelta(milliseconds=100)
    concurrent: Integer = Field(default=512, gt=0)


class Keys(Model):
    """Where keys are found in a request, and what is known about them."""

    extract: list[Extract] = Field(default_factory=list)
    store: Annotated[Discreet, AfterValidator(opening.check)] | None = None
    pepper_file: str | None = None
    previous_pepper_file: str | None = None
    cache: Cache = Cache()
    lookup: Lookup = Lookup()
    on_store_error: Literal["stale", "deny"] = "stale"

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
