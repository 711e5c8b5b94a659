"""Who is let through a rule, why, on whose word, and until when.

Pure: the time is always an argument. The exemptions of a Check are those of its key and of the
key's organisation; whether a rule may be lifted at all is the rule's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from regiongate.facts import Source
from regiongate.policy.regions import RegionList

EVERY_RULE: Final = "*"


class ExemptionState(StrEnum):
    """Why an exemption does or does not lift a rule, here and now."""

    ACTIVE = "active"
    NOT_YET_ACTIVE = "not yet active"
    ENDED = "ended"
    OTHER_RULE = "for another rule"
    OTHER_COUNTRY = "for other countries"
    NOT_APPLICABLE = "the rule is not exemptable"
    KEY_NOT_ACTIVE = "the key is not active"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """A standing permission to pass a rule.

    Attributes:
        id: what a decision names it by.
        rule: the rule it lifts, or `*` for every rule that can be lifted.
        why: the reason, for whoever reads it later.
        ticket: where it was asked for.
        approved_by: who answers for it.
        ends: from when it lifts nothing more.
        begins: from when it counts; None for always.
        countries: where it counts; None for everywhere, the unknown country included.
    """

    id: str
    rule: str
    why: str
    ticket: str
    approved_by: str
    ends: datetime
    begins: datetime | None = None
    countries: RegionList | None = None

    def state(
        self, rule: str, source: Source, now: datetime, *, exemptable: bool
    ) -> ExemptionState:
        """Say whether the exemption lifts a rule for a source at a moment, and if not, why."""
        if self.rule not in (rule, EVERY_RULE):
            return ExemptionState.OTHER_RULE
        if not exemptable:
            return ExemptionState.NOT_APPLICABLE
        if now >= self.ends:
            return ExemptionState.ENDED
        if self.begins is not None and now < self.begins:
            return ExemptionState.NOT_YET_ACTIVE
        if self.countries is not None and not self.countries.contains(source):
            return ExemptionState.OTHER_COUNTRY
        return ExemptionState.ACTIVE

    def next_change(self, now: datetime) -> datetime | None:
        """Return the next moment at which the exemption begins or ends."""
        return min(
            (moment for moment in (self.begins, self.ends) if moment and moment > now), default=None
        )
