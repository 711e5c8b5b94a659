"""Decisions that need not be made twice, with their answers already serialised.

A decision is remembered by all it depends on: the policy, the place of the client (its address too,
where a condition looks at it) and the key; and only from the moment it was made to the next at
which a phase or an exemption begins or ends. One whose conditions looked at the request or the time
is never remembered. Which is which was worked out when the policy was compiled.

What is remembered belongs to one snapshot and goes with it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from regiongate.extauthz.responses import Answer
from regiongate.facts import Key, Located
from regiongate.policy.decide import Decision, Facts
from regiongate.policy.model import Policy

CAPACITY: Final = 8192
"""Decisions remembered at once; the one longest unused is forgotten first."""

_FOREVER: Final = datetime.max.replace(tzinfo=UTC)

Place = tuple[str, bytes, str, str, int, bool]


@dataclass(frozen=True, slots=True)
class Remembered:
    """A decision and its answer.

    Attributes:
        key: kept so that its identity, which it is remembered by, is not another key's later.
        since, until: when the decision holds; `until` is the first moment at which it may not.
    """

    decision: Decision
    answer: Answer
    key: Key
    since: datetime
    until: datetime


class Memory:
    """Remembers decisions, as many as `capacity`."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._remembered: OrderedDict[Place, Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._remembered)

    def recall(self, place: Place, now: datetime) -> Remembered | None:
        """Return the decision remembered at a place, if it holds at a moment."""
        found = self._remembered.get(place)
        # A clock that was set back is before `since`, and the decision is made anew.
        if found is None or not found.since <= now < found.until:
            return None
        self._remembered.move_to_end(place)
        return found

    def remember(self, place: Place, remembered: Remembered) -> None:
        """Remember a decision in place of an older one."""
        self._remembered[place] = remembered
        self._remembered.move_to_end(place)
        if len(self._remembered) > self._capacity:
            self._remembered.popitem(last=False)


def place(policy: Policy, located: Located, key: Key, *, grpc: bool) -> Place:
    """Return what a decision is remembered by.

    Clients of one country that nothing tells apart share a decision.

    Args:
        policy: the one that decides.
        located: where the client is.
        key: what is known of its key.
        grpc: whether the client is answered as gRPC clients are.
    """
    network = located.network if policy.reads_network else ""
    address = located.address if policy.reads_address else ""
    return policy.name, located.place, network, address, id(key), grpc


def may_be_remembered(decision: Decision) -> bool:
    """Say whether another Check of the same place would be decided the same."""
    return not any(step.depends_on_request_or_time for step in decision.steps)


def until(policy: Policy, facts: Facts, now: datetime) -> datetime:
    """Return the first moment at which a decision may come out differently."""
    changes = [policy.next_change(now), *(one.next_change(now) for one in facts.exemptions)]
    return min((change for change in changes if change), default=_FOREVER)
