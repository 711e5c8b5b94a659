"""An Authorization with everything around it made up: places, keys, policies, the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_network
from typing import Any

from regiongate._pb import ext_authz_pb2 as pb
from regiongate.address import AddressSource, ClientAddress, Peer
from regiongate.extauthz.evidence import Metadata
from regiongate.extauthz.judging import Locator, Snapshot
from regiongate.extauthz.remembered import Memory
from regiongate.extauthz.service import Authorization, Event
from regiongate.facts import Located, Source
from regiongate.keys.digest import Digester
from regiongate.keys.extraction import Extractor, FromHeader
from regiongate.keys.record import KeyRecord
from regiongate.keys.stores import KeyStore
from regiongate.keys.stores.file import FileStore
from regiongate.policy.loading import load
from regiongate.policy.model import PolicySet
from tests.unit.extauthz import upstream

NOW = datetime(2024, 7, 1, 12, tzinfo=UTC)

FRANCE = "212.27.48.10"
FRANCE_TOO = "212.27.48.11"
JAPAN = "2001:218::1"
IRAN = "5.160.0.1"
BRAZIL = "200.147.3.157"
NOWHERE = "91.198.174.192"
COUNTRIES = {FRANCE: "FR", FRANCE_TOO: "FR", JAPAN: "JP", IRAN: "IR", BRAZIL: "BR"}

BEARER = FromHeader("authorization", "Bearer")
API_KEY = FromHeader("x-api-key")


@dataclass(frozen=True, slots=True)
class Places:
    """A locator that knows a few addresses by heart, each a network of its own."""

    countries: Mapping[str, str] = field(default_factory=lambda: COUNTRIES)

    def locate(self, client: ClientAddress) -> Located:
        """Locate a client."""
        if client.address is None:
            return Located.of(Source(status="unresolved"))
        address = str(client.address)
        country = self.countries.get(address, "")
        if not country:
            return Located.of(Source(address=address, status="unknown"))
        network = str(ip_network(client.address))
        return Located.of(
            Source(address=address, status="located", country=country, network=network)
        )


@cache
def policies(text: str) -> PolicySet:
    """Load a policy file."""
    return load("policy.yaml", text, lambda name: name)


def store(records: Mapping[str, KeyRecord], digester: Digester) -> KeyStore:
    """Make a store of records by their keys."""
    return FileStore("v1", {digester.digest(key.encode()): one for key, one in records.items()})


@dataclass(slots=True)
class Service:
    """An Authorization, the latest events it has told of, and the time it goes by."""

    snapshot: Snapshot
    now: datetime = NOW
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=10))
    authorization: Authorization = field(init=False)

    def __post_init__(self) -> None:
        self.authorization = Authorization(
            lambda: self.snapshot, self.events.append, lambda: self.now
        )

    def answer(self, data: bytes, metadata: Metadata = ()) -> upstream.Answer:
        """Answer a Check, and read the answer as Envoy does."""
        return upstream.read(at_once(self.authorization.check(data, metadata)))


def at_once(answer: bytes | Coroutine[Any, Any, bytes]) -> bytes:
    """Return an answer that is not waited for."""
    assert isinstance(answer, bytes)
    return answer


def service(  # noqa: PLR0913 what a snapshot is made of, each with its default
    policy: str,
    keys: Mapping[str, KeyRecord] | KeyStore,
    *,
    locator: Locator | None = None,
    address: AddressSource | None = None,
    extractors: Sequence[Extractor] = (BEARER, API_KEY),
    defer_errors: bool = False,
    memory: Memory | None = None,
) -> Service:
    """Make a service of a policy file's text and of keys."""
    digester = Digester()
    snapshot = Snapshot(
        policies=policies(policy),
        address=address or Peer(),
        locator=locator or Places(),
        extractors=extractors,
        digester=digester,
        keys=store(keys, digester) if isinstance(keys, Mapping) else keys,
        defer_errors=defer_errors,
        memory=Memory() if memory is None else memory,
    )
    return Service(snapshot)


def encoded(values: Iterable[tuple[str, str]]) -> dict[str, bytes]:
    """Make a map of the message's; of two values of one key the last counts."""
    return {key: value.encode() for key, value in values}


def check(
    peer: str = FRANCE,
    headers: Iterable[tuple[str, str]] = (),
    *,
    policy: str = "",
    path: str = "/v1/models?limit=3",
) -> bytes:
    """Serialise a CheckRequest as Envoy would for this request."""
    pseudo = [(":method", "GET"), (":path", path), (":authority", "api.example")]
    http = pb.AttributeContext.HttpRequest(
        method=b"GET",
        path=path.encode(),
        host=b"api.example",
        scheme=b"https",
        protocol=b"HTTP/2",
        headers=encoded([*pseudo, *headers]),
    )
    attributes = pb.AttributeContext(
        source=pb.AttributeContext.Peer(
            address=pb.Address(socket_address=pb.SocketAddress(address=peer.encode()))
        ),
        request=pb.AttributeContext.Request(http=http),
        context_extensions=encoded([("regiongate.policy", policy)] if policy else []),
    )
    return pb.CheckRequest(attributes=attributes).SerializeToString()


def bearer(key: str) -> list[tuple[str, str]]:
    """Return the header that carries a key."""
    return [("authorization", f"Bearer {key}")]
