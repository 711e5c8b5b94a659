"""Who is the client: the one address that the evidence of a Check vouches for.

Pure: texts in, an address or the reason why there is none out. Knows nothing of gRPC, protobuf,
configuration files or geography. Two rules hold everywhere: what a client can write never decides,
and what cannot be read is unresolved, never replaced by the next best thing.
"""

from regiongate.address.envoy_metadata import CLIENT_ADDRESS_METADATA, EnvoyMetadata
from regiongate.address.evidence import AddressSource, ClientAddress, Evidence, GivenEvidence
from regiongate.address.forwarded import LONGEST_ELEMENT, LONGEST_READ, Forwarded
from regiongate.address.named_header import NamedHeader
from regiongate.address.parsing import FORMS, Address, Form, parse
from regiongate.address.peer import Peer
from regiongate.address.ranges import Network
from regiongate.address.walk import LONGEST_CHAIN
from regiongate.address.x_forwarded_for import ForwardedFor

__all__ = [
    "CLIENT_ADDRESS_METADATA",
    "FORMS",
    "LONGEST_CHAIN",
    "LONGEST_ELEMENT",
    "LONGEST_READ",
    "Address",
    "AddressSource",
    "ClientAddress",
    "EnvoyMetadata",
    "Evidence",
    "Form",
    "Forwarded",
    "ForwardedFor",
    "GivenEvidence",
    "NamedHeader",
    "Network",
    "Peer",
    "parse",
]
