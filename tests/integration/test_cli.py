"""The command line: what its commands print, and with which code they exit."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
import yaml
from click.testing import CliRunner, Result

import regiongate
from regiongate import __version__
from regiongate.cli import main
from tests import databases
from tests.integration.deployment import (
    EXEMPT,
    FRANCE,
    GERMANY,
    NARROW,
    NORTH_KOREA,
    PLAIN,
    SUSPENDED,
    UNKNOWN,
    deploy,
    policy,
    question,
    rule,
    settings,
)
from tests.integration.process import Process, serving

pytestmark = pytest.mark.usefixtures("unrehearsed")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration that no test changes."""
    return deploy(tmp_path_factory.mktemp("cli"))


def run(*arguments: str | Path, typed: str | None = None) -> Result:
    """Run a command.

    Args:
        typed: what is on its standard input.
    """
    return CliRunner().invoke(main, [str(one) for one in arguments], input=typed)


def explained(config: Path, *arguments: str | Path, typed: str | None = None) -> dict[str, Any]:
    """Return what `explain --json` prints."""
    result = run("explain", "-c", config, "--json", *arguments, typed=typed)
    printed: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (printed["verdict"] == "deny"), result.output
    return printed


def commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Name every command below one, the command itself first."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            # `commands` of a group would name none whose import is put off.
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, *path, name)


COMMANDS = dict(commands(main))


def test_every_command_is_named() -> None:
    """What the next tests go through are all of them, and not only their groups."""
    some = [("explain",), ("keys", "org", "add"), ("geo", "update"), ("policy", "diff")]
    assert set(some) <= COMMANDS.keys()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    """--help tells what a command does and what each option means."""
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage:")
    assert run(*path, "-h").stdout == result.stdout


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_has_a_description(path: tuple[str, ...]) -> None:
    """Nobody has to guess what a name stands for."""
    command = COMMANDS[path]
    assert command.help
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert [one.name for one in options if not (one.help or one.hidden)] == []


def test_the_version_is_told() -> None:
    """--version is what a report of a mistake needs."""
    assert run("--version").stdout == f"regiongate, version {__version__}\n"


def test_a_command_does_not_wait_for_the_version() -> None:
    """What tells it takes longer to import than the command line itself."""
    code = (
        "import sys, regiongate.cli;"
        "before = 'importlib.metadata' in sys.modules;"
        "import regiongate; print(before, regiongate.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == f"False {__version__}\n"


def test_a_fault_of_ours_is_not_taken_for_a_mistake_in_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only what is expected to go wrong ends in a message and exit code 2."""

    def fail(_: Path) -> NoReturn:
        raise KeyError("absent")

    monkeypatch.setattr("regiongate.runtime.config.read", fail)
    with pytest.raises(KeyError, match="absent"):
        CliRunner().invoke(main, ["validate"], catch_exceptions=False)


def test_the_package_has_no_more_than_a_version() -> None:
    """Another name is an error as it is everywhere."""
    with pytest.raises(AttributeError, match="module 'regiongate' has no attribute 'nothing'"):
        _ = regiongate.nothing


MISUSED = {
    "an unknown command": ["explode"],
    "an unknown option": ["validate", "--jsn"],
    "an address that is none": ["explain", "--ip", "1.2.3"],
    "a moment that is none": ["explain", "--at", "tomorrow"],
    "a header without a colon": ["explain", "--header", "x"],
    "a file of a key that is not there": ["explain", "--key-file", "/nonexistent"],
    "a configuration that is a folder": ["explain", "-c", "/"],
    "a configuration that is not there": ["explain", "-c", "/nonexistent.yaml"],
}


@pytest.mark.parametrize("arguments", MISUSED.values(), ids=MISUSED)
def test_misuse_is_told_with_exit_code_2(arguments: list[str]) -> None:
    """Misuse is told on standard error in a few lines, and nothing is printed."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr
    assert "Traceback" not in result.stderr


# ----------------------------------------------------------------------------------- validate


MISSPELT: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "one that is hidden": (("serve", "--adress"), []),
    "another": (("geo", "update", "--with-parents"), []),
    "one that is shown": (("serve", "--confg"), ["--config", "--log"]),
}


