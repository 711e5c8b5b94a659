"""`regiongate geo lookup | show | verify`: what they print, and with which code they exit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from regiongate.cli import main
from regiongate.geo import Database
from regiongate.runtime.admin import Page, Reply, pages, served
from regiongate.runtime.report import Report, Summary
from tests.databases import (
    ASN,
    COUNTRY,
    anonymous_database,
    asn,
    asn_database,
    city_database,
    country_database,
    damaged,
    write,
)
from tests.integration.deployment import settings

pytestmark = pytest.mark.usefixtures("unrehearsed")

LONDON = "81.2.69.160"
BUILT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
GEO: Mapping[str, Any] = {
    "country": ["country.mmdb", {"path": "own.mmdb", "layout": "cc"}],
    "asn": "asn.mmdb",
    "anonymous": "anonymous.mmdb",
    "probes": {LONDON: "GB", "10.1.1.1": "DE"},
}


def deploy(folder: Path, **changes: Any) -> Path:
    """Write databases, and a configuration that names them."""
    country_database(folder / "country.mmdb", built=BUILT)
    asn_database(folder / "asn.mmdb", built=BUILT)
    anonymous_database(folder / "anonymous.mmdb", built=BUILT)
    write(folder / "own.mmdb", {"10.1.0.0/16": {"cc": "de"}}, built=BUILT, tree="ipv4")
    config = folder / "regiongate.yaml"
    config.write_bytes(settings(**{"geo": GEO, **changes}))
    return config


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration that no test changes."""
    return deploy(tmp_path_factory.mktemp("geo"))


