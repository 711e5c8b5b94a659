"""What is known about a key and about the organisation it belongs to.

Pure values. A key inherits what its organisation says and may only narrow it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Final

from regiongate.facts import Key
from regiongate.policy.exemptions import Exemption
from regiongate.policy.regions import narrow


class Status(StrEnum):
    """What has become of a key. `expired` is never recorded: the clock says it."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


EXPIRED: Final = "expired"

READY: Final = 8192
"""Records whose facts are kept ready in a process: they take three times as much as a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What an organisation and a key may both say.

    Attributes:
        allowed_countries: ISO 3166 codes; None for no restriction, empty for nowhere.
        denied_countries: ISO 3166 codes.
        exemptions: standing permissions to pass a rule.
    """

    plan: str = ""
    home_country: str = ""
    billing_country: str = ""
    hq_country: str = ""
    ownership_countries: tuple[str, ...] = ()
    allowed_countries: frozenset[str] | None = None
    denied_countries: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    exemptions: tuple[Exemption, ...] = ()

    def narrowed(self, inner: Profile) -> Profile:
        """Return what holds for a key of this organisation: its own word, within ours."""
        return Profile(
            plan=inner.plan or self.plan,
            home_country=inner.home_country or self.home_country,
            billing_country=inner.billing_country or self.billing_country,
            hq_country=inner.hq_country or self.hq_country,
            ownership_countries=inner.ownership_countries or self.ownership_countries,
            allowed_countries=_both(self.allowed_countries, inner.allowed_countries),
            denied_countries=self.denied_countries | inner.denied_countries,
            labels={**self.labels, **inner.labels},
            exemptions=(*inner.exemptions, *self.exemptions),
        )


def _both(outer: frozenset[str] | None, inner: frozenset[str] | None) -> frozenset[str] | None:
    if outer is None or inner is None:
        return inner if outer is None else outer
    return narrow(outer, inner)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A key as it is known, its organisation's word included.

    Attributes:
        id: what logs and headers name it by; never the key.
        org: the organisation's id; empty without one.
        status_reason: why it is not active.
        not_before: the key is unknown before.
        expires: the key is expired from then on.
    """

    id: str
    org: str = ""
    status: Status = Status.ACTIVE
    status_reason: str = ""
    created: datetime | None = None
    not_before: datetime | None = None
    expires: datetime | None = None
    profile: Profile = field(default_factory=Profile)
    _ready: dict[str, Key] | None = field(default=None, init=False, compare=False, repr=False)

    def facts(self, now: datetime) -> Key:
        """Return what a policy sees of the key at a moment."""
        if self.not_before is not None and now < self.not_before:
            return UNKNOWN
        if self.expires is not None and now >= self.expires and self.status is not Status.REVOKED:
            return self._kept_ready(EXPIRED)
        return self._kept_ready(self.status)

    def _kept_ready(self, status: str) -> Key:
        """Return the facts, the same value as long as they are ready: decisions go by that."""
        ready = self._ready
        if ready is None:
            ready = {}
            object.__setattr__(self, "_ready", ready)
            _READY.append(self)
            if len(_READY) > READY:
                object.__setattr__(_READY.popleft(), "_ready", None)
        return ready.get(status) or ready.setdefault(status, self._facts(status))

    def _facts(self, status: str) -> Key:
        profile = self.profile
        return Key(
            found=True,
            presented=True,
            id=self.id,
            org=self.org,
            status=status,
            plan=profile.plan,
            home_country=profile.home_country,
            billing_country=profile.billing_country,
            hq_country=profile.hq_country,
            ownership_countries=profile.ownership_countries,
            allowed_countries=sorted(profile.allowed_countries or ()),
            denied_countries=sorted(profile.denied_countries),
            labels=profile.labels,
            created=self.created,
            expires=self.expires,
            restricted=profile.allowed_countries is not None,
        )


_READY: Final[deque[KeyRecord]] = deque()
"""The records whose facts are ready, the oldest first."""

ABSENT: Final = Key()
"""The request carries no key."""
UNKNOWN: Final = Key(presented=True)
"""The request carries a key that nothing is known about."""


def malformed(problem: str) -> Key:
    """Return what a policy sees of a key that is not exactly one key."""
    return Key(presented=True, problem=problem)


PROFILE_FIELDS: Final = tuple(one.name for one in fields(Profile))
