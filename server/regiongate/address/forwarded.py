"""Source: Forwarded (RFC 7239), as far as trusted proxies wrote it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Final

from regiongate.address.evidence import ClientAddress, Evidence
from regiongate.address.parsing import BARE, Address, Form, parse
from regiongate.address.ranges import Network, Ranges
from regiongate.address.reading import quoted, read_peer
from regiongate.address.walk import OPTIONAL_WHITESPACE, after, first_outside, require_trust

LONGEST_ELEMENT: Final = 1024
"""Characters of one element."""
LONGEST_READ: Final = 8192
"""Characters of all elements that are read, with LONGEST_CHAIN at most; each costs 0.1 µs."""

_HEADER: Final = "forwarded"
_ELEMENT: Final = f"the {_HEADER} element that decides"

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # a token of RFC 9110, section 5.6.2
_QUOTED: Final = r'"(?:[\t !#-\[\]-~\x80-\U0010ffff]|\\[\t -~\x80-\U0010ffff])*+"'  # section 5.6.4
_PAIR: Final = re.compile(rf"({_WORD})=({_WORD}|{_QUOTED})")
_PAIRS: Final = re.compile(rf"(?:{_PAIR.pattern})?(?:;(?:{_PAIR.pattern})?)*")
_ESCAPED: Final = re.compile(r"\\(.)")

_BACKWARDS: Final = re.compile(r'(?:[^",]|"(?:[^"]|"\\)*+"(?==))*+')
"""An element written from right to left. Of the quotation marks in a well-formed one, those that
open follow an equals sign and those inside a backslash, so that it can be read from its end alone:
nothing that a client wrote before it changes where it begins."""

_HIDDEN_PORT: Final = re.compile(r"(?<=[0-9\]]):_[A-Za-z0-9._-]+\Z")  # RFC 7239, section 6.3


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Reads Forwarded from the right, as far as it was written by trusted proxies.

    Envoy never writes this header, so the chain starts with the peer, a proxy that must be trusted,
    and the last element is what that proxy wrote. A proxy that passes the header on untouched lets
    its clients choose their address; nothing in the header shows it.

    Counting hops trusts whoever connects: it is for an Envoy that only its proxies can reach.

    Attributes:
        trusted_hops: How many proxies before the peer to skip: with 0, the last element decides.
        trusted_proxies: Instead of trusted_hops: the ranges of the proxies. The first address
            outside is the client; the leftmost element's if there is none.
        accept: What proxies write around an address beyond the standard: zone at most, since ports
            and brackets are part of it.

    Raises:
        ValueError: Not exactly one of trusted_hops and trusted_proxies is given, or it is wrong, or
            more than a zone is to be accepted.
    """

    trusted_hops: int | None = None
    trusted_proxies: tuple[Network, ...] = ()
    accept: frozenset[Form] = BARE
    _trusted: Ranges = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_trust(self.trusted_hops, self.trusted_proxies)
        if self.accept - {"zone"}:
            raise ValueError(
                "accept must be zone at most, since ports and brackets are part of Forwarded "
                f"(got {', '.join(sorted(self.accept))})"
            )
        object.__setattr__(self, "_trusted", Ranges(self.trusted_proxies))

    def resolve(self, evidence: Evidence) -> ClientAddress:
        """Return the address that the nearest untrusted party connected from."""
        peer = read_peer(evidence)
        if peer.address is None:
            return peer
        hops = _hops(evidence.header(_HEADER), self.accept | {"port", "brackets"})
        if self.trusted_hops is not None:
            return after(chain((peer,), hops), self.trusted_hops + 1, _HEADER)
        if peer.address not in self._trusted:
            return peer
        return first_outside(hops, self._trusted, _HEADER)


def _hops(lines: Sequence[str], accept: frozenset[Form]) -> Iterator[ClientAddress]:
    """Yield what each element says, from the right, and read no further than is asked for.

    What stands left of a malformed element is anybody's guess, so that one is all there is.
    """
    left = LONGEST_READ
    for element in _from_the_right(lines):
        left -= len(element) + len(",")
        text = element.strip(OPTIONAL_WHITESPACE)
        if left < 0:
            problem = f"more than {LONGEST_READ} characters of {_HEADER} would have to be read"
            yield from repeat(ClientAddress(None, problem))
        pairs = _pairs(text)
        if pairs is None:
            problem = f"{_ELEMENT} must be well-formed as in RFC 7239 (got {quoted(text)})"
            yield from repeat(ClientAddress(None, problem))
        else:
            yield _read_node(pairs.get("for", ""), accept)


def _from_the_right(lines: Sequence[str]) -> Iterator[str]:
    """Yield the elements from the right; a text that is none where one cannot be made out."""
    for line in reversed(lines):
        end = len(line)
        while end >= 0:
            window = line[max(0, end - LONGEST_ELEMENT) : end]
            found = _BACKWARDS.match(window[::-1])
            start = end - (found.end() if found else 0)
            if start and line[start - 1] != ",":
                yield f'"{line[start - 1 : end]}'
            else:
                yield line[start:end]
            end = start - 1


def _pairs(element: str) -> dict[str, str] | None:
    """Return the parameters of an element by lower-case name; None where it is malformed."""
    if not _PAIRS.fullmatch(element):
        return None
    found = [(name.lower(), value) for name, value in _PAIR.findall(element)]
    pairs = dict(found)
    return pairs if len(pairs) == len(found) else None


def _read_node(written: str, accept: frozenset[Form]) -> ClientAddress:
    address = _address(_unquoted(written), accept)
    if address is None:
        return ClientAddress(None, f"{_ELEMENT} must name an IP address (got {quoted(written)})")
    return ClientAddress(address)


def _unquoted(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def _address(node: str, accept: frozenset[Form]) -> Address | None:
    node = _HIDDEN_PORT.sub(":0", node)
    if node.count(":") > 1 and not node.startswith("["):
        return None  # RFC 7239, section 6: an IPv6 address stands in brackets.
    return parse(node, accept)
