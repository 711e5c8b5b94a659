"""Source: whoever is connected to Envoy."""

from dataclasses import dataclass

from regiongate.address.evidence import ClientAddress, Evidence
from regiongate.address.reading import read_peer


@dataclass(frozen=True, slots=True)
class Peer:
    """Takes the peer for the client: the TCP peer, or the address that the PROXY protocol names."""

    def resolve(self, evidence: Evidence) -> ClientAddress:
        """Return the peer's address."""
        return read_peer(evidence)
