"""Tables of given and expected: what they say, and that they say what `decide` does."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate import policy
from regiongate.documents import DocumentError
from regiongate.facts import Key, Request, Source
from regiongate.policy import Facts, PolicySet, Verdict, cases
from regiongate.policy.cases import Case, Given, GivenKey, GivenRequest, Mismatch
from tests.expectations import expected_in
from tests.policies import FACTS, MOMENTS, NOW, POLICIES, allow, dated, deny, policies

BAD = sorted((Path(__file__).parents[2] / "data/cases/bad").glob("*.yaml"))

KNOWN: dict[str, Any] = {"found": True, "presented": True, "status": "active"}
KEYS: list[tuple[dict[str, Any], Key]] = [
    ({}, Key()),
    ({"presented": True}, Key(presented=True)),
    ({"found": True}, Key(**KNOWN)),
    ({"org": "acme"}, Key(**KNOWN, org="acme")),
    ({"labels": {"tier": "gold"}}, Key(**KNOWN, labels={"tier": "gold"})),
    ({"status": "revoked"}, Key(found=True, presented=True, status="revoked")),
    ({"allowed_countries": ["FR"]}, Key(**KNOWN, allowed_countries=["FR"], restricted=True)),
    ({"allowed_countries": []}, Key(**KNOWN, restricted=True)),
    ({"denied_countries": ["FR"]}, Key(**KNOWN, denied_countries=["FR"])),
    ({"expires": "2025-01-01T00:00:00Z"}, Key(**KNOWN, expires=datetime(2025, 1, 1, tzinfo=UTC))),
    ({"problem": "two keys"}, Key(presented=True, problem="two keys")),
    ({"found": False, "presented": False}, Key()),
]

SOURCES: list[tuple[dict[str, Any], Source]] = [
    ({}, Source(status="unknown")),
    ({"country": "FR"}, Source(status="located", country="FR")),
    (
        {"country": "UA", "regions": ["UA-43"]},
        Source(status="located", country="UA", regions=["UA-43"]),
    ),
    ({"status": "private", "address": "10.0.0.1"}, Source(status="private", address="10.0.0.1")),
    ({"asn": 64496, "tor": True}, Source(status="unknown", asn=64496, tor=True)),
]

EMBARGO = policies(
    deny('source.within("embargoed")', name="embargoed", exemptable=False),
    deny('!source.within("supported")', name="unsupported", phases=dated("warn", "enforce")),
    allow('key.org == "acme"', name="acme"),
    otherwise={"deny": {"reason": "closed", "status": 451}},
)

DECIDED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"country": "IR"},
        {"verdict": "deny", "rule": "embargoed", "reason": "embargoed-reason", "status": 403},
    ),
    ({"country": "FR", "key": {"org": "acme"}}, {"verdict": "allow", "status": None}),
    ({"country": "FR"}, {"verdict": "deny", "rule": "", "reason": "closed", "status": 451}),
    ({"country": "XK"}, {"verdict": "deny", "phase": "enforce", "exemption": ""}),
    (
        {"country": "XK", "key": {"org": "acme"}, "at": "2024-07-01T00:00:00Z"},
        {"verdict": "allow", "policy_verdict": "deny", "phase": "warn", "rule": "unsupported"},
    ),
    ({"country": "FR", "policy": "other"}, {"verdict": "deny", "reason": "unknown_policy"}),
]


def table(*written: dict[str, Any], **defaults: Any) -> tuple[Case, ...]:
    """Load a table of cases; JSON is YAML."""
    named = [{"name": f"case {n}", **case} for n, case in enumerate(written)]
    file = {"version": 1, "defaults": {"at": NOW.isoformat(), **defaults}, "cases": named}
    return cases.load("cases.yaml", json.dumps(file))


def facts_of(written: dict[str, Any], **defaults: Any) -> Facts:
    """Return the facts of one case."""
    [case] = table({"given": written, "expect": {"verdict": "allow"}}, **defaults)
    return case.facts


@pytest.mark.parametrize(("written", "key"), KEYS)
def test_what_is_written_of_a_key_implies_the_rest(written: dict[str, Any], key: Key) -> None:
    """A key of which anything is known is presented, found and active."""
    assert facts_of({"key": written}).key == key


@pytest.mark.parametrize(("written", "source"), SOURCES)
def test_where_a_client_is_follows_from_its_country(
    written: dict[str, Any], source: Source
) -> None:
    """A country is located; without one, the client's country is unknown."""
    assert facts_of(written).source == source


