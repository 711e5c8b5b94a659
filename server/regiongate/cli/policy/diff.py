"""`regiongate policy diff`: which decisions another policy would make otherwise."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import click
import orjson

from regiongate.cli import options
from regiongate.cli.policy import files
from regiongate.keys.record import KeyRecord
from regiongate.policy import PolicySet
from regiongate.policy.cases import Case
from regiongate.policy.decide import Verdict
from regiongate.policy.difference import (
    EVERYWHERE,
    FACTS,
    Difference,
    Side,
    Trial,
    compare,
    everywhere,
    places,
    unseen,
)
from regiongate.policy.pending import Pending, pending
from regiongate.policy.precedence import moment
from regiongate.telemetry import replay

_SHOWN: Final = 20
"""How many keys of one kind of flip are shown, countries of one key, and unreadable lines named."""
_NAMED: Final = 10

Change: TypeAlias = tuple[str, Side, Side]
"""A policy, and what both files decide."""


@dataclass(slots=True)
class _Trials:
    """What both policies are tried on.

    Attributes:
        words: what they are, for people.
        held: the facts that they hold.
        unreadable: how many lines of a log could not be used.
        first: the first of those, each with its number and the reason.
    """

    words: str
    held: frozenset[str]
    trials: Iterable[Trial] = ()
    unreadable: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)


@click.command()
@click.argument("old", type=files.PATH)
@click.argument("new", type=files.PATH)
@click.option("--cases", type=files.PATH, help="A table of cases to decide; see `policy test`.")
@click.option(
    "--decisions", type=click.File("rb"), help="A decision log to repeat; - for standard input."
)
@click.option("--keys", type=files.PATH, help="With --decisions: a key file to look keys up in.")
@click.option(
    "--at",
    type=options.moment,
    metavar="MOMENT",
    help="The moment to decide at, UTC without an offset; left out, that of each case or"
    " decision, or else now.",
)
@options.as_json
def diff(  # noqa: PLR0913 an option each
    *,
    old: Path,
    new: Path,
    cases: Path | None,
    decisions: BinaryIO | None,
    keys: Path | None,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Decide the same by two policies; exit 1 when something is decided otherwise.

    Without cases and decisions, everything is tried: every country, every subdivision that is
    named, and no known country, each without a key, with an unknown and with an active one.
    """
    if cases and decisions:
        raise click.UsageError("expected --cases or --decisions (got both)")
    if keys and not decisions:
        raise click.UsageError("expected --keys only with --decisions")
    before, after = files.policies(old), files.policies(new)
    trials = _trials(before, after, cases, decisions, keys, at)
    difference = compare(before, after, trials.trials)
    if difference.latest is None:
        unusable = f", and {trials.unreadable} lines could not be used" if trials.unreadable else ""
        raise click.UsageError(f"{trials.words}: expected at least one (got none{unusable})")
    missing = unseen(trials.held, before, after)
    coming = pending(before, after, difference.latest)
    if as_json:
        written = _as_json(difference, trials, missing, coming)
        click.echo(orjson.dumps(written, option=orjson.OPT_INDENT_2))
    else:
        about = _about(difference, trials, missing, coming)
        click.echo("\n".join([*about, *_flips(difference)]))
    sys.exit(bool(difference.flips))


# ------------------------------------------------------------------------------- the trials


def _trials(  # noqa: PLR0913, PLR0917 what the options come to
    old: PolicySet,
    new: PolicySet,
    cases: Path | None,
    decisions: BinaryIO | None,
    keys: Path | None,
    at: datetime | None,
) -> _Trials:
    if cases:
        table = files.table(cases)
        return _Trials(f"the cases of {cases}", FACTS, [_of_case(case, at) for case in table])
    if decisions:
        known = files.keys(keys) if keys else {}
        trials = _Trials(f"the decisions in {decisions.name}", replay.held(keys=bool(keys)))
        trials.trials = _of_log(decisions, known, at, trials)
        return trials
    now = at or datetime.now(UTC).replace(microsecond=0)
    subdivisions = sum("-" in place for place in places(old, new))
    words = (
        f"every country, {subdivisions} subdivisions that are named, and no known country;"
        f" no key, an unknown and an active one; at {moment(now)}"
    )
    return _Trials(words, EVERYWHERE, everywhere(old, new, now))


