"""The Redis server: how it is reached, what its keys are called, what its errors become.

Everything is under one prefix:

    key:DIGEST      hash: entry (JSON), id, org, revision, added, import
    ids             hash: the digest of each key by its id
    org:ID          hash: entry (JSON), revision, added, import
    orgs            hash: how many keys each organisation has, by its id
    history         stream: a line for each change; its number is the first part of its id
    history:KIND:ID list: the numbers of the changes of one key or organisation
    number          the last change's number
    lineage         made up when the store began; another one is another store
    imports         hash: imports that are not finished; what they brought is not there yet
    imported        hash: the number in the history of each import that is, by its first number
    import:NUMBER   list: what an unfinished import has brought
    importing       the import under way; expires when nobody goes on with it
    forgiven:ID     when the strikes of a key were forgotten
    strikes:RULE:ID sorted set: strikes of a key by a rule, by their time
    struck:ID       set: the rules that a key has strikes by
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import redis
from redis import asyncio as aioredis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from regiongate.keys.stores import StoreError

PREFIX: Final = "regiongate:"

CONNECT_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 0.5
"""How long an answer may take that Checks or the following of changes wait for."""


def client(url: str, patience: float) -> redis.Redis:
    """Make a client for commands.

    Args:
        patience: seconds that an answer is waited for.

    A change is never sent twice: of one whose answer is lost it is not known whether it was made.
    """
    made: redis.Redis = redis.Redis.from_url(
        url,
        socket_timeout=patience,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        client_name="regiongate-keys",
    )
    return made


def async_client(url: str) -> aioredis.Redis:
    """Make a client for the event loop that it is first used in."""
    made: aioredis.Redis = aioredis.Redis.from_url(
        url,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=AsyncRetry(NoBackoff(), 0),
        protocol=2,
        client_name="regiongate",
    )
    return made


_FORM: Final = re.compile(
    r"(rediss?://)(?:[^/?#]*@)?((?:\[[\w:.%]+\]|[\w.-]*)(?::[0-9]+)?(?:/[0-9]*)?)(?:\?[^@#]*)?"
    r"|(unix://)(?:[^/?#]*@)?(/[\w./+~ -]*(?:\?db=[0-9]+\b)?)(?:[?&][^@#]*)?"
)
"""A URL of which nobody can be mistaken about where the password is; the groups have none of it.

One whose password holds a `/` as it stands is another URL to the client: a part of the password is
its host's port, and the rest its database. Whoever logs that, or is looked up by it, gets to know.
"""

_EXPECTED: Final = (
    "redis://[USER:PASSWORD@]HOST[:PORT][/DB] or unix://[USER:PASSWORD@]/SOCKET,"
    " with options that the client knows; / ? # @ in a password are %2F %3F %23 %40"
)


def name(url: str) -> str:
    """Return of a URL what cannot be a secret: where the server is, and which database of it."""
    form = _FORM.fullmatch(url)
    if form is None:
        return f"{url.partition('://')[0]}://…"
    return "".join(part for part in form.groups() if part)


def check(url: str) -> None:
    """Check a URL, with its options.

    Raises:
        ValueError: it is not one that the client takes, or would take for what it is not.
    """
    if not _FORM.fullmatch(url):
        raise ValueError(f"expected {_EXPECTED}")
    try:
        # A connection is made, and not opened: only it knows all options.
        connection = redis.ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError, RedisError):
        # Not what the client says, which may hold the password.
        raise ValueError(f"expected {_EXPECTED}") from None
    try:
        # As a look-up does it, whose error is none of a connection's.
        str(getattr(connection, "host", "")).encode("idna")
    except UnicodeError:
        raise ValueError("expected a host's name with 1 to 63 letters between dots") from None


@contextmanager
def errors(name: str) -> Iterator[None]:
    """Turn what the client says into a StoreError.

    Args:
        name: of the store, without a password.
    """
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreError(f"{name}: expected a store that answers ({_why(error)})") from None


_MEANT: Final[Mapping[str, str]] = {
    r"Authentication required|already authenticated|NOAUTH": "NOAUTH: it wants a password",
    r"without any password configured|no password is set": "it wants no password, and got one",
    r"Authentication\w*Error|WRONGPASS": "WRONGPASS: it takes another user name or password",
    r"NoPermissionError|NOPERM": "NOPERM: the user may not do all that is needed",
    r"BusyLoadingError|LOADING": "LOADING: it is reading its data",
    r"MasterDownError|MASTERDOWN": "MASTERDOWN: it is a replica that has lost its primary",
    r"ReadOnlyError|READONLY": "READONLY: it is a replica, which takes no changes",
    r"OutOfMemoryError|OOM": "OOM: its memory is full",
    r"MISCONF": "MISCONF: it cannot write its data to the disk",
    r"NOREPLICAS": "NOREPLICAS: it has too few replicas to take changes",
    r"(?:Cluster\w*|Moved|Ask|TryAgain)Error": "it is a cluster, which cannot keep keys",
    r"BUSY": "BUSY: a script keeps it busy",
    r"WRONGTYPE": f"WRONGTYPE: something else is kept under {PREFIX}",
    r"unknown command": "it lacks a command: renamed, switched off, or older than Redis 6.2",
    r"DB index is out of range": "it has no database of this number",
    r"InvalidResponse": "it does not speak Redis' protocol",
}
"""Our words for what the client or the server calls an error; the first that is found is meant."""


def _why(error: Exception) -> str:
    """Say why a server does not answer as one, in no word of the server's.

    An error of a server quotes what it was sent, the arguments of AUTH included, and one of a
    pipeline is led by the command. What fails on this side of the connection is told as it is.
    """
    # On its way to a connection the client may put the server's error into one of the connection.
    for inner in (error.__cause__, *error.args):
        if isinstance(inner, RedisError):
            return _why(inner)
    if isinstance(error, OSError) or type(error) in {redis.ConnectionError, redis.TimeoutError}:
        return str(error) or type(error).__name__
    told = f"{type(error).__name__}: {error}"
    found = (ours for theirs, ours in _MEANT.items() if re.search(rf"\b(?:{theirs})\b", told))
    return next(
        found, "an error that is not shown, as it may quote a password: see INFO errorstats"
    )


def text(value: Any) -> str:
    """Read text, whatever somebody may have written there."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
