"""A policy as a person would write it: what a rule does, since when, and what comes next."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from regiongate.policy.precedence import Change, Held, changes, moment, tables
from regiongate.policy.regions import RegionList
from tests.policies import (
    ENFORCED,
    NOW,
    OBSERVED,
    SECOND,
    WARNED,
    allow,
    dated,
    deny,
    exemption,
    policies,
)

ALL = dated("observe", "warn", "enforce")

STATES: list[tuple[dict[str, Any], datetime, str, bool]] = [
    ({}, NOW, "enforced", True),
    ({"mode": "shadow"}, NOW, "in shadow, nothing is enforced: recorded only", False),
    (
        {"mode": "shadow", "phases": ALL},
        OBSERVED - SECOND,
        "in shadow, nothing is enforced: recorded only from 2024-06-01",
        False,
    ),
    (
        {"mode": "shadow", "phases": ALL},
        ENFORCED,
        "in shadow, nothing is enforced: recorded only since 2024-06-01",
        False,
    ),
    (
        {"phases": ALL},
        OBSERVED - SECOND,
        "absent, observes from 2024-06-01, warns from 2024-06-25, is enforced from 2024-07-09",
        False,
    ),
    (
        {"phases": ALL},
        OBSERVED,
        "observed only since 2024-06-01, warns from 2024-06-25, is enforced from 2024-07-09",
        False,
    ),
    (
        {"phases": ALL},
        WARNED,
        "warned of, not enforced since 2024-06-25, is enforced from 2024-07-09",
        False,
    ),
    ({"phases": ALL}, ENFORCED, "enforced since 2024-07-09", True),
    ({"phases": dated("enforce")}, WARNED, "absent, is enforced from 2024-07-09", False),
]

SAYS = "Request not allowed"
STORED = " kept in SQLite or Redis"
EFFECTS: list[tuple[dict[str, Any], str]] = [
    (deny(), f'refuses with 403 refuse-reason, "{SAYS}"'),
    (
        deny(deny={"reason": "gone", "status": 410, "message": "Gone"}),
        'refuses with 410 gone, "Gone"',
    ),
    (deny(exemptable=False), f'refuses with 403 refuse-reason, "{SAYS}"; no exemption lifts it'),
    (
        deny(suspend={"after": 100, "within": "24h"}),
        f'refuses with 403 refuse-reason, "{SAYS}"; 100 refusals within 24h suspend a key{STORED}',
    ),
    (
        deny(suspend={"after": 3, "within": "90s"}),
        f'refuses with 403 refuse-reason, "{SAYS}"; 3 refusals within 90s suspend a key{STORED}',
    ),
    (
        deny(suspend={"after": 3, "within": "2w"}),
        f'refuses with 403 refuse-reason, "{SAYS}"; 3 refusals within 14d suspend a key{STORED}',
    ),
    (allow(), "allows (pass-reason)"),
    (allow(allow=True), "allows (allowed)"),
]

MOMENTS: list[tuple[datetime, str]] = [
    (ENFORCED, "2024-07-09"),
    (ENFORCED + SECOND, "2024-07-09T00:00:01Z"),
    (datetime.fromisoformat("2024-07-09T00:00:00+02:00"), "2024-07-08T22:00:00Z"),
]


@pytest.mark.parametrize(("more", "now", "state", "in_force"), STATES)
def test_a_rule_tells_what_of_it_is_in_force(
    more: dict[str, Any], now: datetime, state: str, *, in_force: bool
) -> None:
    """What holds now, since when, and what is to come."""
    [table] = tables(policies(deny(**more)), now)
    assert (table.rows[0].state, table.rows[0].in_force) == (state, in_force)


@pytest.mark.parametrize(("rule", "effect"), EFFECTS)
def test_a_rule_tells_what_it_does(rule: dict[str, Any], effect: str) -> None:
    """In the words that a client is answered with."""
    [table] = tables(policies(rule), NOW)
    assert table.rows[0].effect == effect


def test_rules_stand_in_their_order() -> None:
    """Rows are numbered as the rules are tried; a condition stands on one line."""
    [table] = tables(policies(deny("key.found &&\n  key.restricted"), allow()), NOW)
    assert [(row.number, row.name, row.when) for row in table.rows] == [
        (1, "refuse", "key.found && key.restricted"),
        (2, "pass", "true"),
    ]


@pytest.mark.parametrize(
    ("otherwise", "words"),
    [
        ("allow", "allows"),
        ("deny", f'refuses with 403 otherwise, "{SAYS}"'),
        ({"deny": {"reason": "closed", "status": 451}}, f'refuses with 451 closed, "{SAYS}"'),
    ],
)
def test_a_table_ends_with_what_happens_otherwise(otherwise: object, words: str) -> None:
    """The last row is for requests that no rule applies to."""
    [table] = tables(policies(otherwise=otherwise), NOW)
    assert table.otherwise == words


def test_nothing_is_in_force_in_a_policy_that_is_in_shadow() -> None:
    """Neither a rule nor what happens otherwise reads as if it did anything."""
    [table] = tables(policies(deny(), mode="shadow", otherwise="deny"), NOW)
    assert table.shadow
    assert not table.rows[0].in_force
    assert table.rows[0].state == "in shadow, nothing is enforced: recorded only"
    refuses = f'refuses with 403 otherwise, "{SAYS}"'
    assert table.otherwise == f"{refuses} (in shadow, nothing is enforced)"


@pytest.mark.parametrize(("at", "text"), MOMENTS)
def test_a_moment_is_written_in_utc(at: datetime, text: str) -> None:
    """Midnight is the date alone."""
    assert moment(at) == text


def test_what_changes_is_listed_by_date() -> None:
    """Phases that are still to begin, and exemptions that are still to begin or to end."""
    held = [
        Held(
            "key k1",
            exemption(
                id="e1",
                rule="refuse",
                begins=WARNED + SECOND,
                ends=NOW,
                countries=RegionList(frozenset({"HK", "CN"})),
            ),
        ),
        Held("key k2", exemption(id="e2", ends=WARNED)),
        Held("key k3", exemption(id="e3", ends=NOW + timedelta(days=1))),
    ]
    assert changes(policies(deny(phases=ALL)), held, WARNED) == [
        Change(WARNED + SECOND, "exemption e1 of key k1 from refuse for CN, HK begins"),
        Change(ENFORCED, "default: refuse is enforced"),
        Change(NOW, "exemption e1 of key k1 from refuse for CN, HK ends"),
        Change(
            NOW + timedelta(days=1),
            "exemption e3 of key k3 from every rule that can be lifted ends",
        ),
    ]


@pytest.mark.parametrize(("rule", "policy"), [("shadow", "enforce"), ("enforce", "shadow")])
def test_a_change_in_shadow_says_so(rule: str, policy: str) -> None:
    """A phase that begins in shadow, a rule's own or its policy's, refuses nobody."""
    dates = dated("enforce")
    coming = changes(policies(deny(phases=dates, mode=rule), mode=policy), (), WARNED)
    words = "is recorded in phase enforce (in shadow, nothing is enforced)"
    assert coming == [Change(ENFORCED, f"default: refuse {words}")]