@pytest.mark.parametrize(("arguments", "proposed"), MISSPELT.values(), ids=MISSPELT)
def test_only_options_that_help_shows_are_proposed(
    arguments: tuple[str, ...], proposed: list[str]
) -> None:
    """What a parent process gives its children is nobody's to type."""
    result = run(*arguments)
    _, _, said = result.stderr.partition("No such option")
    assert re.findall(r"--[a-z-]+", said) == [arguments[-1], *proposed]
    assert result.exit_code == 2


def test_exemptions_that_end_soon_or_name_no_rule_are_told(tmp_path: Path) -> None:
    """Nobody is to find out from a refusal that an exemption has ended."""
    config = deploy(tmp_path)
    file = tmp_path / "keys.yaml"
    soon = (datetime.now(UTC) + timedelta(days=13)).isoformat(timespec="seconds")
    file.write_text(file.read_text().replace("2999-01-01T00:00:00Z", soon))
    file.write_text(file.read_text().replace("rule: unsupported-region", "rule: no-such-rule"))
    warnings = json.loads(run("validate", "-c", config, "--json").stdout)["warnings"]
    assert [one for one in warnings if "ex-1" in one] == [
        "exemption ex-1 of key exempt is from no-such-rule, and no rule is called so",
        f"exemption ex-1 of key exempt ends within 14 days, at {soon}",
    ]


STORES = {
    # a key store, whether it counts refusals
    "file:keys.yaml": False,
    "sqlite:///keys.db": True,
}


@pytest.mark.parametrize("store", STORES)
def test_a_suspension_that_nothing_counts_for_is_told(tmp_path: Path, store: str) -> None:
    """Only the configuration knows where keys are kept, and a key file counts nothing."""
    config = deploy(tmp_path, keys={"extract": [{"header": "x-api-key"}], "store": store})
    limited = {**rule("limited", "source.tor"), "suspend": {"after": 3, "within": "1h"}}
    (tmp_path / "policy.yaml").write_bytes(policy(limited))
    run("keys", "import", tmp_path / "keys.yaml", "--store", f"sqlite:///{tmp_path}/keys.db")
    told = json.loads(run("validate", "-c", config, "--json").stdout)
    assert told["valid"]
    place = f"{tmp_path}/policy.yaml:15: policies.default.rules[0].suspend"
    found = [one for one in told["warnings"] if one.startswith(f"{place}: suspends no key")]
    assert len(found) == (not STORES[store])


def test_an_exemption_from_a_rule_that_is_mistyped_tells_the_rule(tmp_path: Path) -> None:
    """As `keys exempt` does, for whoever writes the key file by hand."""
    config = deploy(tmp_path)
    file = tmp_path / "keys.yaml"
    file.write_text(
        file.read_text().replace("rule: unsupported-region", "rule: unsupported-regoin")
    )
    warnings = json.loads(run("validate", "-c", config, "--json").stdout)["warnings"]
    told = "is from unsupported-regoin, and no rule is called so; did you mean unsupported-region?"
    assert f"exemption ex-1 of key exempt {told}" in warnings


def test_an_exemption_of_many_keys_is_told_once(tmp_path: Path) -> None:
    """An organisation's is each of its keys', of which there may be thousands."""
    config = deploy(tmp_path)
    file = tmp_path / "keys.yaml"
    written = yaml.safe_load(file.read_text())
    (exemption,) = next(one["exemptions"] for one in written["keys"] if "exemptions" in one)
    written["organisations"]["acme"]["exemptions"] = [{**exemption, "rule": "no-such-rule"}]
    for one in written["keys"]:
        one["org"] = "acme"
        one.pop("exemptions", None)
    file.write_text(yaml.safe_dump(written))
    warnings = json.loads(run("validate", "-c", config, "--json").stdout)["warnings"]
    first, more = written["keys"][0]["id"], len(written["keys"]) - 1
    named = f"exemption ex-1 of key {first} and {more} more"
    assert [one for one in warnings if "ex-1" in one] == [
        f"{named} is from no-such-rule, and no rule is called so"
    ]


