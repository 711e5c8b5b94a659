"""The facts that a decision is made from: who is asking, where from, and for what.

The three messages are those of protos/regiongate/v1/facts.proto, which is also what a policy's
conditions are checked against. They are built once, at the edge, and never changed afterwards.
"""

from regiongate._pb.regiongate.v1.facts_pb2 import Key, Request, Source

__all__ = ["Key", "Request", "Source"]
