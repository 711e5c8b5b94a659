"""`regiongate geo update` against servers that behave like the vendors'."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from click.testing import CliRunner, Result

from regiongate.cli import main
from regiongate.geo.database import Database
from tests import databases
from tests.integration.deployment import SETTINGS
from tests.integration.process import PATIENCE, until
from tests.integration.update.vendors import (
    ACCOUNT,
    BASIC,
    EDITION,
    KEY,
    Reply,
    Site,
    publish_db_ip,
    publish_ip_location_db,
    publish_maxmind,
)

pytestmark = pytest.mark.usefixtures("unrehearsed")

COMMAND = (sys.executable, "-m", "regiongate", "geo", "update")
OLD, NEW = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)


def content(folder: Path, built: datetime = NEW, make: Any = databases.country_database) -> bytes:
    """Return a database."""
    path: Path = make(folder / "built", built=built)
    held = path.read_bytes()
    path.unlink()
    return held


def run(*arguments: object, **environment: str) -> Result:
    """Run the command to its end, in this process."""
    words = ["geo", "update", *map(str, arguments)]
    return CliRunner().invoke(main, words, env=environment, catch_exceptions=False)


def configured(folder: Path, sources: Mapping[str, str], base: str, **update: Any) -> Path:
    """Write a configuration and return its path."""
    mirrors = dict.fromkeys(("ip-location-db", "db-ip", "maxmind"), base)
    geo = {
        "country": "country.mmdb",
        "asn": "asn.mmdb",
        "probes": {"81.2.69.160": "GB"},
        "update": {"sources": dict(sources), "mirrors": mirrors, **update},
    }
    path = folder / "regiongate.yaml"
    path.write_text(yaml.safe_dump({**SETTINGS, "geo": geo}, sort_keys=False))
    return path


def test_a_newcomer_needs_no_configuration(vendor: Site, storage: Site, tmp_path: Path) -> None:
    """One line fetches a first database, and says what its licence asks."""
    publish_ip_location_db(vendor, storage, content(tmp_path))
    file = tmp_path / "country.mmdb"
    asked = ("--source", "user-country", "--to", file, "--mirror", vendor.base)
    first, second = run(*asked), run(*asked)
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout == (
        f"{file}: updated from user-country, built 2026-11-01\n"
        "PDDL 1.0, public domain: nothing is asked of you.\n"
    )
    assert (second.exit_code, second.stderr) == (0, "")
    assert second.stdout == f"{file}: what user-country has, built 2026-11-01\n"


def test_each_source_of_a_configuration_is_asked(
    vendor: Site, storage: Site, tmp_path: Path
) -> None:
    """What fails holds up no other, and exits with 1; paths are relative to the configuration."""
    publish_maxmind(vendor, storage, content(tmp_path))
    (tmp_path / "key.txt").write_text(f"{KEY}\n")
    config = configured(
        tmp_path,
        {"asn.mmdb": "dbip-asn-lite", "country.mmdb": f"maxmind:{EDITION}"},
        vendor.base,
        maxmind={"account_id": int(ACCOUNT), "license_key_file": "key.txt"},
    )
    ended = run("-c", config)
    assert ended.exit_code == 1
    assert ended.stdout.startswith(
        f"{tmp_path}/country.mmdb: updated from maxmind:{EDITION}, built"
    )
    assert "destroy every older copy, in backups and images too, within 30 days" in ended.stdout
    assert f"{tmp_path}/asn.mmdb: not updated from dbip-asn-lite: " in ended.stderr
    assert "(got 404, there is none)" in ended.stderr


def test_a_script_reads_json(vendor: Site, tmp_path: Path) -> None:
    """Everything about each file, on standard output alone."""
    today = datetime.now(UTC)
    publish_db_ip(vendor, f"{today - timedelta(days=today.day):%Y-%m}", content(tmp_path))
    config = configured(
        tmp_path,
        {"country.mmdb": "dbip-country-lite", "asn.mmdb": "origin-asn"},
        vendor.base,
    )
    ended = run("-c", config, "--json")
    assert (ended.exit_code, ended.stderr) == (1, "")
    country, asn = orjson.loads(ended.stdout)["updates"]
    assert country["licence"].startswith("CC BY 4.0: where results of it are shown, link to")
    assert {**country, "licence": ""} == {
        "file": "country.mmdb",
        "source": "dbip-country-lite",
        "result": "updated",
        "built": "2026-11-01T00:00:00+00:00",
        "problem": "",
        "licence": "",
    }
    assert (asn["file"], asn["result"], asn["built"]) == ("asn.mmdb", "failed", None)


def test_probes_of_the_configuration_are_asked(vendor: Site, tmp_path: Path) -> None:
    """A database of AS numbers is none of countries, and has no answer to them."""
    held = content(tmp_path, make=databases.asn_database)
    vendor.put("/user-country.mmdb", Reply(body=held))
    vendor.put("/origin-asn.mmdb", Reply(body=held))
    config = configured(
        tmp_path, {"country.mmdb": "user-country", "asn.mmdb": "origin-asn"}, vendor.base
    )
    ended = run("-c", config)
    assert "the probe 81.2.69.160 to be answered (got no country, expected GB)" in ended.stderr
    assert "expected a database for countries" in ended.stderr
    assert "asn.mmdb: updated from origin-asn" in ended.stdout
    assert not (tmp_path / "country.mmdb").exists()


USAGE: dict[str, tuple[tuple[str, ...], str]] = {
    "a source without a file": (
        ("--source", "user-country"),
        "expected --source and --to together",
    ),
    "no such source": (
        ("--source", "geolite", "--to", "x.mmdb"),
        "expected one of user-country, server-country, origin-asn, dbip-country-lite",
    ),
    "nothing to be done with it": (
        ("--source", "maxmind:GeoIP2-Domain", "--to", "x.mmdb"),
        "expected a database of countries, AS numbers or anonymity (got 'maxmind:GeoIP2-Domain')",
    ),
    "no configuration": (("-c", "nowhere.yaml"), "nowhere.yaml:1: expected a readable file"),
    "no unit": (("--every", "24"), "expected a duration such as 30s, 24h or 30d (got '24')"),
    "a mirror of nothing": (("--mirror", "http://x"), "--license-key-file with --source"),
    "no account": (
        ("--source", "maxmind:GeoLite2-City", "--to", "x"),
        "expected --account-id with --source maxmind:GeoLite2-City",
    ),
    "a key on the command line": (("--license-key", "x"), "No such option"),
}


@pytest.mark.parametrize("name", USAGE)
def test_a_mistake_in_the_command_is_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exit code 2, and nothing is asked."""
    arguments, told = USAGE[name]
    monkeypatch.chdir(tmp_path)
    ended = run(*arguments)
    assert ended.exit_code == 2
    assert told in " ".join(ended.stderr.split())


