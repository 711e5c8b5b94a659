"""What is allowed in a policy and yet most likely not meant.

Pure. Where it can, it asks the policy itself: it decides on a made-up client and looks at what
comes out, rather than guess at what a condition means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from regiongate.documents import Path
from regiongate.facts import Key, Request, Source
from regiongate.policy.decide import Facts, Verdict, decide
from regiongate.policy.model import WELL_KNOWN, Policy, PolicySet, Rule
from regiongate.policy.phases import ALWAYS, Phase
from regiongate.policy.regions import RegionList
from regiongate.policy.territories import TERRITORIES


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to look at.

    Attributes:
        path: where in policy.yaml.
        message: what is the matter, and what would settle it.
    """

    path: Path
    message: str


def lint(
    policies: PolicySet,
    now: datetime,
    *,
    subdivisions: bool,
    keys: bool = False,
    counts: bool = True,
) -> list[Finding]:
    """Look a policy file over.

    Args:
        policies: the file.
        now: phases are taken as they stand at this moment.
        subdivisions: whether the databases in use know more than countries.
        keys: whether there is a key store.
        counts: whether it counts refusals.
    """
    asked = _asked(policies)
    findings = [
        *(one for name, regions in asked.items() for one in _regions(name, regions)),
        *(() if subdivisions else _unknowable(asked)),
    ]
    for policy in policies.policies.values():
        findings += _policy(policies, policy, now)
        findings += _unread_keys(policy) if keys else ()
        findings += () if counts else _uncounted(policy)
    return findings


def _regions(name: str, regions: RegionList) -> Iterator[Finding]:
    if not regions.codes:
        yield Finding(
            ("regions", name),
            f'is empty: source.within("{name}") is false for everybody; list the places that are'
            " meant",
        )
    for country, territories in TERRITORIES.items():
        missing = sorted(territories - regions.codes)
        if country in regions.codes and missing:
            yield Finding(
                ("regions", name),
                f"{country} is listed without {', '.join(missing)}, which have codes of their own;"
                " list those that are meant",
            )


def _asked(policies: PolicySet) -> dict[str, RegionList]:
    """Return the lists that conditions name; others are there to make lists of."""
    rules = [rule for policy in policies.policies.values() for rule in policy.rules]
    names = frozenset(name for rule in rules for name in rule.condition.lists)
    return {name: regions for name, regions in policies.regions.items() if name in names}


def _unknowable(asked: Mapping[str, RegionList]) -> Iterator[Finding]:
    for name, regions in asked.items():
        codes = sorted(code for code in regions.codes | regions.without if "-" in code)
        if codes:
            yield Finding(
                ("regions", name),
                f"{', '.join(codes)} can never match: the databases in use know countries alone;"
                " use a city-level database",
            )


def _policy(policies: PolicySet, policy: Policy, now: datetime) -> Iterator[Finding]:
    path: Path = ("policies", policy.name)
    if not policy.rules and policy.otherwise is None:
        yield Finding(path, "allows everything: it has no rule and ends in allow")
    yield from _unknown_country(policies, policy, now)
    for index, rule in enumerate(policy.rules):
        place: Path = (*path, "rules", index)
        yield from _rule(policies, rule, place, now)
        if earlier := _hidden_by(policies, policy.rules[:index], rule, now):
            yield Finding(place, f"can never be reached: {earlier} decides before it")


def _unread_keys(policy: Policy) -> Iterator[Finding]:
    """Find policies that a key's own restrictions mean nothing to."""
    conditions = [rule.condition for rule in policy.rules if rule.refusal]
    if not conditions:
        return
    for fact, lets, rule in (
        ("key.status", "a revoked key pass", 'key.found && key.status != "active"'),
        ("key.restricted", "a key pass outside its own countries", "!key.permits(source)"),
    ):
        if not any(condition.may_read(fact) for condition in conditions):
            yield Finding(("policies", policy.name), f"lets {lets}; add a rule that denies {rule}")


def _uncounted(policy: Policy) -> Iterator[Finding]:
    for index, rule in enumerate(policy.rules):
        if rule.suspension:
            yield Finding(
                ("policies", policy.name, "rules", index, "suspend"),
                "suspends no key: refusals are counted in SQLite and Redis, and keys.store is"
                " neither",
            )


def _rule(policies: PolicySet, rule: Rule, path: Path, now: datetime) -> Iterator[Finding]:
    if _constant(policies, rule, now) is False:
        yield Finding((*path, "when"), "never applies: the condition is always false")
    for doubt in rule.condition.doubts:
        yield Finding((*path, "when"), doubt)
    refusal = rule.refusal
    if refusal is None or refusal.reason in policies.responses or refusal.reason in WELL_KNOWN:
        return
    if refusal.status is None and refusal.message is None:
        response = policies.response(refusal)
        yield Finding(
            (*path, "deny", "reason"),
            f"{refusal.reason} has no entry under responses; clients are told"
            f" {response.status} {response.message!r}",
        )


def _unknown_country(policies: PolicySet, policy: Policy, now: datetime) -> Iterator[Finding]:
    """Find policies that refuse places by name and let the unknown pass."""
    denying = [rule.name for rule in policy.rules if rule.refusal and rule.condition.lists]
    unknown = Facts(Source(status="unknown"), Key())
    # As it reads: an allow-list whose dates are to come is one already.
    undated = replace(policy, rules=tuple(replace(rule, schedule=ALWAYS) for rule in policy.rules))
    read = replace(policies, policies={**policies.policies, policy.name: undated})
    decided = decide(read, policy.name, unknown, now)
    if denying and decided.policy_verdict is Verdict.ALLOW:
        yield Finding(
            ("policies", policy.name),
            f"refuses places by name ({', '.join(denying)}) and lets a client of unknown country"
            ' pass; add a rule for source.status != "located" or an allow-list',
        )


def _hidden_by(policies: PolicySet, earlier: Iterable[Rule], rule: Rule, now: datetime) -> str:
    """Name an earlier rule that decides wherever this one would; empty when there is none.

    But for a Check whose exemption lifts the earlier rule, which is too rare to be meant.
    """
    for other in earlier:
        in_force = not other.shadow and other.schedule.phase(now) is Phase.ENFORCE
        always = _constant(policies, other, now) is True
        if in_force and (always or other.condition.text.strip() == rule.condition.text.strip()):
            return other.name
    return ""


def _constant(policies: PolicySet, rule: Rule, now: datetime) -> bool | None:
    """Return what a condition that reads no facts comes to; None for every other."""
    if rule.condition.reads:
        return None
    bound = policies.language.bind(Source(), Key(), Request(), now)
    held = rule.condition.holds(bound)
    return held if isinstance(held, bool) else None
