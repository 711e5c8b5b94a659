"""The facts that a decision is made from: who is asking, where from, and for what.

The three messages are those of protos/regiongate/v1/facts.proto, which is also what a policy's
conditions are checked against. They are built once, at the edge, and never changed afterwards.
"""

from typing import NamedTuple

from regiongate._pb.regiongate.v1.facts_pb2 import Key, Request, Source

__all__ = ["Key", "Located", "Request", "Source"]


class Located(NamedTuple):
    """Where a client is, before anybody asks for all of it.

    Most Checks only need to know whether this was decided before. That takes comparing bytes, which
    the clients of a country share, and no message.

    Attributes:
        address: The client's, in canonical form; empty when it could not be resolved.
        network: Of the database record, in CIDR form; empty without one.
        place: The other facts: a Source in wire format.
    """

    address: str
    network: str
    place: bytes

    @property
    def source(self) -> Source:
        """What a policy sees."""
        source = Source.FromString(self.place)
        source.address = self.address
        source.network = self.network
        return source

    @classmethod
    def of(cls, source: Source) -> "Located":
        """Take apart what a policy sees."""
        rest = Source()
        rest.CopyFrom(source)
        rest.ClearField("address")
        rest.ClearField("network")
        return cls(source.address, source.network, rest.SerializeToString())
