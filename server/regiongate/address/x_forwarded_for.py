"""Source: X-Forwarded-For, as far as trusted proxies wrote it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from itertools import chain
from typing import Final

from regiongate.address.evidence import ClientAddress, Evidence
from regiongate.address.parsing import BARE, Address, Form, parse
from regiongate.address.ranges import Network, Ranges
from regiongate.address.reading import quoted, read, read_peer
from regiongate.address.walk import OPTIONAL_WHITESPACE, after, first_outside, require_trust

_HEADER: Final = "x-forwarded-for"
_ENTRY: Final = f"the {_HEADER} entry that decides"
# No other is replaced, measured with Envoy 1.40.0.
_LOOPBACK: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


@dataclass(frozen=True, slots=True)
class ForwardedFor:
    """Reads X-Forwarded-For from the right, as far as it was written by trusted proxies.

    The chain starts with the peer. An Envoy that appends the peer to the header is checked to have
    done so: a last entry that is not the peer means that Envoy is wired differently, and believing
    the configuration would let an entry of the client's own choice count. In place of 127.0.0.1 or
    ::1 Envoy appends its own address (conn_manager_utility.cc), so that there any address passes.

    Counting hops trusts whoever connects: it is for an Envoy that only its proxies can reach.

    Attributes:
        trusted_hops: How many proxies in front of this Envoy to skip, as xff_num_trusted_hops.
            The entry is the (trusted_hops + 1)th from the right either way: an Envoy that does not
            append trusts its peer as one more.
        trusted_proxies: Instead of trusted_hops: the ranges of the proxies. The first address
            outside is the client; the leftmost entry if there is none.
        envoy_appends: Whether this Envoy appends the peer (use_remote_address without
            skip_xff_append).
        accept: What the proxies write around an address.

    Raises:
        ValueError: Not exactly one of trusted_hops and trusted_proxies is given, or it is wrong.
    """

    trusted_hops: int | None = None
    trusted_proxies: tuple[Network, ...] = ()
    envoy_appends: bool = True
    accept: frozenset[Form] = BARE
    _trusted: Ranges = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_trust(self.trusted_hops, self.trusted_proxies)
        object.__setattr__(self, "_trusted", Ranges(self.trusted_proxies))

    def resolve(self, evidence: Evidence) -> ClientAddress:
        """Return the address that the nearest untrusted party connected from."""
        peer = read_peer(evidence)
        if peer.address is None:
            return peer
        entries = _from_the_right(evidence.header(_HEADER))
        if self.envoy_appends:
            appended = next(entries, "")
            if not _stands_for(appended, peer.address):
                return _not_appended(appended, peer.address)
        hops = map(partial(read, _ENTRY, accept=self.accept), entries)
        if self.trusted_hops is not None:
            skipped = self.trusted_hops + (not self.envoy_appends)
            return after(chain((peer,), hops), skipped, _HEADER)
        if peer.address not in self._trusted:
            return peer
        return first_outside(hops, self._trusted, _HEADER)


def _from_the_right(lines: Sequence[str]) -> Iterator[str]:
    """Yield the entries from the right, and read no further than is asked for."""
    for line in reversed(lines):
        end = len(line)
        while end >= 0:
            start = line.rfind(",", 0, end) + 1
            yield line[start:end].strip(OPTIONAL_WHITESPACE)
            end = start - 1


def _stands_for(appended: str, peer: Address) -> bool:
    address = parse(appended)
    return address == peer or (address is not None and peer in _LOOPBACK)


def _not_appended(appended: str, peer: Address) -> ClientAddress:
    return ClientAddress(
        None,
        f"{_HEADER} must end with the peer that Envoy appends (got {quoted(appended)}, "
        f"expected {peer}); see use_remote_address, skip_xff_append and envoy_appends",
    )
