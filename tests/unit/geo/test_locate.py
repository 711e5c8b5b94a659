"""Where clients are."""

import gc
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate.address import ClientAddress
from regiongate.facts import Source
from regiongate.geo.database import Database
from regiongate.geo.layouts import Layout
from regiongate.geo.locate import Locator
from regiongate.geo.ranges import EMBEDDING, PRIVATE
from tests.databases import (
    ANONYMOUS,
    BUILT,
    CITY,
    COUNTRY,
    anonymous_database,
    asn_database,
    city_database,
    country_database,
    write,
)

Databases = tuple[list[Database], list[Database], list[Database]]

GB: dict[str, Any] = {
    "status": "located",
    "country": "GB",
    "continent": "EU",
    "registered_country": "US",
    "network": "81.2.69.160/27",
}
BARE = [
    # What a MaxMind country database says about an address.
    ("81.2.69.160", GB),
    ("::ffff:81.2.69.160", {**GB, "network": "81.2.69.160/27"}),
    ("2002:5102:45a0::1", {**GB, "network": "81.2.69.160/27"}),
    ("64:ff9b::5102:45a0", GB),
    ("64:ff9b::a00:1", {"status": "private"}),
    ("64:ff9b::101:101", {"status": "unknown"}),
    (
        "2a02:d300::1",
        {
            "status": "located",
            "country": "UA",
            "continent": "EU",
            "registered_country": "UA",
            "network": "2a02:d300::/29",
        },
    ),
    ("2a02:d500::1", {"status": "unknown", "continent": "EU", "network": "2a02:d500::/29"}),
    ("214.1.1.7", {"status": "unknown", "network": "214.1.1.0/24"}),
    ("1.1.1.1", {"status": "unknown"}),
    ("4000::1", {"status": "unknown"}),
    ("10.0.0.1", {"status": "private"}),
    ("11.0.0.1", {"status": "unknown"}),
    ("100.64.0.1", {"status": "private"}),
    ("127.0.0.1", {"status": "private"}),
    ("2001:db8::1", {"status": "private"}),
    ("::1", {"status": "private"}),
    ("fe80::1", {"status": "private"}),
]
TEXTS = ["::", "::1", "::102:304", "1::", "1:0:0:2::", "1:0:2:0:3:0:4:0", "2001:db8::1:0:0:1"]
EDGES = [
    address
    for network in (*PRIVATE[4], *PRIVATE[6], *EMBEDDING)
    for address in (network[0] + 1, network[-1] - 1 if network.num_addresses > 1 else network[0])
]
KNOWN = [ip_address(network.partition("/")[0]) for network in (*CITY, *ANONYMOUS)]
CARRIED = [
    IPv6Address(int(IPv6Address(prefix)) | int(address) << behind)
    for address in (*KNOWN, *EDGES)
    if isinstance(address, IPv4Address)
    for prefix, behind in (("64:ff9b::", 0), ("2002::", 80), ("::ffff:0:0", 0), ("::", 0))
]
ADDRESSES = st.builds(
    lambda address, noise: type(address)(int(address) ^ noise),
    st.sampled_from([*EDGES, *KNOWN, *CARRIED]) | st.ip_addresses(),
    st.sampled_from([0, 0, 1, 255, 1 << 8, 1 << 12, 1 << 16, 1 << 24]),
)


