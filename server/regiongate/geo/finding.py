"""What a database has for an address, as it is stored: for people who ask why.

An address is looked up as a locator does it; nothing is interpreted or remembered.
"""

from dataclasses import dataclass
from ipaddress import ip_network

from maxminddb.types import Record

from regiongate.address import Address, Network
from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.ranges import EMBEDDING, embedded


@dataclass(frozen=True, slots=True)
class Finding:
    """What a database has for an address.

    Attributes:
        record: as it is stored; None if there is none.
        network: that shares the record; None if there is none.
        problem: why the record cannot be read; empty if it can.
    """

    record: Record | None = None
    network: Network | None = None
    problem: str = ""


def find(database: Database, address: Address) -> Finding:
    """Look an address up, and before it the IPv4 address that it carries, if it does."""
    carried = embedded(address)
    try:
        for known_as in (carried[0], address) if carried else (address,):
            record, length = database.lookup(known_as)
            if record is not None:
                return Finding(record, ip_network((known_as, length), strict=False))
    except DatabaseError as error:
        return Finding(problem=str(error))
    return Finding()


def carries(address: Address) -> tuple[str, Address] | None:
    """Return the kind of an address that carries an IPv4 address, and that; None if it does not."""
    carried = embedded(address)
    if carried is None:
        return None
    return next(kind for network, (kind, _) in EMBEDDING.items() if address in network), carried[0]
