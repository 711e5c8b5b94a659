"""Source: one header, as far as a trusted proxy wrote it."""

from dataclasses import dataclass, field

from regiongate.address.evidence import ClientAddress, Evidence
from regiongate.address.parsing import BARE, Form
from regiongate.address.ranges import Network, Ranges
from regiongate.address.reading import read_only, read_peer, require_name


@dataclass(frozen=True, slots=True)
class NamedHeader:
    """Believes one header, of one value, from trusted proxies only.

    Envoy's own custom_header detection takes the first of several values; here they are refused,
    since nothing says which of them the proxy wrote.

    Attributes:
        name: The header, lower case.
        trusted_proxies: The ranges that the peer must be in for the header to count.
        accept: What the proxy writes around an address.

    Raises:
        ValueError: The name is no lower-case header name, or no proxy is trusted.
    """

    name: str
    trusted_proxies: tuple[Network, ...]
    accept: frozenset[Form] = BARE
    _trusted: Ranges = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_name(self.name)
        if not self.trusted_proxies:
            raise ValueError("trusted_proxies must name a range at least (got none)")
        object.__setattr__(self, "_trusted", Ranges(self.trusted_proxies))

    def resolve(self, evidence: Evidence) -> ClientAddress:
        """Return the address in the header; unresolved unless a trusted proxy wrote just one."""
        peer = read_peer(evidence)
        if peer.address is None:
            return peer
        if peer.address not in self._trusted:
            return ClientAddress(
                None, f"the peer must be in trusted_proxies for {self.name} (got {peer.address})"
            )
        values = evidence.header(self.name)
        return read_only(f"header {self.name}", values, self.accept)
