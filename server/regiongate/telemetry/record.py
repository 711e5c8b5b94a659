"""A decision as a record: the JSON form of protos/regiongate/v1/decision.proto.

Written by hand rather than by protobuf's JSON printer, which takes ten times as long; a test
holds the two against each other. Empty values are left out, as proto3's JSON does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from regiongate.extauthz.service import Event, Judged, Snapshot
from regiongate.facts import Source


def record(event: Event) -> dict[str, Any]:
    """Make the record of an answered Check."""
    told, judged = event.told, event.judged
    return _present(
        time=_time(event.time),
        decision_id=event.decision_id,
        verdict=told.outcome,
        policy_verdict=told.policy_verdict,
        policy=told.policy,
        rule=told.rule,
        reason=told.reason,
        phase=told.phase,
        exemption=told.exemption,
        **(_what(judged, event.snapshot.keys.age(event.time)) if judged else {}),
        inputs=_inputs(event.snapshot),
        microseconds=round(event.seconds * 1e6),
    )


def _what(judged: Judged, age: float) -> Mapping[str, Any]:
    key, check = judged.facts.key, judged.check
    return {
        "source": source(judged.facts.source),
        "key": _present(
            id=key.id,
            org=key.org,
            status=key.status,
            presented=key.presented,
            problem=key.problem,
            age_seconds=round(age, 1) if age and key.found else None,
        ),
        "request": _present(
            method=check.method,
            host=check.host,
            path=check.path,
            request_id=check.text("x-request-id"),
            trace_id=_trace_id(check.text("traceparent")),
        ),
    }


def source(located: Source) -> dict[str, Any]:
    """Make the record of where a client is."""
    return {
        field.name: list(value) if field.is_repeated else value
        for field, value in located.ListFields()
    }


def _inputs(snapshot: Snapshot) -> dict[str, Any]:
    return _present(
        policy_digest=snapshot.policies.digest,
        database_type=snapshot.database_type,
        database_built=_time(snapshot.database_built) if snapshot.database_built else "",
        keys_version=snapshot.keys.version,
    )


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _trace_id(traceparent: str) -> str:
    """Read the trace id of a traceparent header (W3C Trace Context, section 3.2)."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else ""  # noqa: PLR2004 the header's form


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in ("", {}, None, False)}
