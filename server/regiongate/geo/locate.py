"""Says where a client is: from its address to the facts that a policy sees.

Nothing here knows how the address was found or what is decided from the answer.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from ipaddress import IPV4LENGTH, IPV6LENGTH, IPv4Address, IPv4Network, IPv6Address
from socket import AF_INET6, inet_ntoa, inet_ntop

from regiongate.address import Address, ClientAddress
from regiongate.facts import Located, Source
from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.layouts import Layout, Location, read
from regiongate.geo.memory import Memory
from regiongate.geo.merge import merge
from regiongate.geo.ranges import embedded, is_private, uniform

RECENT = 4096
"""Addresses of each version whose places are kept as they are: most clients ask again soon."""

_Finding = tuple[Location, int, str]
"""What a database says, on how many leading bits of the address that depends, and the network of
the record, which is empty if there is none."""

_Answer = tuple[str, bytes]
"""The network of a record, and its place; see Located."""

_NOWHERE = Location()
_UNRESOLVED = Located("", "", Source(status="unresolved").SerializeToString())
_MASKS = tuple(int(IPv4Network((0, length)).netmask) for length in range(IPV4LENGTH + 1))


class Locator:
    """Answers from one set of databases, and remembers its answers by network.

    Make another for other databases; what was remembered goes with this one. Safe to share between
    threads.

    Attributes:
        undecodable: How many lookups met a record that cannot be decoded, and took it for absent.
    """

    def __init__(
        self,
        country: Sequence[Database],
        asn: Sequence[Database] = (),
        anonymous: Sequence[Database] = (),
        *,
        layouts: Mapping[Database, Layout] | None = None,
        remembered: int = 65536,
    ) -> None:
        """Take databases into use.

        Args:
            country: Databases of countries or cities, the most trusted first; at least one.
            asn: Databases of AS numbers.
            anonymous: Databases of anonymous networks.
            layouts: The layout of each of these databases that has one of its own.
            remembered: How many answers to remember for each of IPv4 and IPv6.
        """
        if not country:
            raise ValueError("country: expected at least one database (got none)")
        self.undecodable = 0
        layouts = layouts or {}
        self._country = tuple([(database, layouts.get(database)) for database in country])
        self._others = tuple([(database, layouts.get(database)) for database in (*asn, *anonymous)])
        # Tuples of text and bytes, which the garbage collector does not go through.
        self._ipv4: Memory[_Answer] = Memory(IPV4LENGTH, remembered)
        self._ipv6: Memory[_Answer] = Memory(IPV6LENGTH, remembered)
        self._recent_ipv4: dict[int, Located] = {}
        self._recent_ipv6: dict[int, Located] = {}

    @property
    def built(self) -> datetime:
        """When the oldest of the country databases was built."""
        return min(database.built for database, _ in self._country)

    def locate(self, client: ClientAddress) -> Located:
        """Return where a client is, and what else the databases know about its network.

        The status is `located` if a database knows the country, `private` if no public database
        can know the address, `unknown` otherwise, and `unresolved` without an address. An IPv6
        address that carries an IPv4 address (6to4, NAT64) is looked up as that one in a database
        that knows nothing of it as it stands; the network is then one of IPv4.
        """
        address = client.address
        if address is None:
            return _UNRESOLVED
        number = int(address)
        ipv4 = isinstance(address, IPv4Address)
        recent = self._recent_ipv4 if ipv4 else self._recent_ipv6
        located = recent.get(number)
        if located is None:
            text = _ipv4_text(number) if ipv4 else _ipv6_text(number)
            located = Located(text, *self._answer(address, number))
            if len(recent) >= RECENT:
                recent.clear()
            recent[number] = located
        return located

    def _answer(self, address: Address, number: int) -> _Answer:
        """Return what is known of the network of an address."""
        memory = self._ipv4 if isinstance(address, IPv4Address) else self._ipv6
        answer = memory.recall(number)
        if answer is None:
            answer, depends = self._ask(address)
            memory.remember(number, depends, answer)
        return answer

    def _ask(self, address: Address) -> tuple[_Answer, int]:
        """Return an answer, and on how many leading bits of the address it depends."""
        if len(self._country) + len(self._others) == 1:
            location, depends, network = self._look_up(*self._country[0], address)
        else:
            location, depends, network = self._ask_all(address)
        if location.country:
            return (network, location.facts), depends
        status = "private" if is_private(address) else "unknown"
        return (network, _without_country(location.facts, status)), max(depends, uniform(address))

    def _ask_all(self, address: Address) -> _Finding:
        """Return what the databases say together."""
        country = [self._look_up(*database, address) for database in self._country]
        others = [self._look_up(*database, address) for database in self._others]
        location = merge(
            tuple([location for location, _, _ in country]),
            tuple([location for location, _, _ in others]),
        )
        depends = max([depends for _, depends, _ in (*country, *others)])
        return location, depends, _network_of(location, country)

    def _look_up(self, database: Database, layout: Layout | None, address: Address) -> _Finding:
        """Return what one database says."""
        try:
            if not isinstance(address, IPv4Address):
                return _look_up_ipv6(database, layout, address)
            record, length = database.lookup(address)
        except DatabaseError:
            self.undecodable += 1
            return _NOWHERE, address.max_prefixlen, ""
        if record is None:
            return _NOWHERE, max(length, uniform(address)), ""
        return read(record, layout), length, _network(address, length)


@lru_cache(maxsize=1024)
def _without_country(facts: bytes, status: str) -> bytes:
    """Return a place that is in no country, and why not."""
    source = Source.FromString(facts)
    source.status = status
    return source.SerializeToString()


def _look_up_ipv6(database: Database, layout: Layout | None, address: IPv6Address) -> _Finding:
    """Look up an address, and before it the IPv4 address that it carries, if it does.

    Of 6to4 a database has at most a coarse record of its own.
    """
    least, carried = 0, embedded(address)
    if carried is not None:
        inner, before = carried
        record, length = database.lookup(inner)
        least = before + length
        if record is not None:
            return read(record, layout), least, _network(inner, length)
    record, length = database.lookup(address)
    # The record may be wide enough for addresses that carry others.
    depends = max(length, least, uniform(address))
    if record is None:
        return _NOWHERE, depends, ""
    return read(record, layout), depends, _network(address, length)


def _network_of(location: Location, findings: Sequence[_Finding]) -> str:
    """Return the network of the record that gave the country, or else of the first record."""
    return next((net for said, _, net in findings if net and said.country == location.country), "")


def _network(address: Address, length: int) -> str:
    """Return the network of an address in CIDR form."""
    if isinstance(address, IPv4Address):
        return f"{_ipv4_text(int(address) & _MASKS[length])}/{length}"
    host_bits = IPV6LENGTH - length
    return f"{_ipv6_text(int(address) >> host_bits << host_bits)}/{length}"


# Both give the same as str() of the address, in a fraction of the time.


def _ipv4_text(number: int) -> str:
    return inet_ntoa(number.to_bytes(4))


def _ipv6_text(number: int) -> str:
    """Return the canonical text of RFC 5952."""
    if number >> 48:
        return inet_ntop(AF_INET6, number.to_bytes(16))
    # An IPv4 address at the end would be written as one.
    return str(IPv6Address(number))
