"""Decoding every record where nothing can be lost by it."""

import struct
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import maxminddb
import pytest

from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.rehearsal import rehearse
from regiongate.geo.search_tree import first_addresses
from tests.databases import Tree, asn_database, country_database, write

DAMAGED = {
    # Replacing these bytes of a good file has this outcome.
    "a number as the key of a map": (b"Dcode", b"\xa1\x02ode", "Segmentation fault"),
    "a map as the key of a map": (b"Dcode", b"\xe1\x44cod", "found"),
    "a key that is not UTF-8": (b"Dcode", b"D\xff\xfe\xfd\xfc", "codec can't decode"),
    "a string that is too long": (b"Dcode", b"\x5f\xff\xff\xff\xff", "corrupt data"),
}


@pytest.fixture(autouse=True)
def _forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember no rehearsal of other tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_good_database_passes(tmp_path: Path) -> None:
    """All its records can be decoded."""
    rehearse(Database.open(country_database(tmp_path / "country.mmdb")))
    rehearse(Database.open(write(tmp_path / "ipv4.mmdb", {"1.0.0.0/8": "au"}, tree="ipv4")))


@pytest.mark.parametrize(("good", "bad", "problem"), DAMAGED.values(), ids=DAMAGED)
def test_a_record_that_cannot_be_decoded_is_found(
    tmp_path: Path, good: bytes, bad: bytes, problem: str
) -> None:
    """Even one that ends the process that decodes it."""
    path = country_database(tmp_path / "country.mmdb")
    content = path.read_bytes()
    assert good in content
    path.write_bytes(content.replace(good, bad))
    with pytest.raises(DatabaseError) as caught:
        rehearse(Database.open(path))
    assert str(caught.value).startswith(f"{path}: expected records that can be decoded, found")
    assert problem in str(caught.value)


def test_another_file_in_its_place_is_no_rehearsal(tmp_path: Path) -> None:
    """What is decoded has to be what is open."""
    path = country_database(tmp_path / "country.mmdb")
    database = Database.open(path)
    asn_database(path)
    with pytest.raises(DatabaseError, match="found another file in its place"):
        rehearse(database)


@pytest.mark.parametrize("size", [24, 28, 32])
@pytest.mark.parametrize("tree", ["ipv4", "ipv6", "aliased"])
def test_every_record_is_reached_once(tmp_path: Path, size: int, tree: Tree) -> None:
    """Whatever the size of a node, one address is found for each different record."""
    records: dict[str, object] = {f"{n}.{n}.0.0/16": {"country_code": str(n)} for n in range(1, 99)}
    records |= {"200.0.0.0/8": {"country_code": "1"}}
    path = write(tmp_path / "x.mmdb", records, tree=tree)
    database = Database.open(path)
    width = 128 if database.knows_ipv6 else 32
    kind = IPv6Address if database.knows_ipv6 else IPv4Address
    content = resized(path, size)
    found = [
        str(database.lookup(kind(number))[0])
        for number in first_addresses(content, database.node_count, size, width)
    ]
    assert sorted(found) == sorted({str(record) for record in records.values()})


def resized(path: Path, size: int) -> bytes:
    """Return the search tree of a file with nodes of another size."""
    with maxminddb.open_database(path, maxminddb.MODE_MEMORY) as reader:
        count = reader.metadata().node_count
        halves = [(reader._read_node(n, 0), reader._read_node(n, 1)) for n in range(count)]
    match size:
        case 24:
            nodes = [left.to_bytes(3) + right.to_bytes(3) for left, right in halves]
        case 28:
            nodes = [
                (left & 0xFFFFFF).to_bytes(3)
                + ((left >> 24) << 4 | right >> 24).to_bytes()
                + (right & 0xFFFFFF).to_bytes(3)
                for left, right in halves
            ]
        case _:
            nodes = [struct.pack(">II", left, right) for left, right in halves]
    return b"".join(nodes)
