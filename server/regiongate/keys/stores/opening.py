"""Which store a URL means: the one place that knows all of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from regiongate.keys.register import Register
from regiongate.keys.stores import Source, StoreError, sqlite
from regiongate.keys.stores.file_register import FileRegister
from regiongate.reading import text

FILE: Final = "file"
SQLITE: Final = "sqlite"

PATIENCE: Final = 60.0
"""Seconds that a command waits for; a large import by another one takes a while."""


class _Kind(Protocol):
    """A kind of store that is read through a cache and written by commands."""

    def check(self, url: str) -> None:
        """Say what is wrong with a URL, in a ValueError that does not quote it."""
        ...

    def name(self, url: str) -> str:
        """Return of a URL what cannot be a secret."""
        ...

    def source(self, url: str, base: Path) -> Source: ...

    def location(self, url: str, base: Path) -> sqlite.Location | None:
        """Say which file a store is; None for a server, which may come."""
        ...

    def register(self, url: str, base: Path, patience: float, *, create: bool) -> Register: ...


@dataclass(frozen=True, slots=True)
class _Sqlite:
    def check(self, url: str) -> None:
        sqlite.Location.of(url, Path())

    def name(self, url: str) -> str:
        return url

    def source(self, url: str, base: Path) -> Source:
        return sqlite.SqliteSource(sqlite.Location.of(url, base))

    def location(self, url: str, base: Path) -> sqlite.Location:
        return sqlite.Location.of(url, base)

    def register(self, url: str, base: Path, patience: float, *, create: bool) -> Register:
        return sqlite.SqliteRegister(sqlite.Location.of(url, base), patience, create=create)


@dataclass(frozen=True, slots=True)
class _Redis:
    def check(self, url: str) -> None:
        if importlib.util.find_spec("redis") is None:
            raise ValueError("expected the redis extra: pip install '.[redis]' in a checkout")
        from regiongate.keys.stores.redis import server  # noqa: PLC0415 an extra

        server.check(url)

    def name(self, url: str) -> str:
        from regiongate.keys.stores.redis import server  # noqa: PLC0415 likewise

        return server.name(url)

    def source(self, url: str, _: Path) -> Source:
        from regiongate.keys.stores import redis  # noqa: PLC0415 likewise

        return redis.RedisSource(url, self.name(url))

    def location(self, _: str, __: Path) -> None: ...

    def register(self, url: str, _: Path, patience: float, *, create: bool) -> Register:  # noqa: ARG002 a file's
        from regiongate.keys.stores import redis  # noqa: PLC0415 likewise

        return redis.RedisRegister(url, self.name(url), patience)


_KINDS: Final[Mapping[str, _Kind]] = {
    SQLITE: _Sqlite(),
    "redis": _Redis(),
    "rediss": _Redis(),
    "unix": _Redis(),
}


def check(url: str) -> str:
    """Check the URL of a store; return it.

    Raises:
        ValueError: it names no store that there is, or one that lacks its package. Nothing of the
            URL is in it, as a password may be anywhere in one that is wrong.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:  # which quotes it
        scheme = ""
    if scheme == FILE and len(url) > len("file:"):
        return url
    if scheme not in _KINDS:
        expected = (
            "file:PATH, sqlite:///PATH, redis://HOST:PORT/DB, rediss://… or unix:///SOCKET?db=0"
        )
        raise ValueError(f"expected {expected}")
    _KINDS[scheme].check(url)
    return url


def source(url: str, base: Path) -> Source:
    """Make what a cache reads a store through; nothing is opened yet.

    Args:
        url: checked.
        base: the folder that paths are relative to.
    """
    return _KINDS[urlsplit(url).scheme].source(url, base)


def expect(url: str, base: Path, missing: Callable[[Path], object]) -> None:
    """Look whether a store that is a file is there; nothing is opened, and no server is asked.

    Args:
        url: checked, and not of a key file.
        base: the folder that paths are relative to.
        missing: is told of a file that is not there.

    Raises:
        StoreError: it is not there.
    """
    location = _KINDS[urlsplit(url).scheme].location(url, base)
    if location is None:
        return
    try:
        location.expect_file()
    except StoreError:
        missing(location.path)
        raise


def register(url: str, base: Path, patience: float = PATIENCE, *, create: bool = True) -> Register:
    """Open the writing side of a store.

    Args:
        url: checked.
        base: the folder that paths are relative to.
        patience: seconds that other writers, or an answer, are waited for.
        create: make a file that is missing.

    Raises:
        StoreError: it cannot be opened.
    """
    if _is_key_file(url):
        return _key_file(base / url.removeprefix("file:"))
    return _KINDS[urlsplit(url).scheme].register(url, base, patience, create=create)


@contextmanager
def beginning(url: str, base: Path, patience: float = PATIENCE) -> Iterator[Register]:
    """Lend the writing side of a store; a file that is missing is made once something is in it.

    Args:
        url: checked.
        base: the folder that paths are relative to.
        patience: seconds that other writers, or an answer, are waited for.

    Raises:
        StoreError: it cannot be opened or made.
    """
    location = None if _is_key_file(url) else _KINDS[urlsplit(url).scheme].location(url, base)
    if location is None or location.read_only or location.is_there:
        opened = register(url, base, patience)
        try:
            yield opened
        finally:
            opened.close()
        return
    with sqlite.begun(location, patience) as new:
        yield new


def _is_key_file(url: str) -> bool:
    return urlsplit(url).scheme == FILE


@contextmanager
def reading(url: str, base: Path, patience: float = PATIENCE) -> Iterator[Register]:
    """Lend a store to read it; nothing is made, and nothing in it changes.

    Args:
        url: checked.
        base: the folder that paths are relative to.
        patience: seconds that an answer is waited for.

    Raises:
        StoreError: it cannot be opened.
    """
    still = urlsplit(url).scheme == SQLITE and not urlsplit(url).query
    opened = register(f"{url}?mode=ro" if still else url, base, patience, create=False)
    try:
        yield opened
    finally:
        opened.close()


def _key_file(path: Path) -> Register:
    try:
        return FileRegister(str(path), text(path))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise StoreError(f"{path}: expected a key file ({why})") from None


def name(url: str) -> str:
    """Return what logs and errors call a store: of its URL, what cannot be a secret.

    Args:
        url: checked.
    """
    return url if _is_key_file(url) else _KINDS[urlsplit(url).scheme].name(url)
