"""`regiongate keys …`, on every store that commands can change."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from regiongate.cli import main
from regiongate.keys import minting
from regiongate.keys.digest import Digester
from regiongate.keys.stores import opening
from tests.integration import deployment
from tests.integration.keys.made_up import digest

SECRET = "sk-live-4Qm7RzT1vBn8XcW2LpKd"
PEPPER = "pepper-that-nobody-may-see"
MISTYPED = "rg_0123456789abcdefghijABCDEFGHIJ01234567"
"""It looks like a new key; its checksum is another."""

ODD = "the key holds a comma, a space or a character no key has"

Run = Callable[..., Result]


@pytest.fixture
def run(url: str) -> Run:
    """Return what runs a key command on an empty store."""
    opening.register(url, Path("/")).close()

    def command(*arguments: str, given: str = "", code: int = 0) -> Result:
        found = CliRunner().invoke(main, ["keys", *arguments, "--store", url], input=given)
        assert found.exit_code == code, found.output
        return found

    return command


def shown(run: Run, name: str) -> dict[str, Any]:
    """Return what `show` says of a key."""
    found: dict[str, Any] = json.loads(run("show", name, "--json").stdout)
    return found


# -------------------------------------------------------------------------------------- adding


def test_a_new_key_is_printed_once(run: Run) -> None:
    """It is all of standard output, is recognised, and is kept as a digest."""
    key = run("add", "a").stdout.strip()
    assert key.startswith("rg_")
    assert not minting.is_mistyped(key.encode())
    found = json.loads(run("show", "--key", "--json", given=key).stdout)
    assert found["id"] == "a"
    assert found["display"] == f"{key[:7]}…{key[-4:]}"
    assert key not in json.dumps(found)
    everything = run("export").stdout + run("history", "--json").stdout + run("list").stdout
    assert key not in everything
    assert key[8:30] not in everything


def test_a_key_that_somebody_has(run: Run, tmp_path: Path) -> None:
    """It is read from standard input or from a file, or its digest is given."""
    run("add", "a", "--key", given=SECRET)
    (tmp_path / "given-key").write_text(f"{SECRET}2\n")
    run("add", "b", "--key-file", str(tmp_path / "given-key"))
    run("add", "c", "--digest", f"sha256:{digest('c').hex()}")
    assert shown(run, "a")["digest"] == Digester().write(digest(SECRET))
    assert shown(run, "b")["digest"] == Digester().write(digest(f"{SECRET}2"))
    assert shown(run, "c")["digest"] == Digester().write(digest("c"))


EXEMPT = (
    *("exempt", "a", "--exemption", "EX", "--rule", "*"),
    *("--why", "w", "--ticket", "T", "--approved-by", "b"),
)

REFUSED = {
    "an id twice": (("add", "a"), "", 1, "a: expected an id that is new"),
    "a key twice": (
        ("add", "b", "--key"),
        SECRET,
        1,
        "b: expected a digest that no other key has, and another one has it",
    ),
    "a mistyped key": (
        ("add", "b", "--key"),
        MISTYPED,
        1,
        "expected a key as it was printed: after rg_ it has a checksum",
    ),
    "nothing": (("add", "b", "--key"), "", 2, "expected a key, got nothing"),
    "a key with a space": (
        ("add", "b", "--key"),
        "a key",
        1,
        f"expected a key that a request can carry ({ODD})",
    ),
    "a key that is too long": (
        ("add", "b", "--key"),
        "k" * 1025,
        1,
        "expected a key that a request can carry (the key is longer than 1024 bytes)",
    ),
    "the history of nobody": (
        ("history", "nobody"),
        "",
        1,
        "nobody: expected a key or an organisation with a history",
    ),
    "no digest": (
        ("add", "b", "--digest", "md5:1"),
        "",
        2,
        "--digest: expected sha256: or hmac-sha256: and 64 hexadecimal digits",
    ),
    "no country": (
        ("add", "b", "--allowed-countries", "UK"),
        "",
        2,
        (
            "--allowed-countries: expected an ISO 3166 code such as FR or UA-43 (got 'UK');"
            " did you mean GB?"
        ),
    ),
    "no organisation": (
        ("add", "b", "--org", "nobody"),
        "",
        1,
        "b: expected an organisation that is there (got nobody)",
    ),
    "nobody": (("suspend", "b"), "", 1, "b: expected a key that is there"),
    "no such organisation": (
        ("org", "set", "nobody", "--plan", "gold"),
        "",
        1,
        "nobody: expected an organisation that is there",
    ),
    "an exemption without its reasons": (
        ("exempt", "a", "--exemption", "EX", "--rule", "*"),
        "",
        2,
        "--ticket: expected this option, got nothing",
    ),
    "an exemption without a reason": (
        ("exempt", "a", "--exemption", "EX", "--rule", "*"),
        "",
        2,
        "--why: expected 1 or more characters (got '')",
    ),
    "an exemption with a date that is none": (
        (*EXEMPT, "--ends", "2030-1-1"),
        "",
        2,
        "--ends: expected a date such as 2024-07-09T00:00:00Z (got '2030-1-1')",
    ),
    "an exemption with a date somewhere on Earth": (
        (*EXEMPT, "--ends", "2030-01-01"),
        "",
        2,
        "--ends: expected a date with an offset from UTC (got 2030-01-01T00:00:00)",
    ),
    "an exemption that ends before it begins": (
        (*EXEMPT, "--ends", "2030-01-01T00:00:00Z", "--begins", "2030-01-01T01:00:00+01:00"),
        "",
        2,
        "Error: --ends: expected a moment after --begins (got 2030-01-01T00:00:00Z)",
    ),
    "an exemption with a name that is none": (
        (*EXEMPT, "--ends", "2030-01-01T00:00:00Z", "--exemption", "E X"),
        "",
        2,
        "--exemption: expected text that matches ^[A-Za-z0-9][A-Za-z0-9_.:@/-]*$ (got 'E X')",
    ),
    "an exemption in no country": (
        (*EXEMPT, "--ends", "2030-01-01T00:00:00Z", "--countries", "FR,XX"),
        "",
        2,
        "--countries: expected an ISO 3166 code such as FR or UA-43 (got 'XX')",
    ),
    "an id that is none": (
        ("add", "b c"),
        "",
        2,
        "ID: expected text that matches ^[A-Za-z0-9][A-Za-z0-9_.:@/-]*$ (got 'b c')",
    ),
    "an id of an organisation that is none": (
        ("org", "add", "b c"),
        "",
        2,
        "ID: expected text that matches ^[A-Za-z0-9][A-Za-z0-9_.:@/-]*$ (got 'b c')",
    ),
    "no change": (
        ("set", "a"),
        "",
        2,
        (
            "Error: expected something to change: --org, --display, --not-before, --expires,"
            " --plan, --home-country, --billing-country, --hq-country, --ownership-countries,"
            " --allowed-countries, --denied-countries, --label or --clear"
        ),
    ),
    "no change of an organisation": (
        ("org", "set", "acme", "--why", "a new contract"),
        "",
        2,
        (
            "Error: expected something to change: --name, --plan, --home-country,"
            " --billing-country, --hq-country, --ownership-countries, --allowed-countries,"
            " --denied-countries, --label or --clear"
        ),
    ),
    "no exemption": (
        ("exempt", "a", "--exemption", "EX", "--remove"),
        "",
        1,
        "a: expected an exemption called EX",
    ),
}


@pytest.mark.parametrize(("arguments", "given", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(
    run: Run, arguments: tuple[str, ...], given: str, code: int, said: str
) -> None:
    """It is said why, and nothing is changed."""
    run("add", "a", "--key", given=SECRET)
    before = run("export").stdout
    found = run(*arguments, given=given, code=code)
    assert said in found.stderr.splitlines()
    assert SECRET not in found.output
    assert run("export").stdout == before


# ------------------------------------------------------------------------------------ changing


def test_what_becomes_of_a_key(run: Run) -> None:
    """Status, reason, who and when are set, shown, and recorded; revoked is for good."""
    run("add", "a")
    run("suspend", "a", "--why", "abuse", "--by", "ann")
    found = shown(run, "a")
    assert (found["status"], found["status_reason"], found["status_by"]) == (
        "suspended",
        "abuse",
        "ann",
    )
    assert found["status_at"]
    run("reinstate", "a", "--why", "a mistake", "--by", "bob")
    assert shown(run, "a")["status"] == "active"
    run("revoke", "a", "--why", "leaked")
    refused = run("reinstate", "a", code=1)
    assert refused.stderr == "a: expected a key that is not revoked\n"
    lines = [json.loads(line) for line in run("history", "a", "--json").stdout.splitlines()]
    assert [(one["what"], one["why"]) for one in lines] == [
        ("add", ""),
        ("suspend", "abuse"),
        ("reinstate", "a mistake"),
        ("revoke", "leaked"),
    ]
    assert lines[1]["who"] == "ann"
    assert lines[1]["changes"]["status"] == {"before": "active", "after": "suspended"}


def test_set_says_something_else(run: Run) -> None:
    """What is named is changed or taken back, and the rest stays."""
    run("org", "add", "acme", "--plan", "team")
    run("add", "a", "--plan", "gold", "--label", "x=1", "--label", "y=2", "--org", "acme")
    run("set", "a", "--allowed-countries", "FR, DE", "--label", "x=", "--label", "z=3")
    cleared = ("--clear", "plan", "--expires", "2030-01-01T00:00:00Z")
    assert json.loads(run("set", "a", *cleared, "--json").stdout)["changed"] is True
    found = shown(run, "a")
    assert found["labels"] == {"y": "2", "z": "3"}
    assert found["allowed_countries"] == ["FR", "DE"]
    assert found["expires"] == "2030-01-01T00:00:00Z"
    assert "plan" not in found
    assert found["organisation"] == {"plan": "team"}
    run("set", "a", "--allowed-countries", "")
    assert shown(run, "a")["allowed_countries"] == []


def test_exemptions(run: Run) -> None:
    """Added to a key or an organisation, replaced by name, and removed."""
    run("org", "add", "acme")
    run("add", "a")
    reasons = ("--why", "contract", "--ticket", "T", "--approved-by", "b")
    about = ("--exemption", "EX", "--rule", "*", "--ends", "2030-01-01T00:00:00Z", *reasons)
    run("exempt", "a", *about)
    run("exempt", "a", *about, "--countries", "BR,AR")
    run("exempt", "acme", "--org", *about)
    (exemption,) = shown(run, "a")["exemptions"]
    assert exemption["countries"] == ["BR", "AR"]
    assert json.loads(run("org", "show", "acme", "--json").stdout)["exemptions"]
    run("exempt", "a", "--exemption", "EX", "--remove")
    assert "exemptions" not in shown(run, "a")


AGAIN: dict[str, tuple[tuple[str, ...], str]] = {
    "set": (("set", "a", "--plan", "gold"), "a: it was so already; nothing was changed"),
    "suspend": (("suspend", "a"), "a: it was so already; nothing was changed"),
    "reinstate": (("reinstate", "a"), "a: it was so already; its strikes are forgotten"),
    "revoke": (("revoke", "a"), "a: it was so already; nothing was changed"),
    "exempt": (
        (*EXEMPT, "--ends", "2999-01-01T00:00:00Z"),
        "a: it was so already; nothing was changed",
    ),
    "organisation": (
        ("org", "set", "acme", "--plan", "gold"),
        "organisation acme: it was so already; nothing was changed",
    ),
}


@pytest.mark.parametrize(("arguments", "said"), AGAIN.values(), ids=AGAIN)
def test_what_is_so_already_is_told(run: Run, arguments: tuple[str, ...], said: str) -> None:
    """A change made again is none: a line says so, a script reads it, and nothing is recorded."""
    run("org", "add", "acme")
    run("add", "a")
    run(*arguments)
    before = run("history", "--json").stdout
    assert run(*arguments).stderr == f"{said}\n"
    assert json.loads(run(*arguments, "--json").stdout)["changed"] is False
    assert run("history", "--json").stdout == before


@pytest.mark.parametrize("command", ["suspend", "revoke"])
def test_a_new_reason_is_kept(run: Run, command: str) -> None:
    """The status was so already, and why it still is was news."""
    run("add", "a")
    run(command, "a", "--why", "abuse")
    assert run(command, "a", "--why", "abuse").stderr.endswith("nothing was changed\n")
    run(command, "a", "--why", "fraud, T-9")
    assert shown(run, "a")["status_reason"] == "fraud, T-9"
    notes = [json.loads(line)["why"] for line in run("history", "--json").stdout.splitlines()]
    assert sorted(notes) == ["", "abuse", "fraud, T-9"]


FILTERS = {
    "all": ((), ["a", "b", "c"]),
    "organisation": (("--org", "acme"), ["a"]),
    "status": (("--status", "suspended"), ["b"]),
    "active": (("--status", "active"), ["a"]),
    "expired": (("--status", "expired"), ["c"]),
    "plan": (("--plan", "gold"), ["b"]),
    "plan of its organisation": (("--plan", "team"), ["a"]),
    "label": (("--label", "x=1"), ["a"]),
    "label of its organisation": (("--label", "y=2"), ["a"]),
    "label in place of its organisation's": (("--label", "x=0"), []),
    "country": (("--country", "FR"), ["b"]),
    "limit": (("--limit", "2"), ["a", "b"]),
    "none": (("--org", "acme", "--plan", "gold"), []),
}


def test_listing(run: Run) -> None:
    """Keys are listed by what is said about them."""
    run("org", "add", "acme", "--plan", "team", "--label", "x=0", "--label", "y=2")
    run("add", "a", "--org", "acme", "--label", "x=1")
    run("add", "b", "--plan", "gold", "--denied-countries", "FR")
    run("suspend", "b")
    run("add", "c", "--expires", "2020-01-01T00:00:00Z")
    for name, (arguments, expected) in FILTERS.items():
        lines = run("list", *arguments, "--json").stdout.splitlines()
        assert [json.loads(line)["id"] for line in lines] == expected, name
    assert run("list").stdout.count("gold") == run("list").stdout.count("team") == 1
    assert run("org", "list").stdout.split()[-2:] == ["acme", "team"]


def test_a_country_that_is_none_is_no_filter(run: Run) -> None:
    """An empty list would say that no key has to do with it."""
    told = run("list", "--country", "us", code=2).stderr
    assert "expected an ISO 3166 code such as FR or UA-43 (got 'us'); did you mean US?" in told


def test_what_can_be_taken_back_is_what_can_be_said(run: Run) -> None:
    """Of a key and of an organisation, each its own."""
    run("org", "add", "acme", "--name", "Acme")
    run("org", "set", "acme", "--clear", "name")
    assert json.loads(run("org", "show", "acme", "--json").stdout) == {"id": "acme"}
    assert (
        "'expires' is not one of" in run("org", "set", "acme", "--clear", "expires", code=2).stderr
    )
    removed = run("org", "remove", "acme", "--json").stdout
    assert json.loads(removed) == {"id": "acme", "removed": True}


# ------------------------------------------------------------------------------------- in bulk


@pytest.mark.parametrize("form", ["yaml", "jsonl", "csv"])
def test_an_export_can_be_imported(run: Run, tmp_path: Path, form: str) -> None:
    """Nothing is lost on the way, in any format."""
    run("org", "add", "acme", "--plan", "team", "--name", 'The "Acme", Inc', "--label", "a=é")
    run("org", "add", "none")
    run("add", "a", "--org", "acme", "--allowed-countries", "", "--label", "x=1,2")
    run("add", "b", "--ownership-countries", "FR,DE", "--expires", "2030-01-01T00:00:00+02:00")
    run("suspend", "b", "--why", "because")
    run("exempt", "b", "--exemption", "EX", "--rule", "*", "--ends", "2030-01-01T00:00:00Z",
        "--why", "w", "--ticket", "T", "--approved-by", "b")  # fmt: skip
    first, second = tmp_path / f"first.{form}", tmp_path / f"second.{form}"
    run("export", "-o", str(first))
    store = ["--store", f"sqlite:///{tmp_path}/other.db"]
    for arguments in (["import", str(first)], ["export", "-o", str(second)]):
        assert CliRunner().invoke(main, ["keys", *arguments, *store]).exit_code == 0
    assert first.read_text() == second.read_text()


BAD_LINES = [
    {"id": "a", "key": SECRET},
    {"id": "b", "digest": "sha256:1"},
    {"id": "c", "key": SECRET},
    {"id": "d", "key": "k2", "digest": "sha256:1"},
    {"id": "e", "key": "k3", "allowed_countries": ["UK"], "plam": "x"},
    {"id": "f", "key": "k4", "org": "nobody"},
    {"organisation": "acme", "status": "active"},
    {"id": "a", "key": "k5"},
    {"id": "g"},
    {"id": "h", "key": MISTYPED},
    {"id": "i", "key": "k6,k7"},
]
SAID = f"""\
2: digest: expected sha256: or hmac-sha256: and 64 hexadecimal digits
3: c: expected a digest that no other key has, and another one has it
4: expected either a key or its digest
5: allowed_countries[0]: expected an ISO 3166 code such as FR or UA-43 (got 'UK'); did you mean GB?
5: plam: expected no key of this name; did you mean plan?
6: f: expected an organisation that is there (got nobody)
7: acme.status: expected no key of this name here
8: a: expected an id that is new
9: digest: expected this key, got nothing
10: expected a key as it was printed: after rg_ it has a checksum
11: expected a key that a request can carry ({ODD})
12: expected JSON, and it is none from 0 on
"""


def test_every_bad_line_is_told(run: Run, tmp_path: Path) -> None:
    """With its number; nothing of the file is added, and no key in it is told."""
    path = tmp_path / "given.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in BAD_LINES) + "oops\n")
    found = run("import", str(path), code=1)
    told = found.stderr.replace(f"{path}:", "").splitlines()
    assert [one.strip().split("; did")[0] for one in told[:-1]] == [
        one.split("; did")[0] for one in SAID.splitlines()
    ]
    assert told[-1] == "12 lines are wrong; nothing was added"
    assert SECRET not in found.output
    assert run("export", "--format", "jsonl").stdout == ""


def test_import_and_replace(run: Run, tmp_path: Path) -> None:
    """--dry-run changes nothing; what is there is replaced when that is asked for."""
    path = tmp_path / "given.csv"
    path.write_text(f"id,key,plan\na,{SECRET},gold\nb,{SECRET}2,\n")
    assert json.loads(run("import", str(path), "--dry-run", "--json").stdout)["added"] == 0
    added = json.loads(run("import", str(path), "--json").stdout)
    assert added == {"added": 2, "replaced": 0, "unchanged": 0, "problems": []}
    path.write_text(f"id,key,plan\na,{SECRET},silver\n")
    run("import", str(path), code=1)
    run("import", str(path), "--replace", "--why", "a new contract")
    assert shown(run, "a")["plan"] == "silver"
    assert "a new contract" in run("history", "a").stdout


def test_an_import_tells_what_is_replaced(run: Run, url: str, tmp_path: Path) -> None:
    """What would be added, replaced and left as it is, and what was; not so with a bad line."""
    path, name = tmp_path / "given.csv", opening.name(url)
    path.write_text(f"id,key,plan\na,{SECRET},gold\nb,{SECRET}2,\n")
    assert run("import", str(path), "--dry-run").stderr == f"would add 2 to {name}\n"
    assert run("import", str(path)).stderr == f"added 2 to {name}\n"
    path.write_text(f"id,key,plan\na,{SECRET},gold\nb,{SECRET}2,team\nc,{SECRET}3,\n")
    replacing = ("import", str(path), "--replace")
    dry = run(*replacing, "--dry-run")
    assert dry.stderr == f"would add 1 to {name}, replace 1, leave 1 as before\n"
    none, would = ({"added": n, "replaced": n, "unchanged": n} for n in (0, 1))
    dry = run(*replacing, "--dry-run", "--json")
    assert json.loads(dry.stdout) == {**none, "would": would, "problems": []}
    assert run(*replacing).stderr == f"added 1 to {name}, replaced 1, left 1 as before\n"
    same = json.loads(run(*replacing, "--json").stdout)
    assert same == {"added": 0, "replaced": 0, "unchanged": 3, "problems": []}
    path.write_text("id,key\na\n")
    wrong = json.loads(run(*replacing, "--dry-run", "--json", code=1).stdout)
    assert wrong["would"] == none


def test_an_exemption_that_is_most_likely_not_meant_is_told(run: Run, tmp_path: Path) -> None:
    """One that has ended, and one from a rule that the configured policy does not have."""
    run("add", "a")
    assert run(*EXEMPT, "--ends", "2020-01-01T00:00:00Z").stderr.splitlines() == [
        "warning: --ends: 2020-01-01T00:00:00+00:00 is over: it lifts nothing any more",
        "a: 1 exemption",
    ]
    config = ("-c", str(deployment.deploy(tmp_path)))
    ends = ("--ends", "2999-01-01T00:00:00Z")
    slip = run(*EXEMPT, *ends, "--rule", "unsuported-region", *config, "--json")
    told = f"no rule of {tmp_path}/policy.yaml is called unsuported-region"
    assert slip.stderr == f"warning: --rule: {told}; did you mean unsupported-region?\n"
    assert json.loads(slip.stdout)["exemptions"][0]["rule"] == "unsuported-region"
    other = run(*EXEMPT, *ends, "--rule", "mine", *config)
    assert other.stderr.splitlines()[0].endswith("is called mine")
    for rule in ("*", "unsupported-region", "old-path"):
        assert run(*EXEMPT, *ends, "--rule", rule, *config).stderr == "a: 1 exemption\n"
    (tmp_path / "policy.yaml").unlink()
    assert run(*EXEMPT, *ends, "--rule", "mine", *config).stderr == "a: 1 exemption\n"


def test_verify(run: Run) -> None:
    """What has ended is told; a store without problems is as it should be."""
    run("add", "a")
    assert json.loads(run("verify", "--json").stdout) == {"valid": True, "problems": []}
    run("exempt", "a", "--exemption", "EX", "--rule", "*", "--ends", "2020-01-01T00:00:00Z",
        "--why", "w", "--ticket", "T", "--approved-by", "b")  # fmt: skip
    told = "key a: exemption EX has ended, at 2020-01-01T00:00:00+00:00"
    assert run("verify", code=1).stdout.splitlines() == [told]


IMPOSSIBLE = {
    "nowhere, with its organisation": (
        ("--org", "acme", "--allowed-countries", "BR"),
        "permits no",
    ),
    "allowed and denied": (
        ("--allowed-countries", "FR,DE", "--denied-countries", "DE,FR"),
        "permits no",
    ),
    "over before it begins": (
        ("--not-before", "2030-01-01T00:00:00Z", "--expires", "2029-01-01T00:00:00Z"),
        "expected expires after not_before",
    ),
}


@pytest.mark.parametrize(("said", "told"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_verify_names_keys_that_can_never_be_used(
    run: Run, said: tuple[str, ...], told: str
) -> None:
    """What is said of them contradicts itself; a key that is meant for nowhere is none of them."""
    run("org", "add", "acme", "--allowed-countries", "US,FR")
    run("add", "paris", "--org", "acme", "--allowed-countries", "FR-75C")
    run("add", "lyon", "--org", "acme", "--denied-countries", "FR-75C")
    run("add", "nowhere", "--org", "acme", "--allowed-countries", "")
    run("verify")
    run("add", "a", *said)
    assert run("verify", code=1).stdout.startswith(f"key a: {told}")


def test_a_history_is_pruned(run: Run) -> None:
    """By a command that is recorded itself, and says how much it was."""
    run("add", "a")
    run("add", "b")
    assert json.loads(run("history", "--prune-before", "2001-01-01", "--json").stdout) == {
        "forgotten": 0
    }
    now = datetime.now(UTC).isoformat()
    found = run("history", "--prune-before", now, "--why", "a year", "--by", "ann")
    assert found.stderr == "1 change is forgotten\n"
    last = json.loads(run("history", "--json").stdout.splitlines()[-1])
    assert (last["what"], last["who"], last["why"], last["id"]) == ("prune", "ann", "a year", "1")
    refused = run("history", "a", "--prune-before", "2001-01-01", code=2)
    assert "expected either ID or --prune-before" in refused.stderr
    refused = run("history", "--prune-before", "2999-01-01", code=2)
    assert "expected a moment that has passed (got 2999-01-01" in refused.stderr


# ---------------------------------------------------------------------------------- a key file


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Return the URL of a key file."""
    (tmp_path / "keys.yaml").write_bytes(deployment.keys())
    return f"file:{tmp_path}/keys.yaml"


