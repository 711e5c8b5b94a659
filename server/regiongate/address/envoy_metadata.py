"""Source: what Envoy itself found out, sent beside the Check and not in it."""

from dataclasses import dataclass, field
from typing import Final

from regiongate.address.evidence import ClientAddress, Evidence
from regiongate.address.ranges import Network, Ranges
from regiongate.address.reading import read_only, require_name

CLIENT_ADDRESS_METADATA: Final = "x-regiongate-client-address"
"""The gRPC metadata that Envoy is told to fill with the client's address."""

_ENVOYS_OWN: Final = "x-forwarded-for"
"""Where Envoy writes its own address (envoy_grpc, async_client_impl.cc)."""


@dataclass(frozen=True, slots=True)
class EnvoyMetadata:
    """Believes gRPC metadata that Envoy fills for each request from what it knows of the client.

    Where Envoy counts trusted hops and finds no usable X-Forwarded-For, it takes its peer for the
    client: a proxy. Such an answer is no answer.

    Attributes:
        name: The key in grpc_service.initial_metadata, lower case.
        trusted_proxies: The ranges of proxies; an address inside them is no client's.

    Raises:
        ValueError: The name is no metadata key, or one that never holds a client's address.
    """

    name: str = CLIENT_ADDRESS_METADATA
    trusted_proxies: tuple[Network, ...] = ()
    _trusted: Ranges = field(init=False, repr=False, compare=False)
    _subject: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_subject", f"gRPC metadata {self.name}")
        object.__setattr__(self, "_trusted", Ranges(self.trusted_proxies))
        require_name(self.name)
        if self.name.endswith("-bin"):
            raise ValueError(f"name must not end in -bin, which gRPC encodes (got {self.name!r})")
        if self.name == _ENVOYS_OWN:
            raise ValueError(f"name must not be {self.name}, which is Envoy's own address")

    def resolve(self, evidence: Evidence) -> ClientAddress:
        """Return the address in the metadata; unresolved unless there is exactly one value."""
        client = read_only(self._subject, evidence.initial_metadata(self.name))
        if self.trusted_proxies and client.address is not None and client.address in self._trusted:
            return ClientAddress(
                None, f"Envoy knows no client beyond the trusted proxy {client.address}"
            )
        return client
