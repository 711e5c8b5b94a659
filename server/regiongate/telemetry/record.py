"""A decision as a record: the JSON form of protos/regiongate/v1/decision.proto.

Written by hand rather than by protobuf's JSON printer, which takes ten times as long; a test
holds the two against each other. Empty values are left out, as proto3's JSON does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from regiongate.extauthz.judging import Asked, Judged, Snapshot
from regiongate.extauthz.responses import Told
from regiongate.extauthz.service import Event
from regiongate.extauthz.wire import Check
from regiongate.facts import Key, Located, Source
from regiongate.telemetry.privacy import without_addresses

LONGEST: Final = 2048
"""Characters of a text that a client chooses; what is longer is cut."""


def record(event: Event) -> dict[str, Any]:
    """Make the record of an answered Check; times in it are datetimes, of UTC."""
    call = event.call
    written = {"time": call.time, "decision_id": call.decision_id, **_told(event.told)}
    asked: Judged | Asked | None = event.judged or event.asked
    if asked is not None:
        written["source"] = source(asked.located)
        if why := asked.client.problem:
            written["address_problem"] = without_addresses(why)
        # Of one that no store could be asked for no more is known than that it is there.
        known = asked.key if isinstance(asked, Judged) else Key(presented=bool(asked.digests))
        if key := _key(known, call.snapshot.keys.age(call.time)):
            written["key"] = key
        written["request"] = _request(asked.check)
    written["inputs"] = _inputs(event.call.snapshot)
    if microseconds := round(event.seconds * 1e6):
        written["microseconds"] = microseconds
    return written


def source(located: Located) -> dict[str, Any]:
    """Make the record of where a client is."""
    written = {"address": located.address} if located.address else {}
    written |= _place(located.place)
    if located.network:
        written["network"] = located.network
    return written


# What many Checks share is made once: a line takes as long as a decision.


@lru_cache(maxsize=4096)
def _place(place: bytes) -> Mapping[str, Any]:
    return {
        field.name: list(value) if field.is_repeated else value
        for field, value in Source.FromString(place).ListFields()
    }


@lru_cache(maxsize=4096)
def _told(told: Told) -> Mapping[str, str]:
    written = {name: getattr(told, name) for name in _TOLD}
    return {"verdict": told.outcome, **_present(written)}


_TOLD: Final = ("policy_verdict", "policy", "rule", "reason", "phase", "exemption")


# Field by field: what every Check tells is not worth a loop.


def _key(key: Key, age: float) -> dict[str, Any]:
    if not key.presented:
        return {}
    written: dict[str, Any] = {}
    if id_ := key.id:
        written["id"] = id_
    if org := key.org:
        written["org"] = org
    if status := key.status:
        written["status"] = status
    written["presented"] = True
    if problem := key.problem:
        written["problem"] = problem
    if age:
        written["age_seconds"] = round(age, 1)
    return written


def _request(check: Check) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if method := check.method:
        written["method"] = method[:LONGEST]
    if host := check.host:
        written["host"] = host[:LONGEST]
    if path := check.path:
        written["path"] = path[:LONGEST]
    if request_id := check.text("x-request-id"):
        written["request_id"] = request_id[:LONGEST]
    if trace_id := _trace_id(check.text("traceparent")):
        written["trace_id"] = trace_id
    return written


def _inputs(snapshot: Snapshot) -> Mapping[str, Any]:
    policies, keys = snapshot.policies, snapshot.keys
    return _written_inputs(
        policies.digest, snapshot.database_type, snapshot.database_built, keys.version
    )


@lru_cache(maxsize=8)
def _written_inputs(
    policy: str, database: str, built: datetime | None, keys: str
) -> Mapping[str, Any]:
    return _present(
        {
            "policy_digest": policy,
            "database_type": database,
            "database_built": built,
            "keys_version": keys,
        }
    )


def _present(written: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is empty."""
    return {name: value for name, value in written.items() if value}


def _trace_id(traceparent: str) -> str:
    """Read the trace id of a traceparent header (W3C Trace Context, section 3.2)."""
    if not traceparent:
        return ""
    parts = traceparent.split("-")
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else ""  # noqa: PLR2004 the header's form
