"""What geo.update asks for: files, sources and what a new file must pass."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.update.errors import UpdateError
from regiongate.geo.update.renew import Outcome
from regiongate.runtime.config import Geo
from regiongate.runtime.config.update import LICENSE_KEY
from regiongate.runtime.report import Report, Summary
from regiongate.runtime.updating import Account, gates, ordered
from regiongate.telemetry.metrics import UPDATES, Tally
from tests import databases

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FIRST = {"5.39.0.0/16": {"country": {"iso_code": "FR"}}}
SECOND = {"5.1.0.0/16": {"country": {"iso_code": "DE"}}}
PROBES = {"5.39.0.1": "FR", "5.1.0.1": "DE"}


@pytest.fixture(autouse=True)
def _unrehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases are of these tests' own making."""
    monkeypatch.setattr("regiongate.geo.gate.rehearse", lambda _: None)


def geo(**changes: Any) -> Geo:
    """Return the section of two databases that know a country each."""
    written = {"country": ["a.mmdb", "b.mmdb"], "asn": "asn.mmdb", "probes": PROBES}
    return Geo.model_validate({**written, **changes})


def check(section: Geo, folder: Path, name: str, records: dict[str, Any]) -> None:
    """Let a new file pass the gates of its place."""
    candidate = Database.open(databases.write(folder / ".new", records))
    for gate in gates(section, folder, name):
        gate.check(candidate, now=NOW)


def test_probes_are_for_what_all_databases_answer_together(tmp_path: Path) -> None:
    """Each of them knows half of the answers."""
    databases.write(tmp_path / "a.mmdb", FIRST)
    check(geo(), tmp_path, "b.mmdb", SECOND)
    with pytest.raises(
        DatabaseError, match=r"the probe 5\.1\.0\.1 .* \(got no country, expected DE"
    ):
        check(geo(), tmp_path, "b.mmdb", FIRST)


def test_probes_wait_for_the_first_of_every_database(tmp_path: Path) -> None:
    """Until then nobody can answer all of them."""
    check(geo(), tmp_path, "b.mmdb", FIRST)


def test_a_file_of_two_purposes_passes_two_gates(tmp_path: Path) -> None:
    """It is to serve both."""
    both = geo(country="a.mmdb", asn="a.mmdb", probes={})
    assert [gate.role for gate in gates(both, tmp_path, "a.mmdb")] == ["country", "asn"]
    with pytest.raises(DatabaseError, match="expected a database for AS numbers"):
        check(both, tmp_path, "a.mmdb", FIRST)


def test_a_layout_is_that_of_the_file(tmp_path: Path) -> None:
    """Where it is, and in what it answers."""
    own = {"5.39.0.0/16": {"where": "FR"}}
    file = {"path": "a.mmdb", "layout": "where"}
    check(geo(country=file, probes={"5.39.0.1": "FR"}), tmp_path, "a.mmdb", own)
    with pytest.raises(DatabaseError, match="expected a database for countries"):
        check(geo(country="a.mmdb", probes={}), tmp_path, "a.mmdb", own)


def test_an_order_names_file_source_and_account(tmp_path: Path) -> None:
    """Paths are relative to the configuration; what cannot be asked is an outcome."""
    update = {"sources": {"a.mmdb": "maxmind:GeoLite2-City"}, "maxmind": {"account_id": 7}}
    written = {"geo": {"country": "a.mmdb", "update": update}, "policy": "policy.yaml"}
    (tmp_path / "regiongate.yaml").write_text(yaml.safe_dump(written))
    (order,) = ordered(tmp_path / "regiongate.yaml", {})
    assert (order.name, order.target.path) == ("a.mmdb", tmp_path / "a.mmdb")
    told = f"expected a licence key, in a file or in {LICENSE_KEY}"
    asked: list[str] = []

    def renew(target: Any, source: Any) -> Outcome:
        asked.append(source.name)
        return Outcome(path=target.path, source=source.name, result="current")

    assert order.carried_out(renew).problem == told
    (order,) = ordered(tmp_path / "regiongate.yaml", {LICENSE_KEY: "key"})
    assert order.carried_out(renew).result == "current"
    assert asked == ["maxmind:GeoLite2-City"]


def test_an_account_is_an_id_and_a_key(tmp_path: Path) -> None:
    """The file comes before the environment."""
    key = tmp_path / "key"
    key.write_text("of the file\n")
    environment = {LICENSE_KEY: "of the environment"}
    both = Account(id=7, key_file=key, environment=environment).credentials()
    assert (both.user, both.password) == ("7", "of the file")
    assert Account(id=7, environment=environment).credentials().password == "of the environment"
    with pytest.raises(UpdateError, match="expected the id of an account at MaxMind"):
        Account(environment=environment).credentials()
    with pytest.raises(UpdateError, match="nowhere:1: expected a readable file"):
        Account(id=7, key_file=tmp_path / "nowhere", environment={}).credentials()


def test_what_a_parent_has_counted_is_counted_with_the_rest() -> None:
    """Beside what its workers report, and without changing it."""
    one, updates = Tally(), Tally()
    for tally in (one, updates):
        tally.count(UPDATES, ("a.mmdb", "updated"))
    summary = Summary(reports=[Report(worker=0, pid=1, address="", serving=True, tally=one)])
    for _ in range(2):
        found = summary.including(updates).tally()
        assert found.family(UPDATES) == {("a.mmdb", "updated"): [2.0]}
