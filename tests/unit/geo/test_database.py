"""Opening databases, good and bad, and reading them while their file is destroyed."""

import gc
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regiongate.geo import database as module
from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.layouts import read
from regiongate.geo.private_copy import unlinked
from tests.databases import BUILT, COUNTRY, asn_database, country_database, damaged, write

LONDON = ip_address("81.2.69.160")

LOOKUPS = [
    # address, country, length of the prefix: in MaxMind's file, in a file of IPv4 alone
    ("81.2.69.160", "GB", 27, 27),
    ("81.2.69.191", "GB", 27, 27),
    ("2a02:d300::1", "UA", 29, 0),
    ("2002:5102:45a0::1", "GB", 43, 0),
    ("::ffff:81.2.69.160", "GB", 123, 0),
]
DAMAGES: dict[str, str] = {
    "empty": "found an empty file",
    "text": "found 1100 bytes without MaxMind metadata (cut short, or another format)",
    "HTML": "bytes without MaxMind metadata",
    "gzip": "found a gzip file, to be unpacked first",
    "zeros": "bytes without MaxMind metadata",
    "first half": "bytes without MaxMind metadata",
    "second half of zeros": "bytes without MaxMind metadata",
    "marker only": "found 14 bytes that cannot be opened: ",
    "metadata without a tree": "bytes that cannot be opened: ",
}


def _truncate(path: Path) -> None:
    os.truncate(path, 0)


