"""A decision as a record: the JSON form of protos/regiongate/v1/decision.proto.

Written by hand rather than by protobuf's JSON printer, which takes ten times as long; a test
holds the two against each other. Empty values are left out, as proto3's JSON does.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from regiongate.extauthz.service import Event, Judged, Snapshot
from regiongate.extauthz.wire import Check
from regiongate.facts import Source

LONGEST: Final = 2048
"""Characters of a text that a client chooses; what is longer is cut."""


def record(event: Event) -> dict[str, Any]:
    """Make the record of an answered Check; times in it are datetimes, of UTC."""
    judged = event.judged
    written: dict[str, Any] = {"time": event.time, "decision_id": event.decision_id}
    written["verdict"] = event.told.outcome
    for name in _TOLD:
        if value := getattr(event.told, name):
            written[name] = value
    if judged is not None:
        _add(written, "source", source(judged.facts.source))
        _add(written, "key", _key(judged, event.snapshot.keys.age(event.time)))
        _add(written, "request", _request(judged.check))
    _add(written, "inputs", _inputs(event.snapshot))
    if microseconds := round(event.seconds * 1e6):
        written["microseconds"] = microseconds
    return written


def source(located: Source) -> dict[str, Any]:
    """Make the record of where a client is."""
    return {
        field.name: list(value) if field.is_repeated else value
        for field, value in located.ListFields()
    }


_TOLD: Final = ("policy_verdict", "policy", "rule", "reason", "phase", "exemption")


def _key(judged: Judged, age: float) -> dict[str, Any]:
    key = judged.facts.key
    written = {name: value for name in _KEY if (value := getattr(key, name))}
    if age and key.found:
        written["age_seconds"] = round(age, 1)
    return written


_KEY: Final = ("id", "org", "status", "presented", "problem")


def _request(check: Check) -> dict[str, Any]:
    written: dict[str, Any] = {}
    _add(written, "method", check.method[:LONGEST])
    _add(written, "host", check.host[:LONGEST])
    _add(written, "path", check.path[:LONGEST])
    _add(written, "request_id", check.text("x-request-id")[:LONGEST])
    _add(written, "trace_id", _trace_id(check.text("traceparent")))
    return written


def _inputs(snapshot: Snapshot) -> dict[str, Any]:
    policies, keys = snapshot.policies, snapshot.keys
    return _written_inputs(
        policies.digest, snapshot.database_type, snapshot.database_built, keys.version
    )


@lru_cache(maxsize=8)
def _written_inputs(
    policy: str, database: str, built: datetime | None, keys: str
) -> dict[str, Any]:
    written: dict[str, Any] = {}
    _add(written, "policy_digest", policy)
    _add(written, "database_type", database)
    _add(written, "database_built", built)
    _add(written, "keys_version", keys)
    return written


def _add(written: dict[str, Any], name: str, value: object) -> None:
    """Write a value down, unless it is empty."""
    if value:
        written[name] = value


def _trace_id(traceparent: str) -> str:
    """Read the trace id of a traceparent header (W3C Trace Context, section 3.2)."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else ""  # noqa: PLR2004 the header's form
