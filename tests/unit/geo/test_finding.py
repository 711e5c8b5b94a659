"""What a database has for an address, for people who ask."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from regiongate.geo.database import Database
from regiongate.geo.finding import Finding, carries, find
from tests.databases import COUNTRY, country_database, write

CARRIERS = [
    ("81.2.69.160", None),
    ("2001:db8::1", None),
    ("::ffff:81.2.69.160", ("IPv4-mapped", "81.2.69.160")),
    ("64:ff9b::5102:45a0", ("NAT64", "81.2.69.160")),
    ("2002:5102:45a0::1", ("6to4", "81.2.69.160")),
]
FOUND = [
    ("81.2.69.161", "81.2.69.160/27"),
    ("::ffff:81.2.69.161", "81.2.69.160/27"),
    ("2002:5102:45a0::1", "81.2.69.160/27"),
    ("2a02:d300::1", "2a02:d300::/29"),
]


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return Database.open(country_database(tmp_path_factory.mktemp("geo") / "country.mmdb"))


@pytest.mark.parametrize(("text", "expected"), CARRIERS)
def test_an_address_may_carry_another(text: str, expected: tuple[str, str] | None) -> None:
    """The kind is named, and the address inside."""
    carried = carries(ip_address(text))
    assert (carried and (carried[0], str(carried[1]))) == expected


@pytest.mark.parametrize(("text", "network"), FOUND)
def test_a_record_is_given_as_it_is_stored(country: Database, text: str, network: str) -> None:
    """With the network that shares it, of the address that was looked up."""
    found = find(country, ip_address(text))
    assert (str(found.network), found.record) == (network, COUNTRY[network])


def test_nothing_is_found_where_nothing_is(country: Database, tmp_path: Path) -> None:
    """Neither outside every network nor in a database of another version."""
    ipv4 = Database.open(write(tmp_path / "x.mmdb", {"1.0.0.0/8": "au"}, tree="ipv4"))
    assert find(country, ip_address("1.1.1.1")) == Finding()
    assert find(ipv4, ip_address("2a02:d300::1")) == Finding()


@pytest.mark.parametrize("careful", [False, True])
def test_a_record_that_cannot_be_decoded_is_told(tmp_path: Path, *, careful: bool) -> None:
    """With the file and the reason."""
    path = country_database(tmp_path / "country.mmdb")
    path.write_bytes(path.read_bytes().replace(b"Dcode", b"D\xff\xfe\xfd\xfc"))
    found = find(Database.open(path, careful=careful), ip_address("81.2.69.160"))
    assert found.problem.startswith(f"{path}: expected a record for 81.2.69.160, found that ")
    assert found.record is None


def test_the_careful_reader_reads_what_ends_the_other(tmp_path: Path) -> None:
    """A number as the key of a map is a mere problem."""
    path = country_database(tmp_path / "country.mmdb")
    path.write_bytes(path.read_bytes().replace(b"Dcode", b"\xa1\x02ode"))
    careful = Database.open(path, careful=True)
    assert careful.reader == "python"
    find(careful, ip_address("81.2.69.160"))
