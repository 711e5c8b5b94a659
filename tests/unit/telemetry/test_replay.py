"""Decision records read back: what they hold, what they do not, and lines that are none."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given

from regiongate.facts import Key, Located, Request, Source
from regiongate.keys.record import KeyRecord, Profile
from regiongate.policy import Facts, Verdict, decide
from regiongate.telemetry import record, replay
from tests.policies import ENFORCED, NOW, SOURCES, deny, exemption, policies

RECORD: dict[str, Any] = {
    "time": "2024-08-01T00:00:00Z",
    "decision_id": "0" * 32,
    "verdict": "deny",
    "policy_verdict": "deny",
    "policy": "default",
    "rule": "refuse",
    "reason": "refuse-reason",
    "phase": "enforce",
    "source": {
        "address": "2.144.0.1",
        "status": "located",
        "country": "IR",
        "regions": ["IR-23"],
        "asn": 64496,
        "tor": True,
    },
    "key": {"id": "k1", "org": "acme", "status": "active"},
    "request": {"method": "POST", "host": "api.example.com", "path": "/v1", "request_id": "r"},
    "microseconds": 30,
}
SOURCE = Source(
    address="2.144.0.1", status="located", country="IR", regions=["IR-23"], asn=64496, tor=True
)
KEY = Key(found=True, presented=True, id="k1", org="acme", status="active")

NO_RECORDS: list[tuple[bytes, str]] = [
    (b"", "expected JSON (Input is a zero-length, empty document: line 1 column 1 (char 0))"),
    (b'{"time": ', "expected JSON (unexpected end of data: line 1 column 10 (char 9))"),
    (
        b"\xff",
        "expected JSON (str is not valid UTF-8: surrogates not allowed: line 1 column 1 (char 0))",
    ),
    (b"[]", "expected a JSON object"),
    (b"{}", "holds no facts: the Check could not be read or judged"),
    (b'{"source": {}}', "expected a decision record with 'time'"),
]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"time": "yesterday"}, "Invalid isoformat string: 'yesterday'"),
    (
        {"time": "2024-08-01T00:00:00"},
        "expected a time with an offset from UTC, got 2024-08-01T00:00:00",
    ),
    ({"verdict": "maybe"}, "'maybe' is not a valid Verdict"),
    ({"source": {"county": "IR"}}, 'Protocol message Source has no "county" field.'),
]


def read(written: dict[str, Any], *known: KeyRecord, at: datetime | None = None) -> Facts:
    """Return the facts of a record."""
    keys = {one.id: one for one in known}
    return replay.trial("one", json.dumps(written).encode(), keys, at).facts


def test_a_record_gives_back_what_it_holds() -> None:
    """Place, key and request are as they were; what is not recorded is empty."""
    trial = replay.trial("line 1", json.dumps(RECORD).encode(), {}, None)
    request = Request(method="POST", host="api.example.com", path="/v1")
    assert trial.facts == Facts(SOURCE, KEY, request)
    assert (trial.name, trial.policy, trial.at) == ("line 1", "default", NOW)
    assert trial.recorded is Verdict.DENY


def test_another_moment_is_not_held_against_the_record() -> None:
    """What was decided then says nothing about another time."""
    trial = replay.trial("one", json.dumps(RECORD).encode(), {}, ENFORCED)
    assert (trial.at, trial.recorded) == (ENFORCED, None)


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ({**RECORD, "key": {}}, Key()),
        ({**RECORD, "key": {"presented": True}}, Key(presented=True)),
        (
            {**RECORD, "key": {"presented": True, "problem": "the key is empty"}},
            Key(presented=True, problem="the key is empty"),
        ),
    ],
)
def test_a_record_without_a_key_tells_none_an_unknown_and_a_malformed_one_apart(
    written: dict[str, Any], key: Key
) -> None:
    """An unknown key is not the same as none, and neither is one that could not be read."""
    assert read(written).key == key


def test_protobufs_own_json_is_read_too() -> None:
    """A 64-bit number is text there."""
    assert read({**RECORD, "source": {**RECORD["source"], "asn": "64496"}}).source == SOURCE


def test_a_key_is_looked_up_for_what_is_not_recorded() -> None:
    """Lists and exemptions come from the key file; what was recorded counts before it."""
    lifted = exemption()
    profile = Profile(allowed_countries=frozenset({"US"}), exemptions=(lifted,))
    facts = read(RECORD, KeyRecord(id="k1", org="other", profile=profile))
    expected = Key()
    expected.CopyFrom(KEY)
    expected.allowed_countries.append("US")
    expected.restricted = True
    assert facts.key == expected
    assert facts.exemptions == (lifted,)


def test_an_exemption_that_was_used_is_known_by_the_rule_it_lifted() -> None:
    """Without the key file, the decision is still made as it was."""
    policy = policies(deny(name="refuse"), deny(name="other"))
    written = {**RECORD, "verdict": "allow", "reason": "exempt", "exemption": "e1"}
    decision = decide(policy, "", read(written), NOW)
    assert [step.lifted_by is not None for step in decision.steps] == [True, False]


@pytest.mark.parametrize(("line", "message"), NO_RECORDS)
def test_a_line_that_is_no_record_is_told(line: bytes, message: str) -> None:
    """The reason says what was expected."""
    with pytest.raises(replay.RecordError) as error:
        replay.trial("one", line, {}, None)
    assert str(error.value) == message


@pytest.mark.parametrize(("wrong", "reason"), WRONG)
def test_a_record_with_a_wrong_value_is_told(wrong: dict[str, Any], reason: str) -> None:
    """The reason names the value."""
    with pytest.raises(replay.RecordError) as error:
        read({**RECORD, **wrong})
    assert str(error.value) == f"expected a decision record ({reason})"


def test_what_a_record_holds_of_a_key_depends_on_the_key_file() -> None:
    """What the store knew of a key is not written down."""
    assert "key.allowed_countries" in replay.held(keys=True) - replay.held(keys=False)
    assert {"source.tor", "key.status", "request.path"} < replay.held(keys=False)
    assert "request.headers" not in replay.held(keys=True)


@given(SOURCES)
def test_a_place_is_read_back_as_it_was_written(source: Source) -> None:
    """The writer of records and their reader are each other's way back."""
    assert read({**RECORD, "source": record.source(Located.of(source))}).source == source
