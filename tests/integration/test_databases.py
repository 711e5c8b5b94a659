"""Several databases in force: what they answer together, and how each is taken over by itself."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn

import pytest

from regiongate.address import ClientAddress
from regiongate.facts import Source
from regiongate.geo import Database, DatabaseError
from regiongate.runtime.files import LoadError
from regiongate.runtime.state import State
from regiongate.runtime.worker import Worker
from regiongate.telemetry.metrics import UNDECODABLE
from tests.databases import BUILT, asn_database, city_database, write
from tests.integration.deployment import answer, database, deploy, question, settings
from tests.integration.test_files import notice

pytestmark = pytest.mark.usefixtures("unrehearsed")

LONDON, OWN = "81.2.69.160", "10.1.1.1"
GEO: Mapping[str, Any] = {
    "country": ["city.mmdb", {"path": "own.mmdb", "layout": "cc"}],
    "asn": "asn.mmdb",
    "probes": {LONDON: "GB", OWN: "DE"},
}


def own(path: Path, country: str = "de", **options: Any) -> Path:
    """Write the operator's own database."""
    return write(path, {"10.1.0.0/16": {"cc": country}}, database_type="own", **options)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with three databases."""
    city_database(tmp_path / "city.mmdb")
    asn_database(tmp_path / "asn.mmdb")
    own(tmp_path / "own.mmdb")
    return deploy(tmp_path, geo=GEO)


def located(state: State, text: str) -> Source:
    """Locate a client."""
    return state.snapshot().locator.locate(ClientAddress(ip_address(text), "")).source


def test_several_databases_answer_together(config: Path) -> None:
    """Each with its own layout."""
    state = State(config)
    assert (located(state, LONDON).country, located(state, LONDON).asn) == ("GB", 20712)
    assert located(state, OWN).country == "DE"
    assert list(located(state, "5.133.64.1").regions) == ["UA-43"]


def test_each_is_taken_over_by_itself(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Beside one that cannot be used, another is."""
    told: list[tuple[str, bool]] = []
    state = State(config, lambda part, done: told.append((part, done)))
    before = state.configured.databases.country
    own(config.with_name("own.mmdb"), built=BUILT + timedelta(days=1))
    config.with_name("asn.mmdb").write_bytes(b"<html>")
    notice(state)
    after = state.configured.databases.country
    assert (after[0] is before[0], after[1] is before[1]) == (True, False)
    assert located(state, LONDON).asn == 20712
    assert sorted(told) == [("asn database asn.mmdb", False), ("country database own.mmdb", True)]
    assert {name for name, problem in state.problems.items() if problem} == {
        "asn database asn.mmdb"
    }
    assert "the new asn database asn.mmdb cannot be used, what is in force stays:" in caplog.text
    *_, asn = state.configured.databases.in_use
    assert asn.objections == ("unreadable",)
    assert "without MaxMind metadata" in asn.told()["refused"]


def test_probes_are_asked_of_all_together(config: Path) -> None:
    """At the start and before each new file: none has to know every one by itself."""
    state = State(config)
    own(config.with_name("own.mmdb"), "fr")
    notice(state)
    assert located(state, OWN).country == "DE"
    refused = state.configured.databases.in_use[1]
    assert refused.objections == ("probe",)
    told = "expected the probe 10.1.1.1 to be answered (got FR, expected DE)"
    assert told in refused.part.problem
    with pytest.raises(LoadError) as caught:
        State(config)
    names = f"{config.with_name('city.mmdb')}, {config.with_name('own.mmdb')}"
    assert str(caught.value) == f"{names}: {told}"


def test_a_file_that_is_accepted_may_be_older(config: Path) -> None:
    """Once the configuration says so; until then every look refuses it."""
    state = State(config)
    path = own(config.with_name("own.mmdb"), built=BUILT - timedelta(days=9))
    notice(state)
    notice(state)
    refused = state.configured.databases.in_use[1]
    assert refused.objections == ("older",)
    digest = Database.open(path).digest
    assert f"list {digest} under geo.accept" in refused.part.problem
    config.write_bytes(settings(geo={**GEO, "accept": [digest]}))
    notice(state)
    assert state.problems["country database own.mmdb"] == ""
    assert state.configured.databases.built == BUILT - timedelta(days=9)


