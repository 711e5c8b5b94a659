"""A policy as a person would write it down: who comes first, what it does, since and until when.

Pure: values in, sentences out. How they are laid out is the command line's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from regiongate import durations
from regiongate.policy.exemptions import EVERY_RULE, Exemption
from regiongate.policy.model import Policy, PolicySet, Refusal, Rule, Suspension
from regiongate.policy.phases import Phase, Schedule

_BEGINS: Final = {Phase.OBSERVE: "observes", Phase.WARN: "warns", Phase.ENFORCE: "is enforced"}
_STANDS: Final = {
    None: "absent",
    Phase.OBSERVE: "observed only",
    Phase.WARN: "warned of, not enforced",
    Phase.ENFORCE: "enforced",
}
_SHADOW: Final = "in shadow, nothing is enforced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One rule.

    Attributes:
        number: its place, counted from 1.
        when: its condition, on one line.
        effect: what it does, in plain words.
        state: what of it is in force, in plain words.
        in_force: whether what it says is also done.
    """

    number: int
    name: str
    when: str
    effect: str
    state: str
    in_force: bool


@dataclass(frozen=True, slots=True)
class Table:
    """One policy.

    Attributes:
        shadow: everything passes, whatever the rules say.
        otherwise: what happens where no rule applies, in plain words.
    """

    policy: str
    shadow: bool
    rows: tuple[Row, ...]
    otherwise: str


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """Something that will be otherwise from a moment on.

    Attributes:
        what: a sentence.
    """

    at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class Held:
    """An exemption, and who holds it: `key ID` or `organisation ID`."""

    holder: str
    exemption: Exemption


def tables(policies: PolicySet, now: datetime) -> tuple[Table, ...]:
    """Write down every policy of a file as it stands at a moment."""
    return tuple(_table(policies, policy, now) for policy in policies.policies.values())


def changes(policies: PolicySet, held: Iterable[Held], now: datetime) -> list[Change]:
    """List what will be otherwise after a moment, the nearest first."""
    coming = [*_phases(policies), *(change for one in held for change in _exemption(one))]
    return sorted(change for change in coming if change.at > now)


def moment(at: datetime) -> str:
    """Write a moment in UTC; midnight is the date alone."""
    text = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return text.removesuffix("T00:00:00Z")


def _table(policies: PolicySet, policy: Policy, now: datetime) -> Table:
    rows = tuple(
        _row(policies, policy, rule, number, now)
        for number, rule in enumerate(policy.rules, start=1)
    )
    otherwise = _refuses(policies, policy.otherwise) if policy.otherwise else "allows"
    if policy.otherwise and policy.shadow:
        otherwise = f"{otherwise} ({_SHADOW})"
    return Table(policy.name, policy.shadow, rows, otherwise)


def _row(policies: PolicySet, policy: Policy, rule: Rule, number: int, now: datetime) -> Row:
    shadow = rule.shadow or policy.shadow
    return Row(
        number=number,
        name=rule.name,
        when=" ".join(rule.condition.text.split()),
        effect=_effect(policies, rule),
        state=_recorded(rule.schedule, now) if shadow else _state(rule.schedule, now),
        in_force=not shadow and rule.schedule.phase(now) is Phase.ENFORCE,
    )


def _effect(policies: PolicySet, rule: Rule) -> str:
    if rule.refusal is None:
        return f"allows ({rule.reason})"
    said = [_refuses(policies, rule.refusal)]
    if not rule.exemptable:
        said.append("no exemption lifts it")
    if rule.suspension:
        said.append(_suspends(rule.suspension))
    return "; ".join(said)


def _refuses(policies: PolicySet, refusal: Refusal) -> str:
    response = policies.response(refusal)
    return f'refuses with {response.status} {refusal.reason}, "{response.message}"'


def _suspends(suspension: Suspension) -> str:
    within = durations.written(suspension.within)
    return f"{suspension.after} refusals within {within} suspend a key kept in SQLite or Redis"


def _state(schedule: Schedule, now: datetime) -> str:
    phase = schedule.phase(now)
    begun = dict(schedule.phases())
    since = f" since {moment(begun[phase])}" if phase in begun else ""
    coming = [f"{_BEGINS[later]} from {moment(at)}" for later, at in begun.items() if at > now]
    return ", ".join([f"{_STANDS[phase]}{since}", *coming])


def _recorded(schedule: Schedule, now: datetime) -> str:
    """Tell of a rule in shadow, for which all phases are alike."""
    first = next((at for _, at in schedule.phases()), None)
    when = f" {'from' if first > now else 'since'} {moment(first)}" if first else ""
    return f"{_SHADOW}: recorded only{when}"


def _phases(policies: PolicySet) -> Iterator[Change]:
    for policy in policies.policies.values():
        for rule in policy.rules:
            for phase, at in rule.schedule.phases():
                begins = _BEGINS[phase]
                if rule.shadow or policy.shadow:
                    begins = f"is recorded in phase {phase} ({_SHADOW})"
                yield Change(at, f"{policy.name}: {rule.name} {begins}")


def _exemption(held: Held) -> Iterator[Change]:
    one = held.exemption
    rule = "every rule that can be lifted" if one.rule == EVERY_RULE else one.rule
    countries = f" for {', '.join(sorted(one.countries.codes))}" if one.countries else ""
    subject = f"exemption {one.id} of {held.holder} from {rule}{countries}"
    if one.begins is not None:
        yield Change(one.begins, f"{subject} begins")
    yield Change(one.ends, f"{subject} ends")