def _overwrite(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _replace(path: Path) -> None:
    asn_database(path.with_name("other.mmdb")).replace(path)


INJURIES: list[Callable[[Path], None]] = [_truncate, _overwrite, _replace, Path.unlink]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return country_database(tmp_path_factory.mktemp("geo") / "country.mmdb")


@pytest.fixture(params=["c", "python"])
def each_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.delitem(sys.modules, "maxminddb.extension")


def test_a_database_says_what_it_is(good: Path) -> None:
    """Type, build time, size and digest are those of the file."""
    database = Database.open(good)
    assert database.path == good
    assert database.type == "GeoIP2-Country"
    assert database.built == BUILT
    assert database.digest == hashlib.sha256(good.read_bytes()).hexdigest()
    assert database.node_count > 100
    assert database.knows_ipv6
    assert database.reader == "c"


def test_a_lookup_gives_the_record_and_its_prefix(good: Path, tmp_path: Path) -> None:
    """The length counts the bits of the address that was asked for, in any kind of tree."""
    records = {network: record for network, record in COUNTRY.items() if ":" not in network}
    ipv4_only = Database.open(write(tmp_path / "ipv4.mmdb", records, tree="ipv4"))
    both = Database.open(good)
    for text, country, *lengths in LOOKUPS:
        for database, length in zip((both, ipv4_only), lengths, strict=True):
            record, found = database.lookup(ip_address(text))
            assert (read(record).country, found) == (country if length else "", length)


def test_a_record_around_all_of_ipv4_has_no_bits_of_it(tmp_path: Path) -> None:
    """In a tree without a branch for IPv4 the prefix is 0 long, not negative."""
    database = Database.open(write(tmp_path / "x.mmdb", {"::/64": "us", "2001:218::/32": "jp"}))
    assert database.lookup(LONDON) == ("us", 0)


@pytest.mark.parametrize(("what", "found"), DAMAGES.items(), ids=DAMAGES)
@pytest.mark.usefixtures("each_reader")
def test_a_damaged_file_is_refused(good: Path, tmp_path: Path, what: str, found: str) -> None:
    """The error says on one line which file, what was expected and what was found."""
    path = tmp_path / "country.mmdb"
    path.write_bytes(damaged(good.read_bytes())[what])
    with pytest.raises(DatabaseError) as caught:
        Database.open(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected a MaxMind DB file, found ")
    assert found in message
    assert "\n" not in message
    assert "/proc" not in message


def test_a_file_cut_anywhere_is_refused(good: Path, tmp_path: Path) -> None:
    """A half-copied file never opens: its metadata stands at the end."""
    content = good.read_bytes()
    path = tmp_path / "country.mmdb"
    for size in range(0, len(content), 97):
        path.write_bytes(content[:size])
        with pytest.raises(DatabaseError, match="expected a MaxMind DB file, found "):
            Database.open(path)


FLIPS = st.lists(st.integers(0, 2**20), max_size=8)
EACH_WRITES_THE_FILE_ANEW = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def flipped(path: Path, flips: list[int], copy: Path) -> Path:
    content = bytearray(path.read_bytes())
    for position in flips:
        content[position // 8 % len(content)] ^= 1 << position % 8
    copy.write_bytes(content)
    return copy


@EACH_WRITES_THE_FILE_ANEW
@given(flips=FLIPS)
def test_a_file_with_flipped_bits_opens_or_is_refused(
    good: Path, tmp_path: Path, flips: list[int]
) -> None:
    """Opening looks at no record, and whatever else is damaged is a DatabaseError."""
    with suppress(DatabaseError):
        Database.open(flipped(good, flips, tmp_path / "country.mmdb"))


@EACH_WRITES_THE_FILE_ANEW
@given(flips=FLIPS)
def test_flipped_bits_cause_no_other_error_in_python(
    good: Path, tmp_path: Path, flips: list[int]
) -> None:
    """Lookups answer or fail as DatabaseError. In C some end the process: see the rehearsal."""
    with pytest.MonkeyPatch.context() as patch, suppress(DatabaseError):
        patch.delitem(sys.modules, "maxminddb.extension")
        database = Database.open(flipped(good, flips, tmp_path / "country.mmdb"))
        for text in ("81.2.69.160", "1.1.1.1", "2a02:d300::1", "::"):
            read(database.lookup(ip_address(text))[0])


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder and a named pipe are named; the pipe is not waited for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    cases = {
        tmp_path / "missing": "expected a readable file, found: No such file or directory",
        tmp_path: "expected a regular file, found another kind",
        pipe: "expected a regular file, found another kind",
    }
    for path, problem in cases.items():
        with pytest.raises(DatabaseError) as caught:
            Database.open(path)
        assert str(caught.value) == f"{path}: {problem}"


def test_a_file_written_to_while_it_is_read_is_refused(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read may be half of one file and half of another."""
    path = tmp_path / "country.mmdb"
    path.write_bytes(good.read_bytes())
    digest = module._digest

    def digest_while_written_to(copy: Path) -> str:
        with path.open("ab") as file:
            file.write(b"more")
        return digest(copy)

    monkeypatch.setattr(module, "_digest", digest_while_written_to)
    with pytest.raises(DatabaseError, match="found one that changed while it was read"):
        Database.open(path)


@pytest.mark.parametrize("seconds", [2**64 - 1, 2**40, 253402300800])
def test_an_absurd_build_time_is_the_end_of_time(tmp_path: Path, seconds: int) -> None:
    """It must not keep the file from being opened and judged."""
    database = Database.open(write(tmp_path / "x.mmdb", COUNTRY, built=seconds))
    assert database.built == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("injure", INJURIES)
@pytest.mark.parametrize("copying", ["in memory", "unlinked"])
def test_nothing_done_to_the_file_disturbs_an_open_database(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    injure: Callable[[Path], None],
    copying: str,
) -> None:
    """It answers from a private copy: a mapped file would kill the process."""
    if copying == "unlinked":
        monkeypatch.setattr(module, "private_copy", unlinked)
    path = country_database(tmp_path / "country.mmdb")
    database = Database.open(path)
    before = database.lookup(LONDON)
    injure(path)
    assert database.lookup(LONDON) == before
    assert read(before[0]).country == "GB"


def test_no_descriptor_and_no_file_is_left_behind(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open database holds memory alone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(module, "private_copy", unlinked)
    before = len(list(Path("/proc/self/fd").iterdir()))
    databases = [Database.open(good) for _ in range(10)]
    assert len(databases) == 10
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list(tmp_path.iterdir()) == []


def test_a_database_goes_with_its_last_reference(good: Path) -> None:
    """It needs no closing, and no garbage collector either."""
    gc.collect()
    gc.disable()
    try:
        database = Database.open(good)
        mapped = Path("/proc/self/maps").read_text().count("memfd:regiongate")
        del database
        assert Path("/proc/self/maps").read_text().count("memfd:regiongate") == mapped - 1
    finally:
        gc.enable()


def test_many_threads_may_look_up_at_once(good: Path) -> None:
    """Each gets the record of its address."""
    database = Database.open(good)
    expected = {ip_address(text): country for text, country, _, _ in LOOKUPS}

    def work(_: int) -> bool:
        return all(
            read(database.lookup(address)[0]).country == country
            for address, country in expected.items()
            for _ in range(50)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(32)))


def test_without_the_extension_the_reader_in_python_is_used(good: Path) -> None:
    """The database says so, gives the same answers, and refuses if that is asked for."""
    code = f"""
import sys
sys.modules["maxminddb.extension"] = None
from ipaddress import ip_address
from pathlib import Path
from regiongate.geo import Database, DatabaseError
database = Database.open(Path({str(good)!r}))
print(database.reader, database.lookup(ip_address("81.2.69.160"))[1])
try:
    Database.open(Path("x.mmdb"), require_c_extension=True)
except DatabaseError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == (
        "python 27\n"
        "x.mmdb: expected the C extension of maxminddb to read it with, "
        "found only the reader in Python\n"
    )
