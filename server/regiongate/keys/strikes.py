"""Strikes: refusals that count towards the suspension of a key.

The port between a decision and a key store that can count. A rule with `suspend` makes each of its
refusals of a known key a strike; so many within a time, and the store suspends the key. Nothing on
the way of a Check waits for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How a key stands with a rule: its strikes within the time that counts.

    Attributes:
        strikes: how many.
        first, last: when the earliest and the latest of them were.
        countries: where from, sorted.
        limit: that they are held against.
    """

    key_id: str
    rule: str
    strikes: int
    first: datetime
    last: datetime
    countries: tuple[str, ...]
    limit: Suspension

    @property
    def is_over(self) -> bool:
        """Whether the key is to be suspended."""
        return self.strikes >= self.limit.after


def tally(
    key_id: str, rule: str, limit: Suspension, strikes: Sequence[tuple[float, str]]
) -> Tally | None:
    """Make the tally of strikes; None where there are none.

    Args:
        strikes: when, in seconds since 1970, and from which country.
    """
    if not strikes:
        return None
    moments = [datetime.fromtimestamp(at, UTC) for at, _ in strikes]
    return Tally(
        key_id=key_id,
        rule=rule,
        strikes=len(strikes),
        first=min(moments),
        last=max(moments),
        countries=tuple(sorted({country for _, country in strikes if country})),
        limit=limit,
    )
