"""How recent Checks were wired: who connected, who was taken for the client, whether a key came.

Observes every answer, and looks closely at so many a second that a busy service does not notice.
Never keeps a Check, a header's value or a key. What the numbers mean is for `doctor` to say.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NamedTuple

from regiongate.address import CLIENT_ADDRESS_METADATA, AddressSource, EnvoyMetadata, parse
from regiongate.doctor.observation import MOST, Addresses, Observation, quantile
from regiongate.extauthz.judging import Judged
from regiongate.extauthz.service import Event
from regiongate.geo.ranges import is_private
from regiongate.policy.decide import UNKNOWN_POLICY
from regiongate.telemetry.privacy import Privacy, without_addresses

CAPACITY: Final = 1024
"""Checks that are remembered."""

EACH_SECOND: Final = 128
"""Checks that are looked at closely in a second; it takes some 5 µs each."""

MOST_ENTRIES: Final = 16
"""Entries of a chain that are counted; a client can send thousands."""

_FORWARDED_FOR: Final = "x-forwarded-for"
_LOOPBACK: Final = ("127.0.0.1", "::1")


class Seen(NamedTuple):
    """What is remembered of one Check.

    Attributes:
        peer, client: addresses; empty where there is none.
        same: whether they are the same one.
        problem: why there is no client's address, without anything that was sent.
        entries: in x-forwarded-for, up to MOST_ENTRIES.
        appended: whether the last of them is the peer, or may stand for it.
        forwarded: whether there is a forwarded header (RFC 7239).
        metadata: how many values the client-address metadata has.
        key: one, none or malformed.
        refused_policy: whether the route names a policy that there is not.
    """

    peer: str
    client: str
    same: bool
    problem: str
    entries: int
    appended: bool
    forwarded: bool
    metadata: int
    key: str
    refused_policy: bool
    microseconds: int


class _Judged(NamedTuple):
    """Checks that were judged by one source of the client's address.

    After a change of `client_address`, the Checks before it say nothing of the wiring since.
    """

    by: AddressSource | None
    recent: deque[Seen]

    def under(self, address: AddressSource) -> _Judged:
        """Return those judged by a source: these, or none yet."""
        if address is self.by:
            return self
        same = address == self.by
        return _Judged(address, self.recent if same else deque(maxlen=CAPACITY))


class Wiring:
    """Observes how Checks are wired.

    Args:
        show: how much of an address may be shown.
        shown: what that is called.
        clock: returns seconds that only go up.
    """

    def __init__(
        self, show: Privacy, shown: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show = show
        self._shown = shown
        self._clock = clock
        # One value for both, as another thread reads them.
        self._judged = _Judged(None, deque(maxlen=CAPACITY))
        self._unjudged = Counter[str]()
        self._checks = 0
        self._left, self._again = 0, float("-inf")

    def record(self, event: Event) -> None:
        """Take note of an answered Check."""
        self._checks += 1
        if event.judged is None:
            self._unjudged[event.told.reason] += 1
        elif self._left or self._refilled():
            self._left -= 1
            self._judged = judged = self._judged.under(event.call.snapshot.address)
            judged.recent.append(_seen(event, event.judged))

    def _refilled(self) -> bool:
        now = self._clock()
        if now < self._again:
            return False
        self._left, self._again = EACH_SECOND, now + 1
        return True

    def observation(self, source: str, address: AddressSource) -> Observation:
        """Put what is remembered into numbers; may be called from any thread.

        Args:
            source: the client_address.source in force.
            address: that source itself.
        """
        recent = self._judged.under(address).recent.copy()
        # By columns: each is then gone through in C, and a worker does this twice a second.
        columns = [*zip(*recent, strict=True)] or [()] * len(Seen._fields)
        peer, client, same, problem, entries, appended, forwarded, metadata, *others = columns
        key, refused, microseconds = others
        took = sorted(microseconds)
        return Observation(
            source=source,
            shown=self._shown,
            checks=self._checks,
            unjudged=dict(self._unjudged.copy()),
            recent=len(recent),
            peers=self._addresses(peer),
            clients=self._addresses(client),
            same=sum(same),
            problems=dict(Counter(filter(None, problem)).most_common(MOST)),
            entries=_counts(entries),
            appended=sum(appended),
            forwarded=sum(forwarded),
            metadata=_counts(metadata),
            keys=_counts(key),
            refused_policies=sum(refused),
            p50=quantile(took, 0.5),
            p99=quantile(took, 0.99),
            longest=took[-1] if took else 0,
        )

    def _addresses(self, found: Sequence[str]) -> Addresses:
        each = Counter(found)
        kinds = Counter[str]()
        for address, count in each.items():
            kinds[_kind(address)] += count
        del each[""]
        most = Counter[str]()
        for address, count in each.most_common(MOST):
            most[self._show({"address": address})["address"]] += count
        return Addresses(kinds=dict(kinds), distinct=len(each), most=dict(most))


def _counts(values: Iterable[object]) -> Mapping[str, int]:
    return {str(value): count for value, count in Counter(values).most_common()}


@lru_cache(maxsize=4 * CAPACITY)
def _kind(text: str) -> str:
    if not text:
        return "none"
    address = ip_address(text)
    if address.is_loopback:
        return "loopback"
    return "private" if is_private(address) else "public"


def _seen(event: Event, judged: Judged) -> Seen:
    check, key = judged.check, judged.key
    client = judged.located.address
    peer = str(parse(check.peer) or "")
    entries = b",".join(check.header(_FORWARDED_FOR))
    return Seen(
        peer=peer,
        client=client,
        same=client == peer != "",
        problem=without_addresses(judged.client.problem),
        entries=min(entries.count(b",") + 1, MOST_ENTRIES) if entries else 0,
        appended=bool(entries) and _stands_for(entries.rpartition(b",")[2], peer),
        forwarded=bool(check.header("forwarded")),
        metadata=min(sum(name == _name(event) for name, _ in event.call.metadata), MOST_ENTRIES),
        key="malformed" if key.problem else "one" if key.presented else "none",
        refused_policy=event.told.reason == UNKNOWN_POLICY.reason,
        microseconds=round(event.seconds * 1e6),
    )


def _stands_for(entry: bytes, peer: str) -> bool:
    # For 127.0.0.1 and ::1 Envoy writes its own address (address.ForwardedFor).
    address = parse(entry.decode(errors="replace").strip())
    return address is not None and (str(address) == peer or peer in _LOOPBACK)


def _name(event: Event) -> str:
    """Return the name of the client-address metadata."""
    source = event.call.snapshot.address
    return source.name if isinstance(source, EnvoyMetadata) else CLIENT_ADDRESS_METADATA