def test_a_database_that_is_too_old_is_a_warning_like_any_other(tmp_path: Path) -> None:
    """Of `validate`, also for scripts, and of `explain` beside its answer."""
    config = deploy(tmp_path, geo={"country": "country.mmdb", "max_age": "1ms"})
    result = run("validate", "-c", config, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    told, *_ = json.loads(result.stdout)["warnings"]
    file = re.escape(str(tmp_path / "country.mmdb"))
    assert re.fullmatch(rf"{file} is \d+ days old, more than geo\.max_age allows", told)
    result = run("validate", "-c", config)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == f"warning: {told}"
    result = run("explain", "-c", config, "--json")
    assert result.stderr == f"warning: {told}\n"
    assert json.loads(result.stdout)["verdict"]


def test_a_good_configuration_is_valid(config: Path) -> None:
    """Exit code 0 says that it would be put in force."""
    result = run("validate", "-c", config)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"{config}: valid"


def test_a_good_configuration_is_valid_in_json(config: Path) -> None:
    """--json is for scripts."""
    result = run("validate", "-c", config, "--json")
    printed = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (printed["valid"], printed["problems"]) == (True, [])


def test_every_problem_of_every_file_is_told(tmp_path: Path) -> None:
    """One run finds the mistakes of all files, each with its line and place."""
    config = deploy(tmp_path)
    (tmp_path / "policy.yaml").write_bytes(policy(rule("one", "source.contry"), rule("two", "1")))
    (tmp_path / "keys.yaml").write_text("version: 1\nkeys:\n- {id: a, digest: md5}\n")
    (tmp_path / "country.mmdb").write_bytes(b"")
    result = run("validate", "-c", config)
    assert result.exit_code == 1
    for said in (
        f"{tmp_path}/policy.yaml:11: policies.default.rules[0].when: ",
        f"{tmp_path}/policy.yaml:15: policies.default.rules[1].when: ",
        f"{tmp_path}/keys.yaml:3: keys[0].digest: ",
        f"{tmp_path}/country.mmdb: ",
    ):
        assert said in result.output


def test_every_problem_is_told_in_json(tmp_path: Path) -> None:
    """A script gets the problems one by one, and the same exit code."""
    config = deploy(tmp_path)
    (tmp_path / "policy.yaml").write_bytes(policy(rule("one", "source.contry")))
    (tmp_path / "keys.yaml").write_text("version: 2\n")
    result = run("validate", "-c", config, "--json")
    printed = json.loads(result.stdout)
    assert (result.exit_code, printed["valid"], len(printed["problems"])) == (1, False, 2)


# ------------------------------------------------------------------------------------ explain

REQUESTS: Mapping[str, Mapping[str, Any]] = {
    "a supported country": {"ip": FRANCE},
    "a country that is not": {"ip": GERMANY},
    "an embargoed territory": {"ip": NORTH_KOREA},
    "a country that is unknown": {"ip": "77.1.1.1"},
    "a private address": {"ip": "10.0.0.1"},
    "an address of IPv6": {"ip": "2001:db8::1"},
    "an IPv4-mapped address": {"ip": "::ffff:5.39.0.1"},
    "a plain key": {"key": PLAIN},
    "an unknown key": {"key": UNKNOWN},
    "a suspended key": {"key": SUSPENDED},
    "a suspended key from an embargoed territory": {"ip": NORTH_KOREA, "key": SUSPENDED},
    "a key outside its countries": {"key": NARROW},
    "a key inside its countries": {"ip": GERMANY, "key": NARROW},
    "an exempt key": {"ip": GERMANY, "key": EXEMPT},
    "an exempt key where nothing exempts": {"ip": NORTH_KOREA, "key": EXEMPT},
    "two keys in one": {"key": f"{PLAIN},{UNKNOWN}"},
    "an empty key": {"key": ""},
    "a key that is too long": {"key": "k" * 1025},
    "a key of bytes that no key has": {"key": "schlüssel"},
    "a path that is to go": {"path": "/v0/models"},
    "a path that is to go, with a query": {"path": "/v0/models?limit=1"},
    "another policy": {"ip": GERMANY, "route": "internal"},
    "a policy in shadow": {"route": "watched"},
    "a policy that is none": {"route": "nowhere"},
}
SAME = ("policy_verdict", "policy", "rule", "reason", "phase", "exemption")


@pytest.fixture(scope="module")
def process(config: Path) -> Iterator[Process]:
    """A service of the same configuration."""
    with serving(config) as running:
        yield running


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_explain_says_what_the_service_answers(
    request_: Mapping[str, Any], config: Path, process: Process
) -> None:
    """The same facts lead to the same verdict by the same rule, for the same reason."""
    facts = {"ip": FRANCE, "path": "/v1/models", **request_}
    answer = process.ask(question(**facts))
    names = {"route": "--policy"}
    options = [(names.get(name, f"--{name}"), value) for name, value in facts.items()]
    said = explained(config, *(word for option in options for word in option))
    assert said["verdict"] == answer["outcome"]
    assert {name: said[name] or "" for name in SAME} == {name: answer[name] for name in SAME}
    assert said["source"].get("country", "") == answer["country"]
    assert (said["key"]["id"], said["key"]["org"]) == (answer["key_id"], answer["org"])


def test_explain_goes_through_the_rules_in_order(config: Path) -> None:
    """Each rule is told with what became of it, down to the one that decided."""
    said = explained(config, "--ip", GERMANY, "--key", EXEMPT, "--path", "/v0/models")
    assert [(one["name"], one["outcome"]) for one in said["rules"]] == [
        ("suspended-key", "does not apply"),
        ("embargoed-territory", "does not apply"),
        ("outside-the-contract", "does not apply"),
        ("old-path", "would deny, but is in phase warn; exemption ex-1 for another rule"),
        ("unsupported-region", "lifted by exemption ex-1"),
    ]


def test_explain_decides_at_the_moment_given(config: Path) -> None:
    """What a date will change can be seen before it comes."""
    outcomes = {
        at: explained(config, "--ip", FRANCE, "--path", "/v0/", "--at", at)["verdict"]
        for at in ("2019-12-31T23:59:59Z", "2998-12-31T23:59:59Z", "2999-01-01T00:00:00Z")
    }
    assert list(outcomes.values()) == ["allow", "allow", "deny"]


def test_explain_is_read_by_people_too(config: Path) -> None:
    """Without --json the client, the key, every rule and the decision are lines of text."""
    result = run("explain", "-c", config, "--ip", NORTH_KOREA, "--key", PLAIN)
    assert result.exit_code == 1
    for said in (
        "client   175.45.176.1: KP (located, network 175.45.176.0/22)",
        "key      plain, active",
        "embargoed-territory",
        "not reached",
        "deny 403: unsupported_country by embargoed-territory",
    ):
        assert said in result.stdout


PLACES = {
    "a region": ("5.133.64.1", "5.133.64.1: UA, UA-43 (located, network 5.133.64.0/24)"),
    "a country alone": ("91.245.80.1", "91.245.80.1: UA (located, network 91.245.80.0/24)"),
    "a private address": ("10.0.0.7", "10.0.0.7: (private"),
}


@pytest.mark.parametrize(("ip", "said"), PLACES.values(), ids=PLACES)
def test_explain_says_where_the_client_is(ip: str, said: str, tmp_path: Path) -> None:
    """With the regions that a policy goes by, where the database knows them."""
    config = deploy(tmp_path)
    databases.city_database(tmp_path / "country.mmdb")
    assert f"client   {said}" in run("explain", "-c", config, "--ip", ip).stdout


def test_explain_says_where_a_key_may_be_used(config: Path) -> None:
    """A condition asks whether it may, and does not show what the answer came from."""
    result = run("explain", "-c", config, "--ip", FRANCE, "--key", NARROW)
    assert "key      narrow, active, permits DE\n" in result.stdout
    key = explained(config, "--ip", FRANCE, "--key", NARROW)["key"]
    assert (key["allowed_countries"], key["denied_countries"]) == (["DE"], [])
    assert explained(config, "--key", PLAIN)["key"]["allowed_countries"] is None


def test_explain_names_the_policies_there_are(config: Path) -> None:
    """Where one is asked for that is none."""
    result = run("explain", "-c", config, "--ip", FRANCE, "--policy", "nowhere")
    assert "policy   nowhere (expected one of: default, internal, watched) at" in result.stdout
    assert result.stdout.endswith("\ndeny 403: unknown_policy\n")


def test_what_a_policy_says_is_printed_as_it_stands(tmp_path: Path) -> None:
    """Square brackets in a condition are CEL and not markup of the terminal."""
    config = deploy(tmp_path)
    condition = 'request.path.matches("^[/]v1")'
    (tmp_path / "policy.yaml").write_bytes(policy(rule("listed", condition)))
    assert condition in run("explain", "-c", config, "--ip", FRANCE).stdout


KEY_GIVEN = {
    "as an option": (["--key", SUSPENDED], None),
    "on standard input": (["--key", "-"], f"{SUSPENDED}\n"),
    "on standard input without a line's end": (["--key", "-"], SUSPENDED),
    "in a file": (["--key-file", "{folder}/given-key"], None),
    "in a file that is standard input": (["--key-file", "-"], f"{SUSPENDED}\n"),
}


@pytest.mark.parametrize(("arguments", "typed"), KEY_GIVEN.values(), ids=KEY_GIVEN)
def test_a_key_need_not_be_on_the_command_line(
    arguments: list[str], typed: str | None, config: Path, tmp_path: Path
) -> None:
    """A key is read from standard input or a file as well, and is not printed."""
    (tmp_path / "given-key").write_text(f"{SUSPENDED}\n")
    written = [one.format(folder=tmp_path) for one in arguments]
    said = explained(config, "--ip", FRANCE, *written, typed=typed)
    assert said["key"]["id"] == "suspended"
    assert SUSPENDED not in json.dumps(said)


def test_a_key_may_be_named_by_its_id(config: Path) -> None:
    """Who is asked why has the id from a record, and never the key."""
    by_key = explained(config, "--ip", GERMANY, "--key", EXEMPT)
    by_id = explained(config, "--ip", GERMANY, "--key-id", by_key["key"]["id"])
    assert {**by_id, "time": ""} == {**by_key, "time": ""}
    said = run("explain", "-c", config, "--key-id", "nobody").stderr
    assert "--key-id: expected a key that is there (got 'nobody')" in said
    said = run("explain", "-c", config, "--key-id", "plain", "--key", PLAIN).stderr
    assert "expected one of --key, --key-file and --key-id" in said


def test_a_key_that_the_service_would_not_find_is_not_explained(tmp_path: Path) -> None:
    """Its digest may be made with a pepper that is not configured."""
    config = deploy(tmp_path)
    digest = f"hmac-sha256:{'0' * 64}"
    store = f"sqlite:///{tmp_path}/keys.db"
    assert (
        run("keys", "add", "a", "--digest", f"sha256:{'0' * 64}", "--store", store).exit_code == 0
    )
    with sqlite3.connect(tmp_path / "keys.db") as opened:
        written = json.dumps({"id": "a", "digest": digest}).encode()
        opened.execute("UPDATE keys SET entry = ?", (written,))
    opened.close()
    keys = {"extract": [{"header": "x-api-key"}], "store": "sqlite:///keys.db"}
    config.write_bytes(settings(keys=keys))
    said = run("explain", "-c", config, "--key-id", "a")
    assert said.exit_code == 2
    assert "its digest: expected sha256, as no pepper is configured" in said.stderr


def test_a_policy_to_come_is_explained_as_well(config: Path) -> None:
    """With the databases and keys that are configured now."""
    coming = config.with_name("coming.yaml")
    coming.write_bytes(policy(rule("nobody")))
    said = explained(config, "--ip", FRANCE, "--policy-file", coming)
    assert (said["verdict"], said["rule"]) == ("deny", "nobody")
    assert explained(config, "--ip", FRANCE)["verdict"] == "allow"


def test_a_configuration_that_cannot_be_used_explains_nothing(tmp_path: Path) -> None:
    """The problems are told on standard error; exit code 2 is not a denial."""
    config = deploy(tmp_path)
    (tmp_path / "policy.yaml").write_text("version: 2\n")
    result = run("explain", "-c", config, "--ip", FRANCE)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{tmp_path}/policy.yaml:1: version: " in result.stderr
