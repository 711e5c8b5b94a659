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

    @property
    def headers(self) -> Mapping[str, Sequence[str]]:
        """The client's request headers: lower-case names, one value per line, in wire order."""
        ...

    @property
    def metadata(self) -> Mapping[str, Sequence[str]]:
        """The metadata of Envoy's own gRPC call, which no client can write; lower-case names."""
        ...


@dataclass(frozen=True, slots=True)
class GivenEvidence:
    """Evidence that is given as it stands."""

    peer: str
    headers: Mapping[str, Sequence[str]]
    metadata: Mapping[str, Sequence[str]]


class AddressSource(Protocol):
    """One way of knowing the client's address; a RegionGate has exactly one."""

    def resolve(self, evidence: Evidence) -> ClientAddress:
        """Say who the client is, as far as this source can know; never raises."""
        ...
