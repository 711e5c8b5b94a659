"""Which rules a comparison has yet to see at work: their dates lie after every moment it tried.

Pure. Says how far what `difference` has found can be relied upon.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from regiongate.policy.model import Policy, PolicySet, Rule
from regiongate.policy.phases import Phase, Schedule
from regiongate.policy.regions import RegionList


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A rule that will come further than it was tried.

    Attributes:
        rule: `policy/rule`.
        reached: the phase it was tried in at most; None before its first.
        phase: its last one.
        begins: when that does.
    """

    rule: str
    reached: Phase | None
    phase: Phase
    begins: datetime


def pending(old: PolicySet, new: PolicySet, latest: datetime) -> list[Pending]:
    """Name the rules by whose dates two files may yet differ, as those of either file stand.

    They are those that differ, and those behind one that does: they decide what it leaves them.

    Args:
        old: a file.
        new: another one.
        latest: the latest moment that both were tried at.
    """
    found: dict[Pending, None] = {}
    for name in dict.fromkeys([*old.policies, *new.policies]):
        for rule in _apart(_written(old, name), _written(new, name)):
            if rule.schedule.next_change(latest) is not None:
                *_, (phase, begins) = rule.schedule.phases()
                one = Pending(
                    rule=f"{name}/{rule.name}",
                    reached=rule.schedule.phase(latest),
                    phase=phase,
                    begins=begins,
                )
                found[one] = None
    return list(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """All of a rule that a verdict depends on."""

    name: str
    when: str
    lists: tuple[RegionList, ...]
    refuses: bool
    exemptable: bool
    in_shadow: tuple[bool, bool]
    schedule: Schedule


def _written(file: PolicySet, name: str) -> list[_Written]:
    policy = file.policies.get(name)
    return [_of(file, policy, rule) for rule in policy.rules] if policy else []


def _of(file: PolicySet, policy: Policy, rule: Rule) -> _Written:
    return _Written(
        name=rule.name,
        when=rule.condition.text,
        lists=tuple(file.regions[one] for one in sorted(rule.condition.lists)),
        refuses=rule.refusal is not None,
        exemptable=rule.exemptable,
        in_shadow=(policy.shadow, rule.shadow),
        schedule=rule.schedule,
    )


def _apart(old: Sequence[_Written], new: Sequence[_Written]) -> Iterator[_Written]:
    """Yield the rules of both from the first that differs on."""
    alike = takewhile(lambda both: both[0] == both[1], zip(old, new, strict=False))
    first = sum(1 for _ in alike)
    yield from (*old[first:], *new[first:])