def _of_case(case: Case, at: datetime | None) -> Trial:
    return Trial(case.name, case.policy, case.facts, at or case.at)


def _of_log(
    log: BinaryIO, keys: Mapping[str, KeyRecord], at: datetime | None, trials: _Trials
) -> Iterator[Trial]:
    """Read a decision log line by line, taking note of the lines that cannot be used."""
    for number, line in enumerate(log, start=1):
        try:
            yield replay.trial(f"line {number}", line, keys, at)
        except replay.RecordError as error:
            trials.unreadable += 1
            if len(trials.first) < _NAMED:
                trials.first.append((number, str(error)))


# ------------------------------------------------------------------------------- the output


def _as_json(
    difference: Difference,
    trials: _Trials,
    missing: list[tuple[str, list[str]]],
    coming: list[Pending],
) -> dict[str, Any]:
    return {
        "tried": trials.words,
        "decisions": difference.trials,
        "flipped": difference.flips.total(),
        "not_held": [{"rule": rule, "facts": facts} for rule, facts in missing],
        "not_reached": coming,
        "not_reproduced": difference.unreproduced,
        "unreadable": trials.unreadable,
        "first_unreadable": [{"line": line, "reason": reason} for line, reason in trials.first],
        "flips": [
            {
                "policy": flip.policy,
                "old": flip.old,
                "new": flip.new,
                "country": flip.country,
                "key": flip.key,
                "org": flip.org,
                "count": count,
                "examples": difference.examples[flip],
            }
            for flip, count in sorted(difference.flips.items())
        ],
    }


def _about(
    difference: Difference,
    trials: _Trials,
    missing: list[tuple[str, list[str]]],
    coming: list[Pending],
) -> Iterator[str]:
    yield f"tried: {trials.words}"
    for rule, facts in missing:
        yield f"not held by what was tried, and taken as empty: {', '.join(facts)} (read by {rule})"
    for one in coming:
        so_far = f"is no further than {one.reached}" if one.reached else "has not begun"
        yield (
            f"{one.rule} {so_far} at any moment that was tried: pass --at {moment(one.begins)},"
            f" when {one.phase}, its last phase, begins"
        )
    if trials.unreadable:
        yield f"{trials.unreadable} lines could not be used"
        yield from (f"  line {line}: {reason}" for line, reason in trials.first)
    if difference.unreproduced:
        yield (
            f"{difference.unreproduced} decisions are not what the old policy decides on what is"
            " recorded: another policy was in force, or something that is not recorded mattered"
        )
    yield f"{difference.flips.total()} of {difference.trials} decisions flip"


def _flips(difference: Difference) -> Iterator[str]:
    """Group the flips by what changes, then by key, then by country."""
    changes: dict[Change, dict[str, Counter[str]]] = {}
    for flip, count in sorted(difference.flips.items()):
        keys = changes.setdefault((flip.policy, flip.old, flip.new), {})
        key = f"{flip.key} of organisation {flip.org}" if flip.org else flip.key
        keys.setdefault(key, Counter())[flip.country] += count
    for (policy, old, new), keys in changes.items():
        yield ""
        total = sum(countries.total() for countries in keys.values())
        yield f"policy {policy}: {_side(old)} → {_side(new)}: {total}"
        yield from _keys(keys)


def _keys(keys: Mapping[str, Counter[str]]) -> Iterator[str]:
    most = sorted(keys.items(), key=lambda one: (-one[1].total(), one[0]))
    for key, countries in most[:_SHOWN]:
        yield f"  {key}: {countries.total()} ({_countries(countries)})"
    if len(most) > _SHOWN:
        rest = sum(countries.total() for _, countries in most[_SHOWN:])
        yield f"  {len(most) - _SHOWN} more keys: {rest}; --json names them all"


def _countries(countries: Counter[str]) -> str:
    most = sorted(countries.items(), key=lambda one: (-one[1], one[0]))
    words = [f"{country} {count}" if count > 1 else country for country, count in most[:_SHOWN]]
    more = [f"and {len(most) - _SHOWN} more"] if len(most) > _SHOWN else []
    return " ".join([*words, *more])


def _side(side: Side) -> str:
    by = side.rule or side.reason
    if side.verdict is side.policy_verdict:
        return f"{side.verdict} ({by})"
    later = "deny" if side.policy_verdict is Verdict.DENY else "allow"
    return f"{side.verdict}, {later} once enforced ({by})"
