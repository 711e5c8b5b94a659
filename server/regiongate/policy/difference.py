"""What another policy would decide otherwise.

Pure. Both policies decide the same facts at the same moment; whatever comes out differently is
counted. Trials arrive one by one and are not kept, so that a log of any length can be compared.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from regiongate.countries import countries, country_of, is_code
from regiongate.facts import Key, Request, Source
from regiongate.policy.decide import Decision, Facts, Verdict, decide
from regiongate.policy.model import DEFAULT_POLICY, Policy, PolicySet
from regiongate.policy.phases import Phase

_EXAMPLES: Final = 3
"""How many trials of each kind of flip are named."""
_SUBDIVISION: Final = re.compile(r"\b[A-Z]{2}-[A-Z0-9]{1,3}\b")


@dataclass(frozen=True, slots=True)
class Trial:
    """Facts that both policies decide.

    Attributes:
        name: what it is called: a case, a line of a log, a place.
        policy: the policy's name; empty for the default one.
        at: the moment to decide at.
        recorded: what was done, where the trial is a past decision.
    """

    name: str
    policy: str
    facts: Facts
    at: datetime
    recorded: Verdict | None = None


@dataclass(frozen=True, slots=True, order=True)
class Side:
    """What one of two policies decides."""

    verdict: Verdict
    policy_verdict: Verdict
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, order=True)
class Flip:
    """A kind of decision that comes out differently.

    Attributes:
        policy: the policy's name.
        country: ISO 3166-1 alpha-2, or the subdivision where one is known, or the source's status
            where no country is.
        key: the key's id, or what is known in its place.
        org: the id of its organisation; empty where it is not known.
    """

    policy: str
    old: Side
    new: Side
    country: str
    key: str
    org: str = ""


@dataclass(slots=True)
class Difference:
    """How two policies differ on some trials.

    Attributes:
        trials: how many were decided.
        flips: how often each kind of flip occurred.
        examples: the first trials of each kind, by name.
        unreproduced: past decisions that the old policy does not decide as they are recorded.
        latest: the latest moment that was decided at; None before the first trial.
    """

    trials: int = 0
    flips: Counter[Flip] = field(default_factory=Counter)
    examples: dict[Flip, list[str]] = field(default_factory=dict)
    unreproduced: int = 0
    latest: datetime | None = None

    def take(self, trial: Trial, old: Decision, new: Decision) -> None:
        """Count one trial."""
        self.trials += 1
        self.latest = max(trial.at, self.latest or trial.at)
        if trial.recorded not in (None, old.verdict):
            self.unreproduced += 1
        if (old.verdict, old.policy_verdict) == (new.verdict, new.policy_verdict):
            return
        flip = _flip(trial.facts, old, new)
        self.flips[flip] += 1
        examples = self.examples.setdefault(flip, [])
        if len(examples) < _EXAMPLES:
            examples.append(trial.name)


def compare(old: PolicySet, new: PolicySet, trials: Iterable[Trial]) -> Difference:
    """Decide every trial by both policies.

    A decision flips when what is done differs, or what will be done once every phase that has
    begun is enforced and nothing is in shadow.
    """
    difference, before, after = Difference(), _Decider(old), _Decider(new)
    for trial in trials:
        difference.take(trial, before.decide(trial), after.decide(trial))
    return difference


class _Decider:
    """Decides trials, and each only once that the rules cannot tell from an earlier one."""

    def __init__(self, policies: PolicySet) -> None:
        self._policies = policies
        self._decided: dict[_Seen, Decision] = {}
        self._reads = {
            name: [tuple(fact.split(".")) for fact in FACTS if _reads(policy, fact)]
            for name, policy in policies.policies.items()
            if not _reads(policy, "now")
        }

    def decide(self, trial: Trial) -> Decision:
        seen = self._seen(trial)
        decision = self._decided.get(seen) if seen else None
        if decision is None:
            decision = decide(self._policies, trial.policy, trial.facts, trial.at)
            if seen:
                self._remember(seen, decision)
        return decision

    def _remember(self, seen: _Seen, decision: Decision) -> None:
        if len(self._decided) >= _REMEMBERED:
            self._decided.clear()
        self._decided[seen] = decision

    def _seen(self, trial: Trial) -> _Seen | None:
        """Return all that the decision depends on; None where it is not worth telling apart."""
        facts, name = trial.facts, trial.policy or DEFAULT_POLICY
        reads = self._reads.get(name)
        if reads is None or facts.exemptions or facts.key.problem:
            return None
        rules = self._policies.policies[name].rules
        phases = tuple(rule.schedule.phase(trial.at) for rule in rules)
        return name, phases, tuple(_value(facts, message, field) for message, field in reads)


_Seen: TypeAlias = tuple[str, tuple[Phase | None, ...], tuple[str | int, ...]]
_REMEMBERED: Final = 65_536
"""Decisions remembered at once."""


def _reads(policy: Policy, fact: str) -> bool:
    return any(rule.condition.may_read(fact) for rule in policy.rules)


def _value(facts: Facts, message: str, field: str) -> str | int:
    value = getattr(getattr(facts, message), field)
    return value if isinstance(value, str | int) else str(value)


def everywhere(old: PolicySet, new: PolicySet, at: datetime) -> Iterator[Trial]:
    """Yield a trial for every policy of either file, every place and every standing of a key.

    The places are all countries, the subdivisions that either file names, and none at all.
    """
    sources = [*map(_located, places(old, new)), *map(_nowhere, _STATUSES)]
    for policy in dict.fromkeys([*old.policies, *new.policies]):
        for source in sources:
            for key in KEYS:
                facts = Facts(source, key)
                yield Trial(f"{_place(facts)}, {_key(key)}", policy, facts, at)


def unseen(held: frozenset[str], *files: PolicySet) -> list[tuple[str, list[str]]]:
    """Name the rules that may read facts which some trials do not hold, with those facts.

    Args:
        held: the facts that the trials do hold, for instance `source.country`.
        files: the policy files whose rules are looked at.
    """
    found: dict[str, set[str]] = {}
    for file in files:
        for policy in file.policies.values():
            for rule in policy.rules:
                read = {fact for fact in FACTS - held if rule.condition.may_read(fact)}
                if read:
                    found.setdefault(f"{policy.name}/{rule.name}", set()).update(read)
    return [(rule, sorted(facts)) for rule, facts in found.items()]


FACTS: Final = frozenset(
    f"{name}.{field}"
    for name, message in (("source", Source), ("key", Key), ("request", Request))
    for field in message.DESCRIPTOR.fields_by_name
)
"""Every fact there is but the time."""
EVERYWHERE: Final = frozenset(
    {
        "source.status",
        "source.country",
        "source.regions",
        "key.found",
        "key.presented",
        "key.status",
        "key.problem",
    }
)
"""The facts that `everywhere` holds."""


def places(*files: PolicySet) -> list[str]:
    """Return every country, and every subdivision that one of the files names."""
    named = {code for file in files for code in _codes(file) if "-" in code and is_code(code)}
    return sorted(countries() | named)


def _codes(file: PolicySet) -> Iterator[str]:
    for regions in file.regions.values():
        yield from regions.codes
    for policy in file.policies.values():
        for rule in policy.rules:
            yield from _SUBDIVISION.findall(rule.condition.text)


KEYS: Final = (Key(), Key(presented=True), Key(found=True, presented=True, status="active"))
"""No key, an unknown one, and an active one of which nothing else is known."""
_STATUSES: Final = ("unknown", "private", "unresolved")


def _located(code: str) -> Source:
    regions = [code] if "-" in code else []
    return Source(status="located", country=country_of(code), regions=regions)


def _nowhere(status: str) -> Source:
    return Source(status=status)


def _flip(facts: Facts, old: Decision, new: Decision) -> Flip:
    key = facts.key
    return Flip(old.policy, _side(old), _side(new), _place(facts), _key(key), key.org)


def _side(decision: Decision) -> Side:
    return Side(decision.verdict, decision.policy_verdict, decision.rule, decision.reason)


def _place(facts: Facts) -> str:
    source = facts.source
    return source.regions[0] if source.regions else source.country or source.status


def _key(key: Key) -> str:
    if key.problem:
        return "malformed key"
    if key.found:
        return key.id or f"{key.status} key"
    return "unknown key" if key.presented else "no key"
