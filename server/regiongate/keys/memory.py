"""What is remembered of keys, and whether it still holds.

Known and unknown keys are remembered apart, so that a flood of made-up keys pushes out no real one.
Of keys that are not in use, no more is remembered than their record can be made of.

Nothing here waits, asks a store or has a clock: the time is handed in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Final

from regiongate.keys.entries import Brief
from regiongate.keys.record import READY, KeyRecord

CHANGED: Final = 10_000
"""Changed organisations that are told apart; one more counts as a change of everything."""

Entry = tuple[float, int, bytes, str, bytes | None]
"""A known key: until when it is remembered (0 where it has changed since), the epoch it is of, and
all that a Brief holds.

A tuple of plain values, as Python's collector of garbage leaves those alone: a hundred thousand
objects of a class of ours would stop everything for a tenth of a second, again and again.
"""


class Memory:
    """Keys, the least recently used of which are forgotten.

    Args:
        size: known keys, and unknown ones, remembered at once.
    """

    def __init__(self, size: int) -> None:
        self._size: Final = size
        self._known: Final[OrderedDict[bytes, Entry]] = OrderedDict()
        self._unknown: Final[OrderedDict[bytes, float]] = OrderedDict()
        self._records: Final[OrderedDict[bytes, KeyRecord]] = OrderedDict()
        self._epoch = 0
        self._all_changed = 0
        self._all_outdated = 0
        self._changed: Final[dict[str, int]] = {}

    @property
    def known(self) -> int:
        """How many known keys are remembered."""
        return len(self._known)

    @property
    def unknown(self) -> int:
        """How many unknown keys are remembered."""
        return len(self._unknown)

    def fresh(self, digest: bytes, now: float) -> KeyRecord | None:
        """Return the record of a known key that may be used without a doubt, if there is one."""
        entry = self._known.get(digest)
        if entry is None or entry[0] <= now:
            return None
        if entry[1] != self._epoch and not self.is_unchanged(digest, entry):
            return None
        self._known.move_to_end(digest)
        return self._records.get(digest) or self.record(digest, entry)

    def entry(self, digest: bytes) -> Entry | None:
        """Return what is remembered of a known key, however old, and count that as a use of it."""
        entry = self._known.get(digest)
        if entry is not None:
            self._known.move_to_end(digest)
        return entry

    def is_unknown(self, digest: bytes, now: float) -> bool:
        """Say whether a key is remembered as unknown, and count that as a use of it."""
        until = self._unknown.get(digest)
        if until is None or until <= now:
            return False
        self._unknown.move_to_end(digest)
        return True

    def is_unchanged(self, digest: bytes, entry: Entry) -> bool:
        """Say whether no change was told of since a key was looked up, however long ago."""
        until, epoch, _, org, _ = entry
        if until <= 0 or epoch < max(self._all_changed, self._changed.get(org, 0)):
            return False
        self._known[digest] = (until, self._epoch, *entry[2:])
        return True

    def is_outdated(self, entry: Entry) -> bool:
        """Say whether a change was told of this very key, or of its organisation."""
        until, epoch, _, org, _ = entry
        told = max(self._all_outdated, self._changed.get(org, 0)) if org else 0
        return until <= 0 or epoch < told

    def record(self, digest: bytes, entry: Entry) -> KeyRecord:
        """Return the record of a key that is in use now; as many are kept as facts are ready."""
        record = self._records.get(digest)
        if record is None:
            record = self._records[digest] = Brief(*entry[2:]).record()
            if len(self._records) > READY:
                self._records.popitem(last=False)
        return record

    def remember(self, digest: bytes, brief: Brief, until: float) -> KeyRecord:
        """Remember a known key.

        Args:
            digest: of the key.
            brief: what is known of it.
            until: when it is to be looked up anew.
        """
        said = brief.key, brief.org, brief.organisation
        old = self._known.get(digest)
        if old is None or old[2:] != said:
            # Else it stays the same value: decisions are remembered by that.
            self._records.pop(digest, None)
        self._unknown.pop(digest, None)
        entry = self._known[digest] = (until, self._epoch, *said)
        self._known.move_to_end(digest)
        if len(self._known) > self._size:
            evicted, _ = self._known.popitem(last=False)
            self._records.pop(evicted, None)
        return self.record(digest, entry)

    def remember_unknown(self, digest: bytes, until: float) -> None:
        """Remember an unknown key."""
        self._known.pop(digest, None)
        self._records.pop(digest, None)
        self._unknown[digest] = until
        self._unknown.move_to_end(digest)
        if len(self._unknown) > self._size:
            self._unknown.popitem(last=False)

    def doubt(self, digest: bytes) -> None:
        """Take a key for changed: it is to be looked up anew when it is next wanted."""
        self._unknown.pop(digest, None)
        if digest in self._known:
            self._known[digest] = (0.0, *self._known[digest][1:])

    def doubt_organisations(self, organisations: Collection[str]) -> None:
        """Take every key of some organisations for changed."""
        self._epoch += 1
        for one in organisations:
            self._changed[one] = self._epoch
        if len(self._changed) > CHANGED:
            # One more is not told apart: that of any may be the change that matters.
            self._all_outdated = self._epoch
            self._changed.clear()
            self.doubt_everything()

    def doubt_everything(self) -> None:
        """Take every key for changed; which have been told of by name stays known."""
        self._epoch += 1
        self._all_changed = self._epoch
        self._unknown.clear()