def test_a_key_file_is_read_by_commands(file: str, tmp_path: Path) -> None:
    """It is listed, shown and verified, and exported to a store as it is."""

    def read(*arguments: str, given: str = "") -> str:
        found = command("keys", *arguments, "--store", file, given=given)
        assert found.exit_code == 0, found.output
        return found.stdout

    names = [json.loads(line)["id"] for line in read("list", "--json").splitlines()]
    assert names == ["exempt", "narrow", "plain", "suspended"]
    assert "team" in read("show", "exempt")
    assert "id: plain" in read("show", "--key", given=deployment.PLAIN)
    assert "acme" in read("org", "list")
    assert json.loads(read("verify", "--json"))["valid"]
    read("export", "-o", str(tmp_path / "all.jsonl"))
    store = ["--store", f"sqlite:///{tmp_path}/keys.db"]
    assert command("keys", "import", str(tmp_path / "all.jsonl"), *store).exit_code == 0
    assert command("keys", "export", *store).stdout == read("export")


CHANGES = {
    "add": ("add", "a"),
    "suspend": ("suspend", "plain"),
    "reinstate": ("reinstate", "suspended"),
    "organisation": ("org", "set", "acme", "--plan", "gold"),
    "prune": ("history", "--prune-before", "2001-01-01"),
}


