"""The strike that an answered Check is, where it is one."""

from __future__ import annotations

from regiongate.extauthz.service import Event
from regiongate.keys.record import Status
from regiongate.keys.strikes import Strike


def strike(event: Event) -> Strike | None:
    """Return the strike of a refusal that counts towards the suspension of an active key."""
    judged = event.judged
    if judged is None or judged.decision.suspension is None:
        return None
    if judged.key.status != Status.ACTIVE:
        return None
    return Strike(
        decision_id=event.call.decision_id,
        key_id=judged.key.id,
        rule=judged.decision.rule,
        at=event.call.time,
        country=event.told.country,
        limit=judged.decision.suspension,
    )
