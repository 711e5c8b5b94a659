"""Which databases are put into use."""

import sys
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from regiongate.geo import gate as module
from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.gate import Gate, Role, sample
from regiongate.geo.locate import Locator
from tests.databases import (
    BUILT,
    COUNTRY,
    anonymous_database,
    asn_database,
    city_database,
    country_database,
    write,
)

LONDON = ip_address("81.2.69.160")
ATLANTIC = ip_address("1.1.1.1")

ROLES: list[tuple[Callable[[Path], Path], set[Role]]] = [
    (country_database, {"country"}),
    (city_database, {"country"}),
    (asn_database, {"asn"}),
    (anonymous_database, {"anonymous"}),
]


@pytest.fixture(scope="module")
def in_use(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return Database.open(country_database(tmp_path_factory.mktemp("geo") / "country.mmdb"))


@pytest.fixture(autouse=True)
def rehearsed(monkeypatch: pytest.MonkeyPatch) -> list[Database]:
    """Spare each test the process of the rehearsal."""
    rehearsed: list[Database] = []
    monkeypatch.setattr(module, "rehearse", rehearsed.append)
    return rehearsed


def test_every_record_is_decoded_elsewhere_first(
    in_use: Database, rehearsed: list[Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the reader in Python is used, which nothing can make end the process."""
    Gate("country").check(in_use, now=BUILT)
    monkeypatch.delitem(sys.modules, "maxminddb.extension")
    Gate("country").check(Database.open(in_use.path), now=BUILT)
    assert rehearsed == [in_use]


@pytest.mark.parametrize(("build", "roles"), ROLES)
def test_a_database_is_used_for_what_it_holds(
    tmp_path: Path, build: Callable[[Path], Path], roles: set[Role]
) -> None:
    """A file of AS numbers is no database of countries, and so on."""
    database = Database.open(build(tmp_path / "x.mmdb"))
    for role in ("country", "asn", "anonymous"):
        gate = Gate(role)
        if role in roles:
            gate.check(database, now=BUILT)
        else:
            with pytest.raises(DatabaseError, match="expected a database for "):
                gate.check(database, now=BUILT)


def test_a_successor_of_the_same_kind_is_used(in_use: Database) -> None:
    """The same file is no worse than itself, and its probes are answered."""
    probes = {LONDON: "GB", ATLANTIC: "", ip_address("2a02:d300::1"): "UA"}
    Gate("country", probes).check(in_use, now=BUILT - timedelta(hours=23), in_use=in_use)


def test_every_problem_is_reported(tmp_path: Path, in_use: Database) -> None:
    """One message has all reasons, so that they need not be found one at a time."""
    path = tmp_path / "new.mmdb"
    small = {"81.2.69.160/27": COUNTRY["81.2.69.160/27"]}
    candidate = Database.open(write(path, small, built=BUILT - timedelta(days=1)))
    gate = Gate("country", {LONDON: "FR", ATLANTIC: "AU"})
    with pytest.raises(DatabaseError) as caught:
        gate.check(candidate, now=BUILT - timedelta(days=3), in_use=in_use)
    least = int(in_use.node_count * 0.8)
    assert str(caught.value) == (
        f"{path}: expected a build time that has come "
        "(got 2026-10-31T00:00Z, expected at most 2026-10-30T00:00Z); "
        "expected a build no older than the one in use "
        "(got 2026-10-31T00:00Z, expected at least 2026-11-01T00:00Z); "
        "expected at least four fifths of the nodes in use "
        f"(got {candidate.node_count}, expected at least {least}); "
        "expected the probe 81.2.69.160 to be answered (got GB, expected FR); "
        "expected the probe 1.1.1.1 to be answered (got no country, expected AU)"
    )


def refusal(gate: Gate, candidate: Database, in_use: Database | None = None) -> DatabaseError:
    """Return why a gate refuses a database."""
    with pytest.raises(DatabaseError) as caught:
        gate.check(candidate, now=BUILT, in_use=in_use)
    return caught.value


def test_what_is_held_against_a_file_is_also_told_in_words_for_a_metric(
    tmp_path: Path, in_use: Database
) -> None:
    """A word for each problem."""
    path = write(tmp_path / "new.mmdb", {"81.2.69.160/27": {"asn": 1}}, built=1)
    error = refusal(Gate("country", {LONDON: "FR"}), Database.open(path), in_use)
    assert error.objections == ("older", "smaller", "probe", "purpose")
    late = Database.open(write(path, COUNTRY, built=BUILT + timedelta(days=2)))
    assert refusal(Gate("country"), late).objections == ("future",)


def test_an_accepted_file_may_be_older_and_smaller(tmp_path: Path, in_use: Database) -> None:
    """By its digest, which the refusal tells; whatever else is wrong with it still counts."""
    candidate = Database.open(write(tmp_path / "new.mmdb", {"1.0.0.0/8": "au"}, built=1))
    error = refusal(Gate("country"), candidate, in_use)
    told = f"; to use it all the same, list {candidate.digest} under geo.accept"
    assert str(error).endswith(told)
    accepted = frozenset({candidate.digest})
    Gate("country", accepted=accepted).check(candidate, now=BUILT, in_use=in_use)
    wrong = refusal(Gate("country", {LONDON: "GB"}, accepted=accepted), candidate, in_use)
    assert wrong.objections == ("probe",)
    assert told not in str(wrong)


def test_what_answers_together_is_probed_together(tmp_path: Path, in_use: Database) -> None:
    """A database need not know every probe by itself."""
    own = Database.open(write(tmp_path / "own.mmdb", {"10.0.0.0/8": "de"}))
    probes = {LONDON: "GB", ip_address("10.1.1.1"): "DE"}
    assert refusal(Gate("country", probes), own).objections == ("probe",)
    Gate("country", probes, together=lambda one: Locator([one, in_use])).check(own, now=BUILT)


def test_age_and_size_do_not_matter_without_a_predecessor(tmp_path: Path) -> None:
    """Leaving it out is how an operator goes back to an older or a smaller file."""
    path = write(tmp_path / "x.mmdb", {"1.0.0.0/8": "au"}, built=1)
    Gate("country").check(Database.open(path), now=BUILT)


def test_an_absurd_build_time_is_refused(tmp_path: Path) -> None:
    """No file is from the end of time."""
    path = write(tmp_path / "x.mmdb", {"1.0.0.0/8": "au"}, built=2**64 - 1)
    with pytest.raises(
        DatabaseError, match=r"expected a build time that has come \(got 9999-12-31"
    ):
        Gate("country").check(Database.open(path), now=BUILT)


def test_a_layout_of_its_own_is_judged_by_it(tmp_path: Path) -> None:
    """The country is looked for where the operator says it is."""
    path = write(tmp_path / "x.mmdb", {"1.0.0.0/8": {"cc": "au"}})
    database = Database.open(path)
    Gate("country", {ATLANTIC: "AU"}, {"country": ("cc",)}).check(database, now=BUILT)
    with pytest.raises(DatabaseError, match=r"got none in \d+ records of the type 'Test-Country'"):
        Gate("country").check(database, now=BUILT)


def test_records_that_cannot_be_decoded_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the reader in Python too, which needs no rehearsal."""
    monkeypatch.delitem(sys.modules, "maxminddb.extension")
    path = country_database(tmp_path / "country.mmdb")
    path.write_bytes(path.read_bytes().replace(b"Dcode", b"D\xff\xfe\xfd\xfc"))
    with pytest.raises(DatabaseError) as caught:
        Gate("country", {LONDON: "GB"}).check(Database.open(path), now=BUILT)
    assert "(got no country, expected GB)" in str(caught.value)
    assert "; expected records that can be decoded (" in str(caught.value)


def test_the_sample_is_taken_from_all_over_the_tree(in_use: Database) -> None:
    """The first record in each of thousands of equal parts, of IPv4 and of IPv6."""
    sampled = {str(record) for record in sample(in_use)}
    assert sampled >= {str(COUNTRY[network]) for network in ("67.43.156.0/24", "2001:218::/32")}
    assert len(sampled) > len(COUNTRY) / 2
