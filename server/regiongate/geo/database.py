"""Opens a MaxMind DB file so that nothing done to the file afterwards disturbs its readers.

Nothing here knows what a record means.
"""

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import BinaryIO, Literal, Self

import maxminddb
from maxminddb.types import Record

from regiongate.errors import ExpectedError
from regiongate.geo.private_copy import private_copy

Reader = Literal["c", "python"]

_MODES: dict[Reader, int] = {"c": maxminddb.MODE_MMAP_EXT, "python": maxminddb.MODE_MEMORY}

# UnicodeDecodeError is a ValueError; a map as the key of a map is a TypeError.
_READING_FAILS = (maxminddb.InvalidDatabaseError, TypeError, ValueError)
# The reader in Python seeks and computes with what it has not checked.
_OPENING_FAILS = (
    *_READING_FAILS,
    AttributeError,
    OSError,
    OverflowError,
    RecursionError,
)

_METADATA_MARKER = b"\xab\xcd\xefMaxMind.com"
_METADATA_REACH = 128 * 1024  # from the end of the file: MaxMind DB specification 2.0
_BOTH_VERSIONS = 6
_FORMATS = {(2, 4), (2, _BOTH_VERSIONS)}
_GZIP_MARKER = b"\x1f\x8b"
_LATEST = datetime.max.replace(tzinfo=UTC)


Objection = Literal[
    "unreadable", "undecodable", "purpose", "future", "older", "smaller", "probe", "changing"
]
"""What can be held against a file, in a word."""


class DatabaseError(ExpectedError):
    """A file is not the database it should be; the message is one line that names the file.

    Attributes:
        objections: What is held against it.
    """

    def __init__(self, message: str, *objections: Objection) -> None:
        super().__init__(message)
        self.objections: tuple[Objection, ...] = objections or ("unreadable",)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Database:
    """A MaxMind DB, answering from a private copy of its file.

    Safe to share between threads. It is released with the last reference to it; there is no way to
    close it under those who still read.

    Attributes:
        path: The file that was read, which may have changed since.
        type: What the file calls itself; free text.
        built: When it was built, as the file says; a time after the year 9999 becomes its end.
        digest: SHA-256 of what was read, in hexadecimal.
        node_count: The size of the search tree.
        record_size: Bits in each half of a node.
        knows_ipv6: False if there are only IPv4 addresses in it.
        reader: `python` if the C extension of maxminddb is missing: about 15 times slower.
    """

    path: Path
    type: str
    built: datetime
    digest: str
    node_count: int
    record_size: int
    knows_ipv6: bool
    reader: Reader
    _reader: maxminddb.Reader = field(repr=False)

    @classmethod
    def open(cls, path: Path, *, require_c_extension: bool = False, careful: bool = False) -> Self:
        """Read a file and open what was read.

        Args:
            path: A regular file or a link to one.
            require_c_extension: Raise rather than use the slow reader.
            careful: Use the slow reader, which nothing in a file can make end the process.

        Raises:
            DatabaseError: The file cannot be read, changed meanwhile or is no usable database.
        """
        reader: Reader = "python"
        if not careful:
            reader = _reader_at_hand(path, require_c_extension=require_c_extension)
        with _unchanging(path) as source, private_copy(source) as copy:
            return cls._open_copy(path, Path(copy), reader)

    @classmethod
    def _open_copy(cls, path: Path, copy: Path, reader: Reader) -> Self:
        try:
            # Not from the C extension, which hostile metadata could make end the process.
            with maxminddb.Reader(copy, maxminddb.MODE_FILE) as cautious:
                metadata = cautious.metadata()
            _check(path, metadata)
            return cls(
                path=path,
                type=str(metadata.database_type),
                built=_time(metadata.build_epoch),
                digest=_digest(copy),
                node_count=int(metadata.node_count),
                record_size=int(metadata.record_size),
                knows_ipv6=metadata.ip_version == _BOTH_VERSIONS,
                reader=reader,
                _reader=maxminddb.open_database(copy, _MODES[reader]),
            )
        except _OPENING_FAILS as error:
            raise DatabaseError(
                f"{path}: expected a MaxMind DB file, found {_description(copy, error)}"
            ) from error

    def lookup(self, address: IPv4Address | IPv6Address) -> tuple[Record | None, int]:
        """Return the record for an address and the length of the prefix that shares it.

        The length counts the bits of the address as given: 0 to 32 for IPv4 in any database. There
        is no record for IPv6 in a database of IPv4.

        Raises:
            DatabaseError: The record cannot be decoded.
        """
        if not self.knows_ipv6 and isinstance(address, IPv6Address):
            return None, 0
        try:
            return self._reader.get_with_prefix_len(address)
        except _READING_FAILS as error:
            raise DatabaseError(
                f"{self.path}: expected a record for {address}, found that {error}", "undecodable"
            ) from error


def _check(path: Path, metadata: maxminddb.reader.Metadata) -> None:
    """Make sure of what one of the readers leaves unchecked."""
    major, version = metadata.binary_format_major_version, metadata.ip_version
    if (major, version) not in _FORMATS:
        raise DatabaseError(
            f"{path}: expected a MaxMind DB file of format 2 for IP version 4 or 6, "
            f"found format {major} for {version}"
        )


def _reader_at_hand(path: Path, *, require_c_extension: bool) -> Reader:
    if sys.modules.get("maxminddb.extension"):
        return "c"
    if require_c_extension:
        raise DatabaseError(
            f"{path}: expected the C extension of maxminddb to read it with, "
            "found only the reader in Python"
        )
    return "python"


@contextmanager
def _unchanging(path: Path) -> Iterator[BinaryIO]:
    """Lend a file for reading, and make sure afterwards that nobody wrote to it meanwhile."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DatabaseError(f"{path}: expected a regular file, found another kind")
        with path.open("rb") as source:
            before = _version(source)
            yield source
            if _version(source) != before:
                raise DatabaseError(
                    f"{path}: expected a complete file, found one that changed while it was read",
                    "changing",
                )
    except OSError as error:
        raise DatabaseError(
            f"{path}: expected a readable file, found: {error.strerror or error}"
        ) from error


def _version(source: BinaryIO) -> tuple[int, int]:
    status = os.fstat(source.fileno())
    return status.st_size, status.st_mtime_ns


def _time(seconds: int) -> datetime:
    """Return a build time; hostile files state 2**64 - 1 and worse."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return _LATEST


def _digest(copy: Path) -> str:
    with copy.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _description(copy: Path, error: Exception) -> str:
    """Say in a few words what a file is that is no database."""
    content = copy.read_bytes()
    if not content:
        return "an empty file"
    if content.startswith(_GZIP_MARKER):
        return "a gzip file, to be unpacked first"
    if _METADATA_MARKER not in content[-_METADATA_REACH:]:
        return f"{len(content)} bytes without MaxMind metadata (cut short, or another format)"
    problem = str(error).replace(str(copy), "the file")
    return f"{len(content)} bytes that cannot be opened: {problem}"