@pytest.mark.parametrize("arguments", CHANGES.values(), ids=CHANGES)
def test_a_key_file_is_changed_by_its_editor(
    file: str, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """A command says so, and changes nothing."""
    found = command("keys", *arguments, "--store", file)
    assert found.exit_code == 2
    assert found.output == (
        f"{tmp_path}/keys.yaml: expected a store that commands can change;"
        " this is a key file: edit it, and it is read again\n"
    )
    assert (tmp_path / "keys.yaml").read_bytes() == deployment.keys()


def test_what_is_wrong_with_a_key_file(tmp_path: Path) -> None:
    """`verify` tells every mistake and its line; the others say what they cannot read."""
    path = tmp_path / "keys.yaml"
    path.write_text("version: 1\nkeys:\n  - {id: a, digest: x, plam: y}\n")
    found = command("keys", "verify", "--store", f"file:{path}")
    assert found.exit_code == 1
    assert f"{path}:3: keys[0].plam: expected no key of this name" in found.stdout
    assert command("keys", "list", "--store", f"file:{path}").exit_code == 2
    path.write_text("version: 1\nkeys:\n  - {id: a, digest: x}\n")
    asked = ["keys", "show", "--key", "--store", f"file:{path}"]
    assert CliRunner().invoke(main, asked, input=SECRET).exit_code == 1
    path.write_bytes(deployment.keys())
    found = command("keys", "history", "--store", f"file:{path}")
    assert found.stderr == f"{path}: expected a store with a history, and this is a key file\n"


# ------------------------------------------------------------------------------ configuration


def configured(folder: Path, **keys: Any) -> list[str]:
    """Write a configuration with a pepper, and return what names it on the command line."""
    (folder / "given-pepper").write_text(f"{PEPPER}\n")
    (folder / "empty").write_text("")
    usual = {"extract": [{"header": "x-api-key"}], "store": "sqlite:///keys.db"}
    written = {**usual, "pepper_file": "given-pepper", **keys}
    return ["-c", str(deployment.deploy(folder, keys=written))]


def command(*arguments: str, given: str = "") -> Result:
    """Run a command."""
    return CliRunner().invoke(main, list(arguments), input=given)


def test_the_configured_store_and_pepper_are_used(tmp_path: Path) -> None:
    """What is added by a command is found by the service, through the same digest."""
    config = configured(tmp_path)
    added = command("keys", "add", "a", *config, "--key", given=SECRET)
    assert added.exit_code == 0, added.output
    found = command("explain", *config, "--ip", deployment.FRANCE, "--key", "-", given=SECRET)
    assert "key      a, active" in found.stdout
    assert PEPPER not in added.output + found.output
    assert PEPPER.encode() not in (tmp_path / "keys.db").read_bytes()


def test_a_store_that_is_missing_is_told(tmp_path: Path) -> None:
    """A command that asks a store which is not there does not take the key for unknown."""
    config = configured(tmp_path)
    found = command("explain", *config, "--ip", deployment.FRANCE, "--key", "-", given=SECRET)
    assert found.exit_code == 2
    said = f"{tmp_path}/keys.db: expected a file that is there (No such file or directory)\n"
    assert found.stderr == f"{tmp_path}/regiongate.yaml:11: keys.store: {said}"


MAKES_NOTHING: dict[str, tuple[str, ...]] = {
    "list": ("list",),
    "show": ("show", "a"),
    "verify": ("verify",),
    "export": ("export",),
    "history": ("history",),
    "prune": ("history", "--prune-before", "2020-01-01"),
    "organisations": ("org", "list"),
    "organisation": ("org", "show", "acme"),
    "set organisation": ("org", "set", "acme", "--plan", "gold"),
    "remove organisation": ("org", "remove", "acme"),
    "set": ("set", "a", "--plan", "gold"),
    "suspend": ("suspend", "a"),
    "reinstate": ("reinstate", "a"),
    "revoke": ("revoke", "a"),
    "exempt": ("exempt", "a", "--exemption", "e", "--remove"),
}
MAKES: dict[str, tuple[str, ...]] = {
    "add": ("add", "a"),
    "organisation": ("org", "add", "acme"),
    "import": ("import", "-", "--format", "jsonl"),
}


@pytest.mark.parametrize("arguments", MAKES_NOTHING.values(), ids=MAKES_NOTHING)
def test_a_mistyped_path_makes_no_file(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """What brings nothing new expects a store that is there, and leaves nothing behind."""
    folder = tmp_path / "stores"
    folder.mkdir()
    found = command("keys", *arguments, "--store", f"sqlite:///{folder}/typo.db")
    said = f"{folder}/typo.db: expected a file that is there (No such file or directory)\n"
    assert (found.exit_code, found.output) == (2, said)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("arguments", MAKES.values(), ids=MAKES)
def test_what_brings_something_new_makes_the_file(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """There is no other way to begin a store."""
    found = command("keys", *arguments, "--store", f"sqlite:///{tmp_path}/new.db")
    assert found.exit_code == 0, found.output
    assert (tmp_path / "new.db").is_file()


IN_VAIN: dict[str, tuple[tuple[str, ...], str, int]] = {
    "a dry run": (("import", "-", "--format", "jsonl", "--dry-run"), '{"id": "a", "key": "k"}', 0),
    "a bad line": (("import", "-", "--format", "jsonl"), '{"id": "a", "key": "k"}\noops', 1),
    "no key": (("add", "a", "--key"), "", 2),
    "no country": (("add", "a", "--allowed-countries", "UK"), "", 2),
    "no such organisation": (("add", "a", "--org", "nobody"), "", 1),
    "an organisation that is none": (("org", "add", "a b"), "", 2),
}


@pytest.mark.parametrize(("arguments", "given", "code"), IN_VAIN.values(), ids=IN_VAIN)
def test_what_adds_nothing_makes_no_file(
    tmp_path: Path, arguments: tuple[str, ...], given: str, code: int
) -> None:
    """In an empty store every key would be unknown; what is there already stays as it is."""
    folder = tmp_path / "stores"
    folder.mkdir()
    found = command("keys", *arguments, "--store", f"sqlite:///{folder}/new.db", given=given)
    assert found.exit_code == code, found.output
    assert list(folder.iterdir()) == []


def test_a_new_store_is_whole_when_it_is_there(tmp_path: Path) -> None:
    """Nothing is left beside it, and commands go on with it; it is read as any other."""
    store = ("--store", f"sqlite:///{tmp_path}/new.db")
    assert command("keys", "add", "a", "--key", *store, given=SECRET).exit_code == 0
    assert [one.name for one in tmp_path.iterdir()] == ["new.db"]
    assert command("keys", "add", "b", *store).exit_code == 0
    assert command("keys", "verify", *store).output == f"{store[1]}: as it should be\n"


def test_a_store_that_somebody_makes_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later one adds nothing, and says so."""
    path = tmp_path / "new.db"

    def meanwhile() -> str:
        path.write_text("of somebody else")
        return "rg_new"

    monkeypatch.setattr(minting, "mint", meanwhile)
    found = command("keys", "add", "a", "--store", f"sqlite:///{path}")
    why = "expected no file yet (somebody else has made it meanwhile); try again"
    assert (found.exit_code, found.stderr.splitlines()[-1]) == (2, f"{path}: {why}")
    assert path.read_text() == "of somebody else"
    assert list(tmp_path.iterdir()) == [path]


def test_without_links_a_new_store_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems have none."""

    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    assert command("keys", "add", "a", "--store", f"sqlite:///{tmp_path}/new.db").exit_code == 0
    assert [one.name for one in tmp_path.iterdir()] == ["new.db"]


def test_a_store_in_no_folder_is_told(tmp_path: Path) -> None:
    """The folder is nobody's to guess."""
    store = f"sqlite:///{tmp_path}/missing/new.db"
    found = command("keys", "add", "a", "--store", store)
    why = "expected a folder that can be written to (No such file or directory)"
    assert (found.exit_code, found.output) == (2, f"{tmp_path}/missing/new.db: {why}\n")


def test_numbers_of_one(tmp_path: Path) -> None:
    """One line is wrong, one exemption is there, one change is forgotten."""
    store = ["--store", f"sqlite:///{tmp_path}/keys.db"]
    assert command("keys", "add", "a", *store).exit_code == 0
    said = command("keys", "import", "-", "--format", "jsonl", *store, given="oops\n")
    assert said.stderr.splitlines()[-1] == "1 line is wrong; nothing was added"
    exemption = ("--exemption", "e", "--rule", "*", "--ends", "2030-01-01T00:00:00Z")
    reasons = ("--why", "w", "--ticket", "T", "--approved-by", "b")
    said = command("keys", "exempt", "a", *exemption, *reasons, *store)
    assert said.stderr == "a: 1 exemption\n"


def test_a_pepper_is_changed(tmp_path: Path) -> None:
    """Keys from before are known as long as the previous pepper is configured."""
    plain = configured(tmp_path, pepper_file=None)
    assert command("keys", "add", "old", *plain, "--key", given=SECRET).exit_code == 0
    both = configured(tmp_path, previous_pepper_file="empty")
    assert command("keys", "add", "new", *both, "--key", given=f"{SECRET}2").exit_code == 0
    for key, name in ((SECRET, "old"), (f"{SECRET}2", "new")):
        found = command("explain", *both, "--ip", deployment.FRANCE, "--key", "-", given=key)
        assert f"key      {name}, active" in found.stdout
    only = configured(tmp_path)
    found = command("explain", *only, "--ip", deployment.FRANCE, "--key", "-", given=SECRET)
    assert "key      unknown" in found.stdout
    assert command("keys", "verify", *only).stdout == (
        "key old: digest: expected hmac-sha256, as a pepper is configured (got sha256)\n"
    )


STORES = {
    "an unknown kind": ("ftp://x", "expected file:PATH, sqlite:///PATH, redis://HOST:PORT/DB"),
    "no path": ("sqlite://", "expected sqlite:///PATH, perhaps with ?mode=ro"),
    "no server": (
        "redis://:hunter2@host:x/0",
        "expected redis://[USER:PASSWORD@]HOST[:PORT][/DB] or",
    ),
    "no key file": ("file:keys.yaml", "keys.yaml: expected a key file (No such file or directory)"),
    "nobody there": (
        "redis://:hunter2@127.0.0.1:1/0",
        "redis://127.0.0.1:1/0: expected a store that answers",
    ),
}


@pytest.mark.parametrize(("url", "said"), STORES.values(), ids=STORES)
def test_a_store_that_cannot_be_used(tmp_path: Path, url: str, said: str) -> None:
    """It is one clear error without the password, and exit code 2."""
    found = command("keys", "list", "--store", url, "-c", str(tmp_path / "none.yaml"))
    assert found.exit_code == 2
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1
    assert "hunter2" not in found.output


def test_a_missing_package_is_told(tmp_path: Path) -> None:
    """Without the extra, redis: is one clear error."""
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "import importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'redis' else found(name, *a)\n"
        "from regiongate.cli import main; main()"
    )
    asked = ["keys", "list", "--store", "redis://127.0.0.1/0"]
    found = subprocess.run(
        [sys.executable, "-c", code, *asked],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr == (
        "--store: expected the redis extra: pip install '.[redis]' in a checkout\n"
    )
