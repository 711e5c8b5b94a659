"""How recent Checks were wired, in numbers: what the running service tells of itself.

Numbers and a few addresses, in JSON's own types, so that a worker can write it, its parent can add
several up, and a command can read the sum. Nothing here knows how a Check is observed, and no key
has a place here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

MOST: Final = 8
"""Addresses that are shown, the most frequent first."""

Count = Mapping[str, int]


class ObservationError(ValueError):
    """What was read is no observation; the message says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The addresses that some Checks had.

    Attributes:
        kinds: Checks by the kind of the address: public, private, loopback, or none.
        distinct: how many addresses there are; of several workers at least so many.
        most: the most frequent, as far as they may be shown, with the number of Checks of each.
    """

    kinds: Count = field(default_factory=dict)
    distinct: int = 0
    most: Count = field(default_factory=dict)

    @property
    def known(self) -> int:
        """How many Checks had an address at all."""
        return sum(count for kind, count in self.kinds.items() if kind != "none")

    @property
    def local(self) -> int:
        """How many had one that is nowhere on the Internet."""
        return self.kinds.get("private", 0) + self.kinds.get("loopback", 0)

    def plus(self, other: Addresses) -> Addresses:
        """Add those of another worker."""
        most = Counter(self.most) + Counter(other.most)
        distinct = max(self.distinct, other.distinct, len(most))
        return Addresses(
            kinds=_sum(self.kinds, other.kinds),
            distinct=distinct,
            most=dict(most.most_common(MOST)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was observed; but for `checks` and `unjudged`, of the recent Checks alone.

    Attributes:
        source: the client_address.source that is in force.
        shown: how addresses are written: full, truncated or hmac.
        checks: answered since the start.
        unjudged: those that could not be judged, by the reason.
        recent: how many were looked at, of those judged by the source in force.
        peers: the addresses that Envoy was connected to from.
        clients: the addresses that were taken for the clients'.
        same: Checks whose client is the peer.
        problems: Checks without a client's address, by the reason why there is none.
        entries: Checks by the number of entries in x-forwarded-for, which is text as in JSON.
        appended: Checks whose last such entry is the peer.
        forwarded: Checks with a forwarded header (RFC 7239).
        metadata: Checks by the number of values that the client-address metadata has.
        keys: Checks by what was presented: one, none, malformed.
        refused_policies: Checks whose route names a policy that there is not.
        p50, p99, longest: microseconds taken; of several workers those of the slowest.
    """

    source: str = ""
    shown: str = "full"
    checks: int = 0
    unjudged: Count = field(default_factory=dict)
    recent: int = 0
    peers: Addresses = Addresses()
    clients: Addresses = Addresses()
    same: int = 0
    problems: Count = field(default_factory=dict)
    entries: Count = field(default_factory=dict)
    appended: int = 0
    forwarded: int = 0
    metadata: Count = field(default_factory=dict)
    keys: Count = field(default_factory=dict)
    refused_policies: int = 0
    p50: int = 0
    p99: int = 0
    longest: int = 0

    @property
    def unresolved(self) -> int:
        """How many Checks had no client's address."""
        return sum(self.problems.values())

    @property
    def usual_entries(self) -> int:
        """The most frequent number of entries in x-forwarded-for."""
        return int(max(self.entries.items(), key=lambda one: one[1], default=("0", 0))[0])

    def longer(self, than: int) -> int:
        """Return how many Checks had more than so many entries in x-forwarded-for."""
        return sum(count for entries, count in self.entries.items() if int(entries) > than)

    def plus(self, other: Observation) -> Observation:
        """Add what another worker observed."""
        return Observation(**{one.name: _added(one.name, self, other) for one in fields(self)})

    def written(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return asdict(self)

    @classmethod
    def read(cls, written: Any) -> Observation:
        """Read what `written` returned, whoever sent it.

        Raises:
            ObservationError: it is something else.
        """
        values = dict(_of_type(Mapping, written, "an observation"))
        for name in ("peers", "clients"):
            values[name] = Addresses(**_known(Addresses, values.get(name, {})))
        read = cls(**_known(cls, values))
        for entries in read.entries:
            if not entries.isdecimal():
                raise ObservationError(f"entries: expected numbers (got {entries[:20]!r})")
        return read


def total(observations: Iterable[Observation]) -> Observation:
    """Add up what several workers observed."""
    first, *others = [*observations] or [Observation()]
    for one in others:
        first = first.plus(one)
    return first


_GREATEST: Final = ("p50", "p99", "longest")


def _added(name: str, one: Observation, other: Observation) -> Any:
    mine, theirs = getattr(one, name), getattr(other, name)
    match mine:
        case Addresses():
            return mine.plus(theirs)
        case int():
            return max(mine, theirs) if name in _GREATEST else mine + theirs
        case str():
            return mine or theirs
    return _sum(mine, theirs)


def _sum(one: Count, other: Count) -> Count:
    return dict(Counter(one) + Counter(other))


def _known(model: type[Addresses | Observation], written: Any) -> dict[str, Any]:
    """Take the fields that are known, each of its own type: a newer service may tell of more."""
    values = _of_type(Mapping, written, "an observation")
    empty = model()
    return {
        one.name: _field(getattr(empty, one.name), values[one.name], one.name)
        for one in fields(model)
        if one.name in values
    }


def _field(empty: Any, value: Any, name: str) -> Any:
    if isinstance(empty, Addresses):
        return value
    if isinstance(empty, int | str):
        return _of_type(type(empty), value, name)
    counts = _of_type(Mapping, value, name)
    return {str(key): _of_type(int, count, name) for key, count in counts.items()}


def _of_type(wanted: Any, value: Any, name: str) -> Any:
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise ObservationError(f"{name}: expected {wanted.__name__} (got {type(value).__name__})")
    return value


def quantile(ordered: Sequence[int], share: float) -> int:
    """Return the value that this share of the values does not exceed; 0 of none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0
