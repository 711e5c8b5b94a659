"""Unpacks what is downloaded, piece by piece and no further than a limit.

Nothing here opens a file, and nothing that an archive says about itself decides how much memory is
used. gzip is RFC 1952; tar is that of POSIX.1-1988, of which one member is wanted.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from regiongate.geo.update.errors import UpdateError

PIECE: Final = 1 << 18
"""Bytes unpacked at a time."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_BLOCK: Final = tarfile.BLOCKSIZE
_MIB: Final = 1 << 20


def limited(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Pass on pieces up to a number of bytes.

    Raises:
        UpdateError: there are more.
    """
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > limit:
            raise UpdateError(f"expected at most {limit / _MIB:g} MiB once it is unpacked")
        yield piece


def gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack gzip, one member or several after each other.

    Raises:
        UpdateError: it is not gzip, damaged or cut short.
    """
    stream, complete = zlib.decompressobj(_GZIP), False
    for piece in pieces:
        rest = piece
        while rest:
            yield _inflated(stream, rest)
            rest, complete = stream.unconsumed_tail, stream.eof
            if complete:
                rest, stream = stream.unused_data, zlib.decompressobj(_GZIP)
    if not complete:
        raise UpdateError("expected a complete gzip file (got one that is cut short)")


def _inflated(stream: zlib._Decompress, packed: bytes) -> bytes:
    try:
        return stream.decompress(packed, PIECE)
    except zlib.error as error:
        raise UpdateError(f"expected a sound gzip file ({error})") from None


def member(pieces: Iterable[bytes], suffix: str) -> Iterator[bytes]:
    """Yield the content of the first file in a tar archive whose name ends so.

    The rest of the archive is read as well: only its end vouches for all of it.

    Raises:
        UpdateError: it is not tar, has no such file, or ends within it.
    """
    archive = _Reader(pieces)
    found = False
    while (header := archive.exactly(_BLOCK)) and header != bytes(_BLOCK):
        about = _header(header)
        wanted = not found and about.isreg() and about.name.endswith(suffix)
        for piece in archive.some(about.size):
            if wanted:
                yield piece
        archive.skip(-about.size % _BLOCK)
        found = found or wanted
    if not found:
        raise UpdateError(f"expected a file in the archive whose name ends with {suffix}")
    archive.finish()


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        about = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise UpdateError(f"expected a tar archive ({error})") from None
    if about.size < 0:
        raise UpdateError(f"expected a tar archive (got a size of {about.size})")
    return about


class _Reader:
    """Reads numbers of bytes from pieces of any length."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def some(self, count: int) -> Iterator[bytes]:
        """Yield so many bytes, in pieces.

        Raises:
            UpdateError: there are fewer.
        """
        while count:
            piece = self._rest or next(self._pieces, None)
            if piece is None:
                raise UpdateError("expected a complete archive (got one that is cut short)")
            self._rest = piece[count:]
            if piece:
                yield piece[:count]
            count -= min(count, len(piece))

    def exactly(self, count: int) -> bytes:
        """Return so many bytes, a small number of them; none at the end.

        Raises:
            UpdateError: there are some, and too few.
        """
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        return b"".join(self.some(count))

    def skip(self, count: int) -> None:
        """Leave so many bytes out."""
        for _ in self.some(count):
            pass

    def finish(self) -> None:
        """Read to the end."""
        for _ in self._pieces:
            pass