def run(*arguments: object, code: int = 0) -> Result:
    """Run a command on databases."""
    result = CliRunner().invoke(main, ["geo", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def printed(*arguments: object, code: int = 0) -> Any:
    """Return what a command prints with --json."""
    return json.loads(run(*arguments, "--json", code=code).stdout)


# ------------------------------------------------------------------------------------- lookup


def test_an_address_is_looked_up_in_what_is_configured(config: Path) -> None:
    """A line for each address: what RegionGate makes of it, and which files know it."""
    out = run("lookup", "-c", config, LONDON, "2002:5102:45a0::1", "10.1.1.1", "1.1.1.1").stdout
    heading, london, carrier, own, nowhere = map(str.split, out.splitlines())
    assert heading == ["address", "status", "country", "regions", "AS", "flags", "network", "file"]
    assert london[:4] == [LONDON, "located", "GB", "20712"]
    assert london[-4:] == ["81.2.69.160/27", "country.mmdb,", "asn.mmdb,", "anonymous.mmdb"]
    assert carrier[:6] == ["2002:5102:45a0::1", "(6to4", "of", f"{LONDON})", "located", "GB"]
    assert own == ["10.1.1.1", "located", "DE", "10.1.0.0/16", "own.mmdb"]
    assert nowhere == ["1.1.1.1", "unknown"]


def test_json_has_each_record_as_it_is_stored(config: Path) -> None:
    """With the network, the file and its build time; and the facts that a policy sees."""
    (answer,) = printed("lookup", "-c", config, "2002:5102:45a0::1")
    assert answer["carries"] == {"kind": "6to4", "address": LONDON}
    assert answer["status"] == "located"
    assert (answer["source"]["country"], answer["source"]["asn"]) == ("GB", 20712)
    country, own, asn, _ = answer["databases"]
    assert country == {
        "role": "country",
        "file": "country.mmdb",
        "type": "GeoIP2-Country",
        "built": BUILT.isoformat(),
        "network": "81.2.69.160/27",
        "record": COUNTRY["81.2.69.160/27"],
        "problem": None,
    }
    assert (own["record"], own["network"]) == (None, None)
    assert asn["record"] == ASN["81.2.69.0/24"]


def test_a_file_can_be_asked_without_a_configuration(config: Path) -> None:
    """Any file, on everything it knows; several together."""
    files = [config.with_name(name) for name in ("asn.mmdb", "country.mmdb")]
    options = [part for file in files for part in ("--database", file)]
    (answer,) = printed("lookup", LONDON, *options)
    assert (answer["source"]["country"], answer["source"]["asn"]) == ("GB", 20712)
    assert [one["file"] for one in answer["databases"]] == list(map(str, files))


def test_odd_values_are_printed_too(tmp_path: Path) -> None:
    """JSON has neither bytes nor infinities."""
    record = {"raw": b"\x00\xff", "least": -float("inf"), "big": 2**100, "list": [1.5, True]}
    path = write(tmp_path / "odd.mmdb", {"1.0.0.0/8": record})
    (answer,) = printed("lookup", "1.2.3.4", "--database", path)
    assert answer["databases"][0]["record"] == {
        "raw": "00ff",
        "least": "-inf",
        "big": 2**100,
        "list": [1.5, True],
    }


def test_a_record_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Even one that would end a process that serves."""
    path = country_database(tmp_path / "country.mmdb")
    path.write_bytes(path.read_bytes().replace(b"Dcode", b"D\xff\xfe\xfd\xfc"))
    result = run("lookup", LONDON, "--database", path, code=1)
    assert f"{path}: expected a record for {LONDON}" in result.stderr
    (answer,) = json.loads(run("lookup", LONDON, "--database", path, "--json", code=1).stdout)
    assert answer["databases"][0]["problem"].startswith(f"{path}: expected a record")


def test_lookup_applies_staleness(tmp_path: Path) -> None:
    """As the service would."""
    config = deploy(tmp_path, geo={**GEO, "max_age": "1d", "on_stale": "unknown"})
    (answer,) = printed("lookup", "-c", config, LONDON)
    assert answer["status"] == "unknown"


# ------------------------------------------------------------------------------------- verify


def test_a_good_file_is_fit(config: Path) -> None:
    """It is told what it is."""
    path = config.with_name("country.mmdb")
    lines = run("verify", path, "--probe", f"{LONDON}=GB", "--probe", "1.1.1.1=").stdout
    assert f"country database {path}\n  type       GeoIP2-Country\n" in lines
    assert "  layout     country.iso_code\n" in lines
    assert lines.endswith(f"{path}: would be put into use\n")
    answer = printed("verify", path)
    database = Database.open(path)
    assert (answer["fit"], answer["problem"], answer["objections"]) == (True, None, [])
    assert answer["database"] == {
        "type": "GeoIP2-Country",
        "built": BUILT.isoformat(),
        "age_days": 3,
        "layout": {"given": None, "found": ["country.iso_code"]},
        "nodes": database.node_count,
        "record_size": database.record_size,
        "ip_version": 6,
        "digest": database.digest,
    }


UNFIT: dict[str, tuple[list[str], str, str]] = {
    "of another kind": (["--role", "asn"], "purpose", "expected a database for AS numbers"),
    "a probe": (["--probe", f"{LONDON}=FR"], "probe", "(got GB, expected FR)"),
    "another layout": (["--layout", "geo.code"], "purpose", "expected a database for countries"),
}


@pytest.mark.parametrize(("options", "objection", "because"), UNFIT.values(), ids=UNFIT)
def test_an_unfit_file_is_told_why(
    config: Path, options: list[str], objection: str, because: str
) -> None:
    """With exit code 1."""
    path = config.with_name("country.mmdb")
    assert because in run("verify", path, *options, code=1).stdout
    answer = printed("verify", path, *options, code=1)
    assert (answer["fit"], answer["objections"]) == (False, [objection])


@pytest.mark.parametrize("what", damaged(b"\xab\xcd\xefMaxMind.com"))
def test_a_damaged_file_is_unfit(tmp_path: Path, what: str) -> None:
    """Whatever the damage."""
    path = country_database(tmp_path / "country.mmdb")
    path.write_bytes(damaged(path.read_bytes())[what])
    answer = printed("verify", path, code=1)
    assert (answer["objections"], answer["database"]) == (["unreadable"], None)


def test_a_file_is_held_against_the_one_it_is_to_replace(config: Path, tmp_path: Path) -> None:
    """Given as such, or found in the configuration by its name; and accepted by it."""
    older = city_database(tmp_path / "country.mmdb", built=BUILT - timedelta(days=1))
    in_use = config.with_name("country.mmdb")
    run("verify", older)
    assert printed("verify", older, "--in-use", in_use, code=1)["objections"] == ["older"]
    refused = printed("verify", older, "-c", config, code=1)
    assert refused["objections"] == ["older"]
    digest = Database.open(older).digest
    assert f"list {digest} under geo.accept" in refused["problem"]
    accepting = config.with_name("accepting.yaml")
    accepting.write_bytes(settings(geo={**GEO, "accept": [digest]}))
    run("verify", older, "-c", accepting)


def test_a_layout_is_that_of_the_place(config: Path) -> None:
    """A file of the name that is configured is read as it will be."""
    own = config.with_name("own.mmdb")
    assert printed("verify", own, code=1)["objections"] == ["purpose"]
    assert printed("verify", own, "-c", config)["database"]["layout"]["found"] == ["cc"]
    run("verify", own, "--layout", "cc", "--probe", "10.1.1.1=DE")


HOSTILE = "X\x1b]0;title\x07\nfile: would be put into use"
SHOWN = r"X\x1b]0;title\x07\nfile: would be put into use"


def test_what_a_file_says_gives_no_orders_to_a_terminal(tmp_path: Path) -> None:
    """Nor does it write lines of its own; in JSON it is as it was."""
    record = {"country": {"iso_code": "GB"}, **asn(7, HOSTILE)}
    (tmp_path / "country.mmdb").touch()
    config = deploy(tmp_path)
    path = write(tmp_path / "country.mmdb", {"1.0.0.0/8": record}, database_type=HOSTILE)
    out = [
        run("lookup", "1.2.3.4", "--database", path).stdout,
        run("verify", path).stdout,
        run("show", "-c", config, code=1).stdout,
    ]
    for text in out:
        assert SHOWN in text
        assert all(map(str.isprintable, text.split("\n")))
        assert "\nfile" not in text
    assert printed("verify", path)["database"]["type"] == HOSTILE


def test_what_a_service_says_gives_no_orders_to_a_terminal(tmp_path: Path) -> None:
    """Whoever it is that answers at the address."""
    told = reporting(problems=(HOSTILE,))
    with service(tmp_path, told) as address:
        config = deploy(tmp_path, listen={"grpc": ["127.0.0.1:0"], "admin": address})
        out = run("show", "-c", config).stdout
    assert f"worker 0: {SHOWN}\n" in out


USAGE: dict[str, list[str]] = {
    "no file": ["verify"],
    "a file that is not there": ["verify", "nothing.mmdb"],
    "a probe without a country": ["verify", __file__, "--probe", "8.8.8.8"],
    "a probe with a country that is none": ["verify", __file__, "--probe", "8.8.8.8=XX"],
    "a probe that is no address": ["verify", __file__, "--probe", "8.8=US"],
    "no address": ["lookup"],
    "an address that is none": ["lookup", "8.8"],
    "a configuration that is not there": ["lookup", "8.8.8.8", "-c", "nothing.yaml"],
    "a database that is none": ["lookup", "8.8.8.8", "--database", __file__],
    "nothing to show": ["show", "-c", "nothing.yaml"],
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE)
def test_a_wrong_command_is_told(arguments: list[str]) -> None:
    """With exit code 2, and without a traceback."""
    assert "Traceback" not in run(*arguments, code=2).output


# --------------------------------------------------------------------------------------- show


def test_every_configured_file_is_shown(config: Path) -> None:
    """What it is, and whether it would be used."""
    out = run("show", "-c", config).stdout
    blocks = out.split("\n\n")
    names = [block.splitlines()[0] for block in blocks]
    assert names[:4] == [
        "country database country.mmdb",
        "country database own.mmdb",
        "asn database asn.mmdb",
        "anonymous database anonymous.mmdb",
    ]
    assert all("\n  gate       passes" in block for block in blocks[:4])
    assert "probes       as they should be" in blocks[4]
    assert "service      not asked: listen.admin is not configured" in blocks[4]
    answer = printed("show", "-c", config)
    assert [one["database"]["layout"]["found"][0] for one in answer["databases"]] == [
        "country.iso_code",
        "cc",
        "autonomous_system_number",
        "is_anonymous",
    ]
    assert answer["service"]["address"] is None


def test_a_file_that_would_be_refused_is_shown_with_the_reason(tmp_path: Path) -> None:
    """And exit code 1."""
    config = deploy(tmp_path)
    (tmp_path / "asn.mmdb").write_bytes(b"")
    country_database(tmp_path / "own.mmdb", built=BUILT)
    out = run("show", "-c", config, code=1).stdout
    assert f"gate       {tmp_path / 'asn.mmdb'}: expected a MaxMind DB file, found an empty" in out
    assert "layout     not recognised\n             configured: cc\n" in out


def test_probes_that_are_not_met_are_shown(tmp_path: Path) -> None:
    """They are asked of all files together."""
    config = deploy(tmp_path, geo={**GEO, "probes": {LONDON: "FR"}})
    answer = printed("show", "-c", config, code=1)
    told = "expected the probe 81.2.69.160 to be answered (got GB, expected FR)"
    assert answer["probes"] == [told]
    assert f"probes       {told}" in run("show", "-c", config, code=1).stdout


def test_age_is_held_against_what_is_allowed(tmp_path: Path) -> None:
    """Of the databases of countries."""
    config = deploy(tmp_path, geo={**GEO, "max_age": "71h"})
    told = run("show", "-c", config).stdout
    assert told.count("(3 days old, more than geo.max_age, 71h)") == 2
    config = deploy(tmp_path, geo={**GEO, "max_age": "84h"})
    assert "more than" not in run("show", "-c", config).stdout


@contextmanager
def service(folder: Path, shown: Mapping[str, Page]) -> Iterator[str]:
    """Serve pages as a service does at its admin address."""
    with served(f"unix:{folder / 'admin'}", shown) as address:
        yield address


def reporting(*databases: Mapping[str, Any], problems: tuple[str, ...] = ()) -> Mapping[str, Page]:
    """Return the pages of a service whose two workers use databases."""
    reports = [
        Report(
            worker=number,
            pid=1,
            address="a",
            serving=True,
            problems=problems,
            info={"databases": databases},
        )
        for number in range(2)
    ]
    return pages(lambda: Summary(reports=reports))


def used(path: Path, role: str = "country", refused: str = "") -> Mapping[str, Any]:
    """Return what a worker says of a database."""
    database = Database.open(path)
    return {
        "role": role,
        "file": path.name,
        "built": database.built.isoformat(),
        "digest": database.digest,
        "nodes": database.node_count,
        "refused": refused,
    }


def test_what_a_service_uses_is_shown_beside_the_files(tmp_path: Path) -> None:
    """The file itself, or another, and then why; a file is held against the one that it uses."""
    config = deploy(tmp_path)
    (tmp_path / "newer").mkdir()
    newer = country_database(tmp_path / "newer" / "country.mmdb", built=BUILT + timedelta(days=1))
    told = reporting(
        used(newer, refused="country.mmdb: too old"),
        used(tmp_path / "asn.mmdb", "asn"),
        problems=("the country database is odd",),
    )
    with service(tmp_path, told) as address:
        config.write_bytes(settings(geo=GEO, listen={"grpc": ["127.0.0.1:0"], "admin": address}))
        out = run("show", "-c", config, code=1).stdout
        answer = printed("show", "-c", config, code=1)
    day = f"{BUILT + timedelta(days=1):%Y-%m-%dT%H:%MZ}"
    nodes = Database.open(newer).node_count
    assert (
        f"in use     another, built {day}, of {nodes} nodes, because of this file: "
        "country.mmdb: too old\n"
    ) in out
    assert out.count("in use     this file\n") == 1
    assert "expected a build no older than the one in use" in out
    assert f"service      {address}: answers\n  worker 0: the country database is odd\n" in out
    country, _, asn, _ = answer["databases"]
    assert [one["refused"] for one in country["workers"]] == ["country.mmdb: too old"] * 2
    assert asn["workers"][0]["digest"] == asn["database"]["digest"]


STRANGERS: dict[str, Mapping[str, Page]] = {
    "no JSON": {"/info": lambda _: Reply(b"<html>")},
    "JSON without end": {"/info": lambda _: Reply(b"[" * 100_000)},
    "a list": {"/info": lambda _: Reply(b"[]")},
    "no workers": {"/info": lambda _: Reply(b'{"name": "x"}')},
    "odd workers": {"/info": lambda _: Reply(b'{"workers": [{"databases": [7]}]}')},
    "nothing": {},
}


@pytest.mark.parametrize("shown", STRANGERS.values(), ids=STRANGERS)
def test_whoever_else_answers_is_no_service(tmp_path: Path, shown: Mapping[str, Page]) -> None:
    """What it says is left out, and the files are shown all the same."""
    with service(tmp_path, shown) as address:
        listen = {"grpc": ["127.0.0.1:0"], "admin": address}
        answer = printed("show", "-c", deploy(tmp_path, listen=listen))
    assert address.removeprefix("unix:") in answer["service"]["told"]
    assert "expected an answer in JSON" in answer["service"]["told"] or (
        "not as RegionGate does" in answer["service"]["told"]
    )
    assert [one["workers"] for one in answer["databases"]] == [[], [], [], []]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "unix:/nowhere/at/all"])
def test_a_service_that_does_not_run_is_not_missed(tmp_path: Path, address: str) -> None:
    """The files are shown, and that nobody answers."""
    listen = {"grpc": ["127.0.0.1:0"], "admin": address}
    answer = printed("show", "-c", deploy(tmp_path, listen=listen))
    assert answer["service"]["told"].startswith(f"{address}: nobody answers (")
