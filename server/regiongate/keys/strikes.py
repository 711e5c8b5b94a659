"""Strikes: refusals that count towards the suspension of a key.

The port between a decision and a key store that can count. A rule with `suspend` makes each of its
refusals of a known key a strike; so many within a time, and the store suspends the key. Nothing on
the way of a Check waits for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from regiongate.policy.model import Suspension


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One refusal of a key.

    Attributes:
        decision_id: of the refusal; counted once, whichever replica saw it.
        key_id: of the key.
        rule: that refused.
        at: when.
        country: where from, ISO 3166-1; empty where it is not known.
        limit: how many strikes within which time suspend the key.
    """

    decision_id: str
    key_id: str
    rule: str
    at: datetime
    country: str
    limit: Suspension


class StrikeCounter(Protocol):
    """The port: what counts strikes."""

    def add(self, strike: Strike) -> None:
        """Take note of a strike; returns at once and never raises."""
        ...
