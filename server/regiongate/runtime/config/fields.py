"""The kinds of values that several sections of regiongate.yaml have."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from regiongate.address import Network
from regiongate.address.ranges import require_reachable
from regiongate.countries import countries, meant
from regiongate.documents import shown
from regiongate.durations import delay, duration

Duration = Annotated[timedelta, BeforeValidator(duration)]
Delay = Annotated[timedelta, BeforeValidator(delay)]


def _lower_case(name: Any) -> Any:
    if isinstance(name, str) and name.isascii() and name != name.lower():
        expected = (
            f"expected a header's name in lower case, as Envoy sends it: write {name.lower()}"
        )
        raise ValueError(f"{expected} (got {shown(name)})")
    return name


Header = Annotated[
    str,
    Field(pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]+$", max_length=128),
    BeforeValidator(_lower_case),
]
"""A header's name, lower-case as Envoy sends it."""


def _text(value: Any) -> Any:
    """Refuse what is no text without quoting it."""
    if not isinstance(value, str):
        raise ValueError("expected text")  # noqa: TRY004 what pydantic takes for a mistake
    return value


Discreet = Annotated[str, BeforeValidator(_text)]
"""Text that may hold a password: what is wrong with it is told without it."""


_PORT: Final = re.compile(r"[0-9]{1,5}")
_LONGEST_RANGE: Final = 64
"""Characters; no range takes as many, and an error quotes no more."""


def installed(module: str) -> bool:
    """Say whether a module can be imported; it is for what is optional."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _listener(text: str) -> str:
    if text.startswith("unix:") and len(text) > len("unix:"):
        return text
    host, colon, port = text.rpartition(":")
    if not (colon and host and _PORT.fullmatch(port) and int(port) < 2**16):
        raise ValueError(f"expected host:port or unix:/path (got {shown(text)})")
    return text


def network(text: Any) -> Network:
    """Read an address range.

    Raises:
        ValueError: it is none, or one that no address is ever looked for in.
    """
    try:
        if not isinstance(text, str) or len(text) > _LONGEST_RANGE:
            raise ValueError(f"got {shown(text)}")  # noqa: TRY301 the words around it are the same
        found = ip_network(text)
        require_reachable(found)
    except ValueError as error:
        raise ValueError(f"expected an address range such as 10.0.0.0/8 ({error})") from None
    return found


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"expected an IP address (got {shown(text)})") from None


def _country(text: str) -> str:
    if text not in countries():
        expected = "expected an ISO 3166-1 code such as US"
        raise ValueError(f"{expected} (got {shown(text)}){meant(text)}")
    return text


def _mode(text: Any) -> int:
    if isinstance(text, str) and re.fullmatch("0?[0-7]{3}", text):
        return int(text, 8)
    raise ValueError(f'expected octal digits in quotes such as "0660" (got {shown(text)})')


Listener = Annotated[str, AfterValidator(_listener)]
Mode = Annotated[int, BeforeValidator(_mode)]
"""The permissions of a file."""
Range = Annotated[IPv4Network | IPv6Network, BeforeValidator(network)]
Probe = Annotated[str, AfterValidator(_address)]
Country = Annotated[str, AfterValidator(_country)]
