"""Trusted proxies that are kept in a file: taken over when it changes, kept when it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from regiongate.cli import main
from regiongate.runtime.files import LoadError
from regiongate.runtime.state import State
from tests.integration.deployment import FRANCE, GERMANY, answer, deploy, question
from tests.integration.test_files import notice, overwrite, rename_over

pytestmark = pytest.mark.usefixtures("unrehearsed")

CDN, NEW_CDN = "198.51.100.7", "203.0.113.7"
XFF = {"source": "xff", "envoy_appends": False}
LISTS = {**XFF, "trusted_proxies": ["10.0.0.0/8", {"file": "cdn.txt"}, {"file": "lists/more.json"}]}
BAD = b"198.51.100.0/24\n\n198.51.100.1/24\nexample.com\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that trusts a content delivery network, whose ranges are in files."""
    (tmp_path / "cdn.txt").write_text("198.51.100.0/24  # the CDN\n")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "more.json").write_text('["192.0.2.0/24"]')
    return deploy(tmp_path, client_address=LISTS)


async def country(state: State, *, through: str, client: str = FRANCE) -> str:
    """Return where a client is that is said to be behind a proxy."""
    asked = question(through, headers={"x-forwarded-for": client})
    return (await answer(state, asked))["country"]


@pytest.mark.parametrize("proxy", ["10.1.1.1", CDN, "192.0.2.1"])
async def test_ranges_are_trusted_wherever_they_are_written(config: Path, proxy: str) -> None:
    """In the configuration, in a text file, or in a JSON list: each vouches for its clients."""
    state = State(config)
    assert await country(state, through=proxy) == "FR"
    assert await country(state, through=proxy, client=GERMANY) == "DE"
    assert await country(state, through=NEW_CDN) == ""


@pytest.mark.parametrize("replace", [rename_over, overwrite])
async def test_a_changed_list_is_taken_over(config: Path, replace: object) -> None:
    """The new ranges are trusted and the old ones are not, without a restart."""
    assert callable(replace)
    state = State(config)
    replace(config.with_name("cdn.txt"), b"203.0.113.0/24\n")
    notice(state)
    assert await country(state, through=NEW_CDN) == "FR"
    assert await country(state, through=CDN) == ""


@pytest.mark.parametrize("content", [BAD, b"", b"# none left\n", b"<html>", b"\xff\n"])
async def test_a_bad_list_keeps_the_old_one_in_force(
    config: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A list that breaks, or is empty, changes nobody's country, and can be mended."""
    state = State(config)
    overwrite(config.with_name("cdn.txt"), content)
    for _ in range(5):
        state.poll()
    assert await country(state, through=CDN) == "FR"
    assert "cdn.txt" in state.problems["proxies"]
    (problem,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert "new proxies cannot be used" in problem.getMessage()
    overwrite(config.with_name("cdn.txt"), b"203.0.113.0/24\n")
    notice(state)
    assert await country(state, through=NEW_CDN) == "FR"
    assert state.problems["proxies"] == ""


def test_every_bad_line_of_every_list_is_told(config: Path) -> None:
    """At the start, all problems at once, with the other files'."""
    overwrite(config.with_name("cdn.txt"), BAD)
    (config.parent / "lists" / "more.json").unlink()
    overwrite(config.with_name("keys.yaml"), b"version: 2\nkeys: []\n")
    with pytest.raises(LoadError) as caught:
        State(config)
    told = [problem.replace(f"{config.parent}/", "") for problem in caught.value.problems]
    expected = "expected an address range such as 10.0.0.0/8"
    not_one = "('example.com' does not appear to be an IPv4 or IPv6 network)"
    gone = "expected a readable file (No such file or directory)"
    assert [problem for problem in told if not problem.startswith("keys.yaml")] == [
        f"cdn.txt:3: {expected} (198.51.100.1/24 has host bits set)",
        f"cdn.txt:4: {expected} {not_one}",
        f"regiongate.yaml:10: client_address.trusted_proxies[2].file: lists/more.json: {gone}",
    ]
    assert len(told) > 3


async def test_several_services_of_one_file(tmp_path: Path) -> None:
    """Each is an entry of its own; ranges of the others are nobody's."""
    ranges = {"192.0.2.0/25": "CLOUDFRONT", "192.0.2.128/25": "EC2", "198.51.100.0/24": "OWN"}
    prefixes = [{"ip_prefix": one, "service": service} for one, service in ranges.items()]
    (tmp_path / "aws.json").write_text(json.dumps({"prefixes": prefixes, "ipv6_prefixes": []}))
    named = [{"file": "aws.json", "service": service} for service in ("CLOUDFRONT", "OWN")]
    state = State(deploy(tmp_path, client_address={**XFF, "trusted_proxies": named}))
    assert await country(state, through="192.0.2.1") == "FR"
    assert await country(state, through="198.51.100.1") == "FR"
    assert await country(state, through="192.0.2.129") == ""


def test_without_lists_there_is_nothing_to_renew(tmp_path: Path) -> None:
    """The part is told of only where there are files it is made of."""
    assert "proxies" not in State(deploy(tmp_path)).problems


async def test_a_configuration_waits_for_its_list(tmp_path: Path) -> None:
    """One that names a list which comes later is in force once that has come."""
    config = deploy(tmp_path)
    state = State(config)
    written = {**XFF, "trusted_proxies": [{"file": "later.txt"}]}
    deploy(tmp_path, client_address=written)
    notice(state)
    assert await country(state, through=GERMANY) == "DE"
    (tmp_path / "later.txt").write_text(f"{GERMANY}\n")
    notice(state)
    assert await country(state, through=GERMANY) == "FR"


def run(*arguments: str | Path) -> tuple[int, str]:
    """Run a command, and return its exit code and what it says."""
    done = CliRunner().invoke(main, [str(one) for one in arguments])
    return done.exit_code, done.output


def test_validate_looks_into_the_lists(config: Path) -> None:
    """A good list is valid, a bad one is not, and one that trusts everybody is warned of."""
    code, said = run("validate", "-c", config, "--json")
    assert (code, json.loads(said)["problems"]) == (0, [])
    overwrite(config.with_name("cdn.txt"), b"0.0.0.0/0\n")
    warnings = json.loads(run("validate", "-c", config, "--json")[1])["warnings"]
    assert any("trusts every address" in warning for warning in warnings)
    overwrite(config.with_name("cdn.txt"), BAD)
    code, said = run("validate", "-c", config, "--json")
    assert code == 1
    assert [problem.partition("cdn.txt:")[2][:2] for problem in json.loads(said)["problems"]] == [
        "3:",
        "4:",
    ]


def test_explain_works_beside_lists(config: Path) -> None:
    """The address is given there, and the lists are loaded all the same."""
    code, said = run("explain", "-c", config, "--ip", FRANCE, "--json")
    assert (code, json.loads(said)["source"]["country"]) == (0, "FR")