def test_a_configuration_without_the_section_says_what_to_do(tmp_path: Path) -> None:
    """It is a question of usage."""
    (tmp_path / "regiongate.yaml").write_text(yaml.safe_dump(dict(SETTINGS)))
    ended = run("-c", tmp_path / "regiongate.yaml")
    assert ended.exit_code == 2
    assert "geo.update: expected sources; without them use --source and --to" in ended.stderr


KEYS: dict[str, tuple[str | None, str | None, str]] = {
    # in the file, in the environment, what is told
    "none": (None, None, "expected a licence key, in a file or in REGIONGATE_MAXMIND_LICENSE_KEY"),
    "empty": ("", None, "expected a licence key of visible characters on one line"),
    "two lines": (f"{KEY}\r\nx: y", None, "expected a licence key of visible characters"),
    "an empty variable": (None, "", "expected a licence key of visible characters on one line"),
    "refused": (f"{KEY}", None, "(got 401, the account id or the licence key is not accepted)"),
    "refused, of the environment": (None, KEY, "(got 401, the account id or the licence key is"),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_licence_key_is_not_told(name: str, vendor: Site, tmp_path: Path) -> None:
    """In nothing that is printed, whatever is wrong."""
    file, variable, told = KEYS[name]
    vendor.put("/geoip/updates/metadata", Reply(401))
    arguments: list[object] = ["--source", f"maxmind:{EDITION}", "--to", tmp_path / "x.mmdb"]
    arguments += ["--account-id", ACCOUNT, "--mirror", vendor.base]
    if file is not None:
        (tmp_path / "key").write_text(file)
        arguments += ["--license-key-file", tmp_path / "key"]
    given = {} if variable is None else {"REGIONGATE_MAXMIND_LICENSE_KEY": variable}
    ended = run(*arguments, **given)
    assert ended.exit_code == 1
    assert told in ended.stderr
    for secret in (KEY, BASIC.removeprefix("Basic ")):
        assert secret not in ended.stdout + ended.stderr
    assert [one.headers["authorization"] for one in vendor.asked] == [BASIC] * len(vendor.asked)


def test_a_licence_key_is_not_sent_in_the_clear(tmp_path: Path) -> None:
    """Not even to a mirror in the own network."""
    ended = run(
        *("--source", f"maxmind:{EDITION}", "--to", tmp_path / "x.mmdb", "--account-id", ACCOUNT),
        *("--mirror", "http://mirror.example"),
        REGIONGATE_MAXMIND_LICENSE_KEY=KEY,
    )
    assert "expected https:// where a licence key is sent to (got http://)" in ended.stderr


def test_an_update_that_is_killed_leaves_the_old_file(vendor: Site, tmp_path: Path) -> None:
    """Killed in the middle of the download; the next update tidies up."""
    file, go = tmp_path / "data" / "country.mmdb", threading.Event()
    file.parent.mkdir()
    file.write_bytes(content(tmp_path, OLD))
    before, new = file.read_bytes(), content(tmp_path)
    vendor.put("/user-country.mmdb", Reply(body=new, holds=go), Reply(body=new))
    asked = [*COMMAND, "--source", "user-country", "--to", str(file), "--mirror", vendor.base]
    left = file.with_name(".country.mmdb.temporary")
    with subprocess.Popen(asked) as child:
        until(left.exists, "it downloads")
        child.send_signal(signal.SIGKILL)
        assert child.wait(PATIENCE) == -signal.SIGKILL
    go.set()
    assert file.read_bytes() == before
    assert left.exists()
    assert run(*asked[len(COMMAND) :]).exit_code == 0
    assert Database.open(file).built == NEW
    assert sorted(one.name for one in file.parent.iterdir()) == [
        ".country.mmdb.update",
        "country.mmdb",
    ]


def test_two_processes_take_turns(vendor: Site, tmp_path: Path) -> None:
    """The second says that it waits, and has nothing to fetch."""
    file, go = tmp_path / "country.mmdb", threading.Event()
    whole: Any = {"body": content(tmp_path), "headers": {"etag": '"1"'}}
    vendor.put("/user-country.mmdb", Reply(**whole, holds=go))
    asked = [*COMMAND, "--source", "user-country", "--to", str(file), "--mirror", vendor.base]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(asked, **pipes) as first:
        until(lambda: bool(vendor.asked), "the first downloads")
        with subprocess.Popen(asked, **pipes) as second:
            assert second.stderr is not None
            assert second.stderr.readline() == f"{file}: waits for another update of this file\n"
            go.set()
            assert "updated" in first.communicate(timeout=PATIENCE)[0]
            assert "what user-country has" in second.communicate(timeout=PATIENCE)[0]
    assert [one.headers.get("if-none-match") for one in vendor.asked] == [None, '"1"']


def test_it_goes_on_when_told_so(vendor: Site, storage: Site, tmp_path: Path) -> None:
    """As a sidecar: what fails is tried again the next time, also a configuration."""
    config = configured(tmp_path, {"country.mmdb": "user-country"}, vendor.base)
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    arguments = [*COMMAND, "-c", str(config), "--every", "100ms"]
    with subprocess.Popen(arguments, **pipes) as child:
        try:
            assert child.stderr is not None
            assert child.stdout is not None
            assert "(got 404, there is none)" in child.stderr.readline()
            held = config.read_text()
            config.write_text("geo: 1")
            _read_until(child.stderr.readline, "regiongate.yaml:1: geo: expected")
            config.write_text(held)
            publish_ip_location_db(vendor, storage, content(tmp_path))
            assert "updated from user-country" in child.stdout.readline()
        finally:
            child.terminate()
    assert child.returncode == -signal.SIGTERM


def _read_until(readline: Callable[[], str], part: str) -> None:
    """Read lines until one has a part; there are not many."""
    for _ in range(50):
        if part in readline():
            return
    raise AssertionError(part)
