"""What is downloaded is unpacked in pieces of any length, and not trusted."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate.geo.update.errors import UpdateError
from regiongate.geo.update.unpack import PIECE, gunzip, limited, member


def pieces(content: bytes, length: int) -> Iterator[bytes]:
    """Cut content up."""
    return (content[start : start + length] for start in range(0, len(content), length))


def tar(**files: bytes) -> bytes:
    """Return an archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            about = tarfile.TarInfo(f"folder/{name}")
            about.size = len(content)
            about.pax_headers = {"comment": "x" * 1000}
            archive.addfile(about, io.BytesIO(content))
    return packed.getvalue()


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=3), st.integers(1, 700))
def test_gzip_is_unpacked(parts: list[bytes], length: int) -> None:
    """One member or several, however it arrives."""
    packed = b"".join(map(gzip.compress, parts))
    assert b"".join(gunzip(pieces(packed, length))) == b"".join(parts)


@given(st.binary(min_size=1, max_size=500), st.data())
def test_gzip_that_is_cut_short_is_an_error(content: bytes, data: st.DataObject) -> None:
    """Wherever that is."""
    packed = gzip.compress(content)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(UpdateError, match="expected a complete gzip file"):
        list(gunzip([packed[:cut]]))


@given(st.binary(max_size=2000), st.integers(1, 1500))
def test_a_member_is_found(content: bytes, length: int) -> None:
    """Among others, behind headers of their own."""
    packed = tar(**{"a.txt": b"a" * 700, "b.mmdb": content, "c.mmdb": b"c", "d.txt": b"d"})
    assert b"".join(member(pieces(packed, length), ".mmdb")) == content


ARCHIVE = tar(**{"a.mmdb": b"a" * 700})
BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "expected a file in the archive whose name ends with .mmdb"),
    "another file": (tar(**{"a.txt": b"a"}), "expected a file in the archive whose name ends"),
    "no archive": (b"no archive" * 100, r"expected a tar archive \(invalid header\)"),
    "cut in a header": (ARCHIVE[:100], r"expected a complete archive \(got one that is cut short"),
    "cut in the file": (ARCHIVE[: ARCHIVE.index(b"aaa") + 9], "expected a complete archive"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_archive_is_an_error(name: str) -> None:
    """With a word on what is wrong."""
    content, told = BAD[name]
    with pytest.raises(UpdateError, match=told):
        list(member([content], ".mmdb"))


def test_a_negative_size_is_an_error() -> None:
    """It would have the reader go back."""
    about = tarfile.TarInfo("a.mmdb")
    header = bytearray(about.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 12
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(UpdateError, match=r"expected a tar archive \(got a size of -1\)"):
        list(member([bytes(header)], ".mmdb"))


def test_damage_is_an_error() -> None:
    """zlib says what it found."""
    with pytest.raises(UpdateError, match="expected a sound gzip file"):
        list(gunzip([b"no gzip at all"]))


def test_no_more_is_held_than_a_piece() -> None:
    """However well it is packed."""
    packed = gzip.compress(bytes(100 * PIECE))
    assert max(map(len, gunzip([packed]))) <= PIECE


def test_a_limit_is_kept() -> None:
    """As much is passed on, and no more."""
    assert list(limited([b"ab", b"c"], 3)) == [b"ab", b"c"]
    with pytest.raises(UpdateError, match="expected at most 1 MiB once it is unpacked"):
        list(limited([bytes(1 << 20), b"x"], 1 << 20))
