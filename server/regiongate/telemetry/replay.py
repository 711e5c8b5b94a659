"""A decision record read back: the facts that it holds, to be decided again.

Pure; the way back of `record`. What a record does not hold is taken as empty, and `held` says what
that is: headers, query and certificate of the request, and what the key store knew of the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from regiongate.facts import Key, Request, Source
from regiongate.keys.record import ABSENT, UNKNOWN, KeyRecord, malformed
from regiongate.policy.decide import Facts, Verdict
from regiongate.policy.difference import FACTS, Trial
from regiongate.policy.exemptions import Exemption

_REQUEST: Final = ("method", "host", "path")
_KEY: Final = ("id", "org", "status")
_HELD: Final = frozenset(
    {
        *(fact for fact in FACTS if fact.startswith("source.")),
        *(f"key.{name}" for name in (*_KEY, "found", "presented", "problem")),
        *(f"request.{name}" for name in _REQUEST),
    }
)
_FROM_KEYS: Final = frozenset(fact for fact in FACTS if fact.startswith("key."))


class RecordError(ValueError):
    """A line that is no record, or a record that holds no facts."""


def held(*, keys: bool) -> frozenset[str]:
    """Name the facts that a record gives back.

    Args:
        keys: whether keys are looked up as well.
    """
    return _HELD | (_FROM_KEYS if keys else frozenset())


def trial(name: str, line: bytes, keys: Mapping[str, KeyRecord], at: datetime | None) -> Trial:
    """Make a trial of a line of the decision log.

    Args:
        name: what the trial is called.
        line: one JSON object.
        keys: by id, for what the record does not hold of a key.
        at: the moment to decide at; None for the record's own, at which the outcome can be held
            against the recorded one.

    Raises:
        RecordError: the line is no record, or holds no facts.
    """
    record = _record(line)
    try:
        time = _time(record["time"])
        facts = _facts(record, keys, at or time)
        recorded = Verdict(record["verdict"]) if at is None else None
        return Trial(name, record["policy"], facts, at or time, recorded)
    except KeyError as error:
        raise RecordError(f"expected a decision record with {error}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"expected a decision record ({error})") from None


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RecordError(f"expected JSON ({error})") from None
    if not isinstance(record, dict):
        raise RecordError("expected a JSON object")
    if "source" not in record:
        raise RecordError("holds no facts: the Check could not be read or judged")
    return record


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"expected a time with an offset from UTC, got {text}")
    return time


def _facts(record: Mapping[str, Any], keys: Mapping[str, KeyRecord], at: datetime) -> Facts:
    source = dict(record["source"])
    source["asn"] = int(source.get("asn", 0))  # protobuf's own JSON writes int64 as text
    request = record.get("request", {})
    asked = Request(**{name: request[name] for name in _REQUEST if name in request})
    key, exemptions = _key(record, keys, at)
    return Facts(Source(**source), key, asked, exemptions)


def _key(
    record: Mapping[str, Any], keys: Mapping[str, KeyRecord], at: datetime
) -> tuple[Key, tuple[Exemption, ...]]:
    recorded = record.get("key", {})
    if recorded.get("problem"):
        return malformed(recorded["problem"]), ()
    written = {name: value for name, value in recorded.items() if name in _KEY}
    if not written.get("id"):
        return UNKNOWN if recorded.get("presented") else ABSENT, ()
    key, known = Key(), keys.get(written["id"])
    if known:
        key.CopyFrom(known.facts(at))
    # What was recorded counts before what the file says today.
    key.MergeFrom(Key(found=True, presented=True, **written))
    return key, known.profile.exemptions if known else _exemptions(record)


def _exemptions(record: Mapping[str, Any]) -> tuple[Exemption, ...]:
    """Return what is known of the exemption that was used: the rule that it lifted."""
    if record.get("reason") != "exempt":
        return ()
    return (
        Exemption(
            id=record["exemption"],
            rule=record["rule"],
            why="",
            ticket="",
            approved_by="",
            ends=datetime.max.replace(tzinfo=UTC),
        ),
    )