def client(text: str) -> ClientAddress:
    return ClientAddress(ip_address(text), "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("geo")


@pytest.fixture(scope="module")
def country(folder: Path) -> Database:
    return Database.open(country_database(folder / "country.mmdb"))


@pytest.fixture(scope="module")
def flat(folder: Path) -> Database:
    """Not aliased, of IPv4 alone, and at odds with the others about Crimea."""
    records: dict[str, object] = {"5.133.64.0/20": {"country_code": "RU"}, "8.8.8.0/24": "us"}
    return Database.open(write(folder / "flat.mmdb", records, tree="ipv4"))


@pytest.fixture(scope="module")
def everything(folder: Path, country: Database, flat: Database) -> Databases:
    return (
        [country, Database.open(city_database(folder / "city.mmdb")), flat],
        [Database.open(asn_database(folder / "asn.mmdb"))],
        [Database.open(anonymous_database(folder / "anonymous.mmdb", tree="ipv6"))],
    )


@pytest.mark.parametrize(("text", "expected"), BARE)
def test_an_address_is_located(country: Database, text: str, expected: dict[str, Any]) -> None:
    """The answer is the same when it is remembered."""
    locator = Locator([country])
    source = Source(address=str(ip_address(text)), **expected)
    assert locator.locate(client(text)).source == source
    assert locator.locate(client(text)).source == source


def test_without_an_address_nothing_is_known(country: Database) -> None:
    """The status alone says so."""
    source = Locator([country]).locate(ClientAddress(None, "missing")).source
    assert source == Source(status="unresolved")


def test_a_database_may_know_a_private_address(tmp_path: Path) -> None:
    """An operator's own database locates an operator's own network."""
    path = write(tmp_path / "own.mmdb", {"10.1.0.0/16": "de"})
    locator = Locator([Database.open(path)])
    assert locator.locate(client("10.1.2.3")).source.status == "located"
    assert locator.locate(client("10.2.2.3")).source.status == "private"


def test_several_databases_answer_together(everything: Databases) -> None:
    """Each field comes from the first that knows it."""
    locator = Locator(*everything)
    assert locator.locate(client("81.2.69.160")).source == Source(
        address="81.2.69.160",
        asn=20712,
        as_org="Andrews & Arnold Ltd",
        anonymous=True,
        vpn=True,
        tor=True,
        hosting=True,
        proxy=True,
        **GB,
    )
    crimea = locator.locate(client("5.133.64.9")).source
    assert (crimea.country, list(crimea.regions)) == ("UA", ["UA-43"])
    assert crimea.network == "5.133.64.0/24"
    assert locator.locate(client("5.133.65.9")).source.country == "RU"
    assert locator.locate(client("64:ff9b::808:808")).source.network == "8.8.8.0/24"


def test_a_layout_belongs_to_one_database(tmp_path: Path, country: Database) -> None:
    """The others are read as usual, whatever they are for."""
    own = Database.open(write(tmp_path / "own.mmdb", {"1.2.3.0/24": {"cc": "gb"}}))
    asn = Database.open(write(tmp_path / "asn.mmdb", {"1.2.0.0/16": {"as": {"number": 7}}}))
    other = Database.open(asn_database(tmp_path / "other.mmdb"))
    layouts: Mapping[Database, Layout] = {own: {"country": ("cc",)}, asn: {"asn": ("as", "number")}}
    locator = Locator([own, country], [asn, other], layouts=layouts)
    first, second = (locator.locate(client(text)).source for text in ("1.2.3.4", "81.2.69.160"))
    assert (first.country, first.asn) == ("GB", 7)
    assert (second.country, second.asn) == ("GB", 20712)
    alone = Locator([own], layouts=layouts).locate(client("1.2.3.4")).source
    assert (alone.country, alone.network) == ("GB", "1.2.3.0/24")


@settings(deadline=None, max_examples=300)
@given(addresses=st.lists(ADDRESSES, min_size=2, max_size=12))
def test_an_answer_does_not_depend_on_what_was_asked_before(
    everything: Databases, addresses: list[IPv4Address | IPv6Address]
) -> None:
    """What is remembered about a network holds for every address that recalls it."""
    for databases in ((everything[0][:1], [], []), everything):
        locator = Locator(*databases)
        for address in addresses:
            alone = Locator(*databases).locate(ClientAddress(address, "")).source
            assert locator.locate(ClientAddress(address, "")).source == alone


@given(ADDRESSES | st.sampled_from([ip_address(text) for text in TEXTS]))
def test_the_address_is_the_one_that_was_asked_for(
    country: Database, address: IPv4Address | IPv6Address
) -> None:
    """In its canonical text, which is that of the standard library."""
    assert Locator([country]).locate(ClientAddress(address, "")).address == str(address)


def test_nobody_can_change_what_is_remembered(country: Database) -> None:
    """A message that somebody alters is not given to anybody else."""
    locator = Locator([country])
    locator.locate(client("81.2.69.160")).source.country = "XX"
    assert locator.locate(client("81.2.69.160")).source.country == "GB"


def test_a_record_that_cannot_be_decoded_is_an_unknown_place(tmp_path: Path) -> None:
    """It is counted, and does no harm to the answers for other addresses."""
    path = country_database(tmp_path / "country.mmdb")
    path.write_bytes(path.read_bytes().replace(b"Dcode", b"D\xff\xfe\xfd\xfc"))
    locator = Locator([Database.open(path)])
    assert locator.locate(client("81.2.69.160")).source.status == "unknown"
    assert locator.locate(client("81.2.69.160")).source.status == "unknown"
    assert locator.locate(client("214.1.1.7")).source.network == "214.1.1.0/24"
    assert locator.undecodable == 1


def test_the_oldest_country_database_tells_the_age(folder: Path, country: Database) -> None:
    """Other databases may be older."""
    month = timedelta(days=30)
    older = Database.open(country_database(folder / "older.mmdb", built=BUILT - month))
    oldest = Database.open(asn_database(folder / "oldest.mmdb", built=BUILT - 2 * month))
    assert Locator([country, older], [oldest]).built == BUILT - month


def test_a_locator_needs_a_country_database() -> None:
    """Without one nobody could be located."""
    with pytest.raises(ValueError, match=r"^country: expected at least one database \(got none\)$"):
        Locator([])


def test_memory_stays_within_its_bound(country: Database) -> None:
    """However many different addresses are asked for."""
    locator = Locator([country], remembered=50)
    for number in range(0, 2**32, 2**19):
        locator.locate(ClientAddress(IPv4Address(number), ""))
        locator.locate(ClientAddress(IPv6Address(number << 96), ""))
    assert (len(locator._ipv4), len(locator._ipv6)) == (50, 50)


def test_a_locator_goes_with_its_last_reference(country: Database) -> None:
    """A swap gives back the memory of the old databases at once, without a garbage collector."""
    gc.collect()
    gc.disable()
    try:
        locator = Locator([country])
        locator.locate(client("81.2.69.160"))
        gone = weakref.ref(locator)
        del locator
        assert gone() is None
    finally:
        gc.enable()


def test_many_threads_may_ask_at_once(everything: Databases) -> None:
    """Also when there is room for few answers, which they take from each other."""
    locator = Locator(*everything, remembered=4)
    expected = {
        address: Locator(*everything).locate(ClientAddress(address, "")).source for address in KNOWN
    }

    def ask(_: int) -> bool:
        return all(
            locator.locate(ClientAddress(address, "")).source == source
            for address, source in expected.items()
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))
    assert len(locator._ipv4) <= 4 + 8


def test_every_country_of_the_file_is_found(country: Database) -> None:
    """Each network of the file is located as its record says."""
    locator = Locator([country])
    for network, record in COUNTRY.items():
        assert isinstance(record, dict)
        source = locator.locate(client(network.partition("/")[0])).source
        assert source.country == record.get("country", {}).get("iso_code", "")