@pytest.mark.parametrize(
    ("model", "message", "apart"),
    [
        (Given, Source, {"key", "request", "policy", "at"}),
        (GivenKey, Key, {"exemptions"}),
        (GivenRequest, Request, set[str]()),
    ],
)
def test_every_fact_can_be_given(model: type[Given], message: Any, apart: set[str]) -> None:
    """A fact that policies can see can be written in a table; `restricted` follows from a list."""
    facts = set(message.DESCRIPTOR.fields_by_name) - {"restricted"}
    assert set(model.model_fields) - apart == facts


def test_a_case_says_what_differs_from_the_defaults() -> None:
    """What a case gives stands in place of the default of the same name, whole."""
    given = facts_of(
        {"country": "US", "key": {"plan": "team"}},
        country="FR",
        asn=64496,
        key={"org": "acme"},
        request={"path": "/v1"},
    )
    assert given == Facts(
        Source(status="located", country="US", asn=64496),
        Key(found=True, presented=True, status="active", plan="team"),
        Request(path="/v1"),
    )


@pytest.mark.parametrize(("written", "expected"), DECIDED)
def test_a_case_passes_when_everything_it_expects_is_decided(
    written: dict[str, Any], expected: dict[str, Any]
) -> None:
    """What a case does not mention may be anything."""
    [case] = table({"given": written, "expect": expected})
    assert cases.run(EMBARGO, case).mismatches == ()


def test_a_case_that_fails_says_what_it_got() -> None:
    """Every field that is not as expected is named, the verdict first."""
    expect = {"reason": "other", "verdict": "allow", "status": None, "rule": "embargoed"}
    [case] = table({"given": {"country": "IR"}, "expect": expect})
    assert cases.run(EMBARGO, case).mismatches == (
        Mismatch("verdict", "allow", "deny"),
        Mismatch("reason", "other", "embargoed-reason"),
        Mismatch("status", None, 403),
    )


def test_a_case_knows_its_line() -> None:
    """A failing case can be found in its file."""
    text = (
        "version: 1\n"
        "defaults: {at: 2024-08-01T00:00:00Z}\n"
        "cases:\n"
        "  - name: one\n"
        "    expect: {verdict: allow}\n"
        "  - name: two\n"
        "    expect: {verdict: allow}\n"
    )
    assert [case.line for case in cases.load("cases.yaml", text)] == [4, 6]


def test_rules_that_no_case_is_decided_by_are_named() -> None:
    """A table shows what it leaves untried."""
    [case] = table({"given": {"country": "IR"}, "expect": {"verdict": "deny"}})
    outcomes = [cases.run(EMBARGO, case)]
    assert cases.untried(EMBARGO, outcomes) == [("default", "unsupported"), ("default", "acme")]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_mistake_in_a_table_is_told(path: Path) -> None:
    """The message names file, line and key, what was expected and what was found."""
    text = path.read_text(encoding="utf-8")
    with pytest.raises(DocumentError) as error:
        cases.load(path.name, text)
    assert str(error.value) == expected_in(text)


@given(POLICIES, FACTS, MOMENTS, st.sampled_from(["", "default", "other"]))
def test_a_table_agrees_with_the_decision(
    policies: PolicySet, facts: Facts, now: datetime, name: str
) -> None:
    """A case that expects what is decided passes, and one that expects the opposite does not."""
    decision = policy.decide(policies, name, facts, now)
    decided = cases.decided(policies, decision)
    right = Case(name="case", line=1, policy=name, facts=facts, at=now, expected=decided)
    assert cases.run(policies, right).mismatches == ()
    opposite = "allow" if decision.verdict is Verdict.DENY else "deny"
    wrong = Case(
        name="case", line=1, policy=name, facts=facts, at=now, expected={"verdict": opposite}
    )
    assert cases.run(policies, wrong).mismatches == (
        Mismatch("verdict", opposite, decision.verdict.value),
    )
