"""What a Check says about its client, what comes out of it, and the port between the two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from regiongate.address.parsing import Address


class ClientAddress(NamedTuple):
    """The client's address, or why it is unresolved.

    Attributes:
        address: The address, never an IPv4-mapped one; None when unresolved.
        problem: Why it is unresolved, for the operator; quotes little of what was received.
    """

    address: Address | None
    problem: str = ""


class Evidence(Protocol):
    """What a Check carries about its client; a source looks at the part that it goes by."""

    @property
    def peer(self) -> str:
        """The address in attributes.source, or "" for a pipe, an internal listener or none."""
        ...

    def header(self, name: str) -> Sequence[str]:
        """Return the values of a header of the client's, in wire order, by lower-case name."""
        ...

    def initial_metadata(self, name: str) -> Sequence[str]:
        """Return the values of metadata of Envoy's own gRPC call, which no client can write."""
        ...


@dataclass(frozen=True, slots=True)
class GivenEvidence:
    """Evidence that is given as it stands."""

    peer: str
    headers: Mapping[str, Sequence[str]]
    metadata: Mapping[str, Sequence[str]]

    def header(self, name: str) -> Sequence[str]:
        """Return the values of a header."""
        return self.headers.get(name, ())

    def initial_metadata(self, name: str) -> Sequence[str]:
        """Return the values of metadata."""
        return self.metadata.get(name, ())


class AddressSource(Protocol):
    """One way of knowing the client's address; a RegionGate has exactly one."""

    def resolve(self, evidence: Evidence) -> ClientAddress:
        """Say who the client is, as far as this source can know; never raises."""
        ...
