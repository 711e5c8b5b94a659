"""What may become of a key: which status may follow which, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from regiongate.keys.entries import Entry, EvidenceModel, KeyModel
from regiongate.keys.record import Status
from regiongate.keys.register import Note
from regiongate.keys.strikes import Tally


class Refused(Exception):  # noqa: N818 an outcome that is expected, not a fault
    """A status that may not follow the one there is."""


def brings_back(before: bytes | str, entry: Entry) -> bool:
    """Say whether an entry in place of another would bring back a key that is revoked for good.

    Args:
        before: the entry that is there, as a store keeps it.
        entry: the new one.
    """
    if not isinstance(entry, KeyModel) or entry.status is Status.REVOKED:
        return False
    return bool(orjson.loads(before).get("status") == Status.REVOKED)


def setting(status: Status, note: Note) -> Callable[[KeyModel], KeyModel]:
    """Return what gives a key a status, with the reason, who and when.

    A key that has the status already is given a reason that is new; the evidence that it was
    suspended for stays. What is returned raises Refused for a key that is revoked: that is for
    good.
    """

    def edit(key: KeyModel) -> KeyModel:
        if key.status is Status.REVOKED and status is not Status.REVOKED:
            raise Refused(f"{key.id}: expected a key that is not revoked")
        if key.status is not status:
            return _with(key, status, note).model_copy(update={"evidence": None})
        return key if note.why in ("", key.status_reason) else _with(key, status, note)

    return edit


def suspending(tally: Tally, note: Note) -> Callable[[KeyModel], KeyModel]:
    """Return what suspends a key for its strikes, with the evidence.

    A key that is not active stays as it is, and so does one that was made active after the last of
    the strikes.
    """

    def edit(key: KeyModel) -> KeyModel:
        since = key.status_at
        if key.status is not Status.ACTIVE or (since is not None and since >= tally.last):
            return key
        suspended = _with(key, Status.SUSPENDED, note)
        return suspended.model_copy(update={"evidence": _evidence(tally)})

    return edit


def _evidence(tally: Tally) -> EvidenceModel:
    return EvidenceModel.model_validate(
        {
            "rule": tally.rule,
            "strikes": tally.strikes,
            "first": tally.first.isoformat(),
            "last": tally.last.isoformat(),
            "countries": list(tally.countries),
        }
    )


def _with(key: KeyModel, status: Status, note: Note) -> KeyModel:
    return key.model_copy(
        update={
            "status": status,
            "status_reason": note.why,
            "status_by": note.who,
            "status_at": note.at,
        }
    )