def test_a_restart_takes_what_is_there(config: Path) -> None:
    """There is nothing in use then to hold a file against."""
    own(config.with_name("own.mmdb"), built=BUILT - timedelta(days=9))
    assert State(config).configured.databases.built == BUILT - timedelta(days=9)


def test_a_configuration_that_says_the_same_of_databases_keeps_them(config: Path) -> None:
    """And what was remembered; a bad file beside them holds nothing up, and is still told."""
    state = State(config)
    locator = state.snapshot().locator
    config.with_name("asn.mmdb").write_bytes(b"")
    notice(state)
    config.write_bytes(settings(geo=GEO, on_error="defer"))
    notice(state)
    assert state.snapshot().defer_errors
    assert state.snapshot().locator is locator
    assert "an empty file" in state.problems["asn database asn.mmdb"]


def test_what_is_kept_is_reloaded_with_the_configuration(config: Path) -> None:
    """SIGHUP takes over every file, also where the configuration has changed."""
    state = State(config)
    before = state.configured.databases.country
    own(config.with_name("own.mmdb"), built=BUILT + timedelta(days=1))
    config.write_bytes(settings(geo=GEO, on_error="defer"))
    state.reload()
    assert state.snapshot().defer_errors
    assert state.configured.databases.country[1].built == before[1].built + timedelta(days=1)


def test_a_configuration_whose_probes_fail_is_tried_again(config: Path) -> None:
    """When the databases change, as any other file that it waits for."""
    state = State(config)
    config.write_bytes(settings(geo={**GEO, "probes": {OWN: "FR"}}))
    notice(state)
    assert "(got DE, expected FR)" in state.problems["settings"]
    own(config.with_name("own.mmdb"), "fr")
    notice(state)
    assert (state.problems["settings"], located(state, OWN).country) == ("", "FR")


def test_the_oldest_database_of_countries_tells_the_age(config: Path) -> None:
    """Whatever the age of the others; the record names all of countries."""
    then = datetime(1972, 11, 1, tzinfo=UTC)
    own(config.with_name("own.mmdb"), built=then)
    asn_database(config.with_name("asn.mmdb"), built=1)
    config.write_bytes(settings(geo={**GEO, "max_age": "2000w", "on_stale": "unknown"}))
    state = State(config)
    assert state.configured.databases.stale
    assert located(state, LONDON).status == "unknown"
    snapshot = state.snapshot()
    assert snapshot.database_type == "GeoIP2-City of 2026-11-01, own of 1972-11-01"
    assert snapshot.database_built == then


def test_the_old_databases_go_with_the_last_check_that_began_with_them(config: Path) -> None:
    """Not before, and nothing else keeps them."""
    state = State(config)
    under_way = state.snapshot()
    old = weakref.ref(under_way.locator)
    city_database(config.with_name("city.mmdb"), built=BUILT + timedelta(days=1))
    notice(state)
    assert state.snapshot().locator is not old()
    assert under_way.locator.locate(ClientAddress(ip_address(LONDON), "")).source.country == "GB"
    del under_way
    gc.collect()
    assert old() is None


async def test_look_ups_that_cannot_be_decoded_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one sum, whatever has been replaced meanwhile: the databases, or all of their section."""
    config = deploy(tmp_path)
    with ExitStack() as closing:
        worker = Worker(config, None, closing)
        state = worker._state

        def counted() -> float:
            ((value,),) = worker.report().tally.family(UNDECODABLE).values()
            return value

        def unreadable(used: Database, address: object) -> NoReturn:
            raise DatabaseError(f"{used.path}: expected a record for {address}", "undecodable")

        assert counted() == 0
        for number, changed in enumerate(("country.mmdb", "regiongate.yaml", ""), start=1):
            with monkeypatch.context() as patch:
                patch.setattr(Database, "lookup", unreadable)
                told = await answer(state, question())
            assert (told.status, told["country"]) == (451, "")
            assert counted() == number
            if changed == "country.mmdb":
                (tmp_path / changed).write_bytes(database(tmp_path, GB="SE"))
            elif changed:
                config.write_bytes(settings(geo={"country": "country.mmdb", "on_stale": "unknown"}))
            state.reload()
        assert counted() == 3
