"""`regiongate policy …` as an operator runs it: what it prints, and how it ends."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from regiongate.cli import main
from regiongate.cli.policy import files
from regiongate.facts import Located
from regiongate.policy import cases, decide
from regiongate.policy.difference import everywhere
from regiongate.policy.lint import lint
from regiongate.telemetry.record import source as source_record
from tests.databases import city_database

EXAMPLES = Path(__file__).parents[2] / "examples"
POLICY = EXAMPLES / "policy.yaml"
TABLE = EXAMPLES / "policy.tests.yaml"
KEYS = EXAMPLES / "keys.yaml"

AT = datetime(2024, 8, 1, tzinfo=UTC)
FINE, NO, UNUSABLE = 0, 1, 2

OLD = """\
version: 1
regions: {embargoed: [IR]}
policies:
  default:
    rules:
      - {name: embargoed, when: source.within("embargoed"), deny: {reason: embargo}}
    otherwise: allow
"""
NEW = """\
version: 1
regions: {embargoed: [IR, KP]}
policies:
  default:
    rules:
      - {name: embargoed, when: source.within("embargoed"), deny: {reason: embargo}}
      - name: beta
        when: '"x-beta" in request.headers'
        deny: {reason: beta}
        mode: shadow
    otherwise: allow
"""
CASES = """\
version: 1
defaults: {at: 2024-08-01T00:00:00Z}
cases:
  - name: Iran
    given: {country: IR}
    expect: {verdict: deny, rule: embargoed}
  - name: North Korea
    given: {country: KP}
    expect: {verdict: allow, rule: ""}
"""
MISTAKE = "version: 1\npolicies: {default: {rules: [], otherwise: maybe}}\n"


def run(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, ["policy", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    for name, text in {"old": OLD, "new": NEW, "cases": CASES, "mistake": MISTAKE}.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def log(folder: Path, *records: dict[str, Any] | str) -> Path:
    """Write a decision log."""
    path = folder / "decisions.jsonl"
    lines = [one if isinstance(one, str) else json.dumps(one) for one in records]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def record(
    country: str, verdict: str = "allow", key: dict[str, str] | None = None
) -> dict[str, Any]:
    """Make a decision record."""
    source = {"address": "192.0.2.1", "status": "located", "country": country}
    told = {"verdict": verdict, "policy_verdict": verdict, "policy": "default"}
    return {"time": "2024-08-01T00:00:00Z", **told, "source": source, "key": key or {}}


# ----------------------------------------------------------------------------------- policy test


def test_the_shipped_policy_passes_its_table() -> None:
    """Every case passes, and every rule decides one."""
    result = run("test", TABLE, "--policy-file", POLICY)
    assert (result.output, result.exit_code) == ("38 cases: 38 passed, 0 failed\n", FINE)


def test_a_case_that_fails_is_told(folder: Path) -> None:
    """With its file, line and name, what was expected and what was got."""
    result = run("test", folder / "cases.yaml", "--policy-file", folder / "new.yaml")
    assert result.exit_code == NO
    assert result.output.splitlines() == [
        f"{folder}/cases.yaml:7: North Korea",
        "  verdict: expected allow, got deny",
        "  rule: expected none, got embargoed",
        "no case is decided by default/beta",
        "2 cases: 1 passed, 1 failed",
    ]


def test_a_table_is_told_as_json(folder: Path) -> None:
    """For scripts, with every decision."""
    result = run("test", folder / "cases.yaml", "--policy-file", folder / "new.yaml", "--json")
    told = json.loads(result.output)
    assert (told["passed"], told["failed"], told["untried_rules"]) == (1, 1, ["default/beta"])
    assert told["cases"][1]["mismatches"] == [
        {"field": "verdict", "expected": "allow", "got": "deny"},
        {"field": "rule", "expected": "", "got": "embargoed"},
    ]
    assert told["cases"][0]["decision"]["status"] == 403


def test_the_configured_policy_is_tested_when_none_is_named() -> None:
    """A configuration says which one that is."""
    result = run("test", TABLE, "-c", EXAMPLES / "regiongate.yaml")
    assert result.exit_code == FINE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["test", "cases.yaml", "--policy-file", "mistake.yaml"], "mistake.yaml:2: "),
        (["test", "old.yaml", "--policy-file", "old.yaml"], "old.yaml:2: regions: expected no key"),
        (["test", "nothing.yaml", "--policy-file", "old.yaml"], "nothing.yaml:1: expected a read"),
        (["test", "cases.yaml", "-c", "nothing.yaml"], "nothing.yaml:1: expected a readable file"),
        (["show", "mistake.yaml"], "mistake.yaml:2: policies.default.otherwise: "),
        (["show", "old.yaml", "--keys", "old.yaml"], "old.yaml:2: regions: expected no key"),
        (["diff", "old.yaml", "mistake.yaml"], "mistake.yaml:2: "),
        (["diff", "old.yaml", "new.yaml", "--decisions", "none"], "No such file or directory"),
        (
            ["diff", "old.yaml", "new.yaml", "--decisions", "old.yaml"],
            "the decisions in old.yaml: expected at least one (got none, and 7 lines could not",
        ),
        (["diff", "old.yaml", "new.yaml", "--keys", "k"], "expected --keys only with --decisions"),
        (
            ["diff", "old.yaml", "new.yaml", "--cases", "cases.yaml", "--decisions", "old.yaml"],
            "expected --cases or --decisions (got both)",
        ),
        (["schema", "nothing"], "'nothing' is not one of 'policy', 'config', 'keys', 'cases'"),
    ],
)
def test_what_cannot_be_used_ends_with_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """A mistake in a file or in the options is no answer."""
    monkeypatch.chdir(folder)
    result = run(*arguments)
    assert message in result.stderr
    assert result.exit_code == UNUSABLE


# ----------------------------------------------------------------------------------- policy show


def test_a_policy_is_shown_as_it_stands_at_a_moment(folder: Path) -> None:
    """Every rule in order, the lists, and what is to come."""
    result = run("show", folder / "new.yaml", "--at", "2024-08-01")
    assert (
        result.output
        == """\
at 2024-08-01 (every date is in UTC)

policy default
   1. embargoed: enforced
      when source.within("embargoed")
      refuses with 403 embargo, "Request not allowed"
   2. beta: in shadow, nothing is enforced: recorded only
      when "x-beta" in request.headers
      refuses with 403 beta, "Request not allowed"
   -. otherwise allows

region lists
  embargoed (2): IR KP

what changes when
  nothing
"""
    )


def test_dates_of_rules_and_exemptions_are_shown() -> None:
    """The shipped policy, in its observing phase, with the shipped keys."""
    result = run("show", POLICY, "--at", "2024-06-10", "--keys", KEYS)
    assert result.exit_code == FINE
    assert result.output.splitlines()[-4:] == [
        "what changes when",
        "  2024-06-25  default: unsupported-region warns",
        "  2024-07-09  default: unsupported-region is enforced",
        (
            "  2030-01-01  exemption northwind-hong-kong of key northwind-production,"
            " northwind-europe from unsupported-region for HK ends"
        ),
    ]


def test_a_policy_is_shown_as_json() -> None:
    """For scripts: the same rows, and dates in RFC 3339."""
    told = json.loads(run("show", POLICY, "--at", "2024-06-10", "--json").output)
    rows = {row["name"]: row for row in told["policies"][0]["rows"]}
    assert not rows["unsupported-region"]["in_force"]
    assert told["changes"][0] == {
        "at": "2024-06-25T00:00:00+00:00",
        "what": "default: unsupported-region warns",
    }


LISTS = {
    # a list that is made of [UA, JP], what is shown, what scripts are told
    "{union: [a]}": ("s (2): JP UA", {"codes": ["JP", "UA"], "without": []}),
    "{union: [a], minus: [b]}": (
        "s (2): JP UA without UA-40 UA-43",
        {"codes": ["JP", "UA"], "without": ["UA-40", "UA-43"]},
    ),
    "{union: [a], minus: [a]}": ("s (0): nothing", {"codes": [], "without": []}),
}


@pytest.mark.parametrize("written", LISTS)
def test_what_is_taken_out_of_a_list_is_shown(folder: Path, written: str) -> None:
    """A country that stands on a list need not be on it whole."""
    regions = f"regions: {{a: [UA, JP], b: [UA-43, UA-40], s: {written}}}\n"
    path = folder / "lists.yaml"
    path.write_text(f"{regions}{MISTAKE.replace('maybe', 'allow')}", encoding="utf-8")
    line, told = LISTS[written]
    assert f"  {line}" in run("show", path).output.splitlines()
    assert json.loads(run("show", path, "--json").output)["regions"]["s"] == told


# ----------------------------------------------------------------------------------- policy diff


def test_without_cases_everywhere_is_compared(folder: Path) -> None:
    """What was tried, and what that does not hold, is said before the result."""
    result = run("diff", folder / "old.yaml", folder / "new.yaml", "--at", "2024-08-01")
    assert result.exit_code == NO
    assert result.output.splitlines() == [
        (
            "tried: every country, 0 subdivisions that are named, and no known country; no key, an"
            " unknown and an active one; at 2024-08-01"
        ),
        "not held by what was tried, and taken as empty: request.headers (read by default/beta)",
        "3 of 759 decisions flip",
        "",
        "policy default: allow (otherwise) → deny (embargoed): 3",
        "  active key: 1 (KP)",
        "  no key: 1 (KP)",
        "  unknown key: 1 (KP)",
    ]


def test_a_policy_does_not_differ_from_itself() -> None:
    """Nothing flips, and the command ends with 0."""
    result = run("diff", POLICY, POLICY)
    assert result.exit_code == FINE
    assert result.output.splitlines()[-1].startswith("0 of ")


def test_cases_are_compared(folder: Path) -> None:
    """The facts of a table are decided by both policies, whatever it expects."""
    result = run("diff", *_both(folder), "--cases", folder / "cases.yaml", "--json")
    told = json.loads(result.output)
    assert (told["decisions"], told["flipped"], told["not_held"]) == (2, 1, [])
    assert told["flips"] == [
        {
            "policy": "default",
            "old": {
                "verdict": "allow",
                "policy_verdict": "allow",
                "rule": "",
                "reason": "otherwise",
            },
            "new": {
                "verdict": "deny",
                "policy_verdict": "deny",
                "rule": "embargoed",
                "reason": "embargo",
            },
            "country": "KP",
            "key": "no key",
            "org": "",
            "count": 1,
            "examples": ["North Korea"],
        }
    ]


def test_decisions_are_compared_line_by_line(folder: Path) -> None:
    """Flips are counted by key and country; lines that cannot be used are told."""
    acme = {"id": "acme", "org": "a", "status": "active"}
    path = log(
        folder,
        record("KP", key=acme),
        "rubbish",
        record("KP", key=acme),
        record("KP"),
        record("IR", verdict="allow"),
        '{"verdict": "error"}',
    )
    result = run("diff", *_both(folder), "--decisions", path)
    assert result.exit_code == NO
    assert result.output.splitlines() == [
        f"tried: the decisions in {path}",
        "not held by what was tried, and taken as empty: request.headers (read by default/beta)",
        "2 lines could not be used",
        (
            "  line 2: expected JSON (unexpected character, expected a JSON value: line 1 column 1"
            " (char 0))"
        ),
        "  line 6: holds no facts: the Check could not be read or judged",
        (
            "1 decisions are not what the old policy decides on what is recorded: another policy"
            " was in force, or something that is not recorded mattered"
        ),
        "3 of 4 decisions flip",
        "",
        "policy default: allow (otherwise) → deny (embargoed): 3",
        "  acme of organisation a: 2 (KP 2)",
        "  no key: 1 (KP)",
    ]


def test_keys_of_a_log_are_looked_up(tmp_path: Path) -> None:
    """The key's countries and exemptions are in the key file, and in no record."""
    production = {"id": "northwind-production", "org": "northwind", "status": "active"}
    europe = {"id": "northwind-europe", "org": "northwind", "status": "active"}
    path = log(tmp_path, record("HK", key=production), record("US", "deny", key=europe))
    arguments = ["diff", POLICY, POLICY, "--decisions", path, "--json"]
    alone = json.loads(run(*arguments).output)
    looked_up = json.loads(run(*arguments, "--keys", KEYS).output)
    assert (alone["not_reproduced"], looked_up["not_reproduced"]) == (2, 0)


def test_an_organisation_that_a_record_lacks_is_looked_up(folder: Path) -> None:
    """Whoever is to be written to is named where anything knows them."""
    path = log(folder, record("KP", key={"id": "northwind-europe", "status": "active"}))
    arguments = ["diff", *_both(folder), "--decisions", path, "--json"]
    known = [json.loads(run(*arguments, *more).output) for more in ([], ["--keys", KEYS])]
    assert [told["flips"][0]["org"] for told in known] == ["", "northwind"]


def test_a_log_is_read_from_standard_input() -> None:
    """So that one that is compressed need not be unpacked first."""
    arguments = [sys.executable, "-m", "regiongate", "policy", "diff", str(POLICY), str(POLICY)]
    line = json.dumps(record("FR")).encode()
    done = subprocess.run(
        [*arguments, "--decisions", "-"], input=line, capture_output=True, check=True
    )
    assert done.stdout.decode().splitlines()[-1] == "0 of 1 decisions flip"


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_long_log_is_shortened_for_people_alone(folder: Path, more: list[str]) -> None:
    """The first lines that cannot be used and the keys most affected are shown."""
    keys = [{"id": f"k{n:02}", "status": "active"} for n in range(30)]
    path = log(folder, *[""] * 12, *(record("KP", key=key) for key in keys))
    output = run("diff", *_both(folder), "--decisions", path, *more).output
    if more:
        told = json.loads(output)
        assert (told["unreadable"], len(told["first_unreadable"])) == (12, 10)
        assert len(told["flips"]) == 30
    else:
        assert output.splitlines()[-1] == "  10 more keys: 10; --json names them all"


DATED = NEW.replace(
    "deny: {reason: embargo}}",
    "deny: {reason: embargo}, phases: {warn: 2024-09-01T00:00:00Z, enforce: 2024-10-01T00:00:00Z}}",
)
NOT_REACHED = (
    "at any moment that was tried: pass --at 2024-10-01, when enforce, its last phase, begins"
)
TRIED: dict[str, tuple[list[str], list[str], int]] = {
    # the moment, what is said of the rule, how the command ends
    "before its first date": ([], [f"default/embargoed has not begun {NOT_REACHED}"], FINE),
    "while it warns": (
        ["--at", "2024-09-15"],
        [f"default/embargoed is no further than warn {NOT_REACHED}"],
        NO,
    ),
    "once it is enforced": (["--at", "2024-10-01"], [], NO),
}


@pytest.fixture(name="dated")
def _dated(folder: Path) -> list[Path]:
    """A policy without rules, and one whose rule is to come."""
    written = {"nothing": MISTAKE.replace("maybe", "allow"), "dated": DATED}
    for name, text in written.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return [folder / f"{name}.yaml" for name in written]


@pytest.mark.parametrize(("at", "said", "code"), TRIED.values(), ids=TRIED)
@pytest.mark.parametrize("tried", ["decisions", "cases"])
def test_a_rule_that_was_not_tried_as_it_will_be_is_named(  # noqa: PLR0913, PLR0917 what is tried and told
    folder: Path, dated: list[Path], tried: str, at: list[str], said: list[str], code: int
) -> None:
    """With the date to pass: that no past decision flips says nothing of what is to come."""
    on = {"decisions": log(folder, record("IR")), "cases": folder / "cases.yaml"}
    result = run("diff", *dated, f"--{tried}", on[tried], *at)
    assert [line for line in result.output.splitlines() if "--at" in line] == said
    assert result.exit_code == code


def test_a_rule_that_was_not_tried_is_named_without_decisions_too(dated: list[Path]) -> None:
    """Everything is tried at one moment, at which it has not begun."""
    told = json.loads(run("diff", *dated, "--at", "2024-08-01", "--json").output)
    assert told["flipped"] == 0
    assert told["not_reached"] == [
        {
            "rule": "default/embargoed",
            "reached": None,
            "phase": "enforce",
            "begins": "2024-10-01T00:00:00+00:00",
        }
    ]


def _both(folder: Path) -> list[Path]:
    return [folder / "old.yaml", folder / "new.yaml"]


# ---------------------------------------------------------------------- the shipped files, schema


@pytest.mark.parametrize("kind", ["policy", "config", "keys", "cases"])
def test_a_schema_is_printed(kind: str) -> None:
    """As an editor takes it."""
    result = run("schema", kind)
    assert result.exit_code == FINE
    assert json.loads(result.output)["$schema"].endswith("2020-12/schema")


def test_the_examples_are_valid_once_there_is_a_database(tmp_path: Path) -> None:
    """Without a warning: nothing in them is most likely not meant."""
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    city_database(folder / "city.mmdb", built=datetime.now(UTC).replace(microsecond=0))
    arguments = ["validate", "-c", str(folder / "regiongate.yaml"), "--json"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert json.loads(result.output) == {"valid": True, "problems": [], "warnings": []}


def test_lint_finds_nothing_in_the_shipped_policy() -> None:
    """It ships as it is meant."""
    assert lint(files.policies(POLICY), AT, subdivisions=True) == []


def test_the_commands_agree_with_the_decision(folder: Path) -> None:
    """A table written of what one policy decides fails exactly where a diff flips."""
    old, new = files.policies(folder / "old.yaml"), files.policies(folder / "new.yaml")
    written = []
    for trial in everywhere(old, new, AT):
        decision = decide(old, trial.policy, trial.facts, trial.at)
        decided = cases.decided(old, decision)
        key = {"presented": trial.facts.key.presented, "found": trial.facts.key.found}
        written.append(
            {
                "name": trial.name,
                "given": {
                    **source_record(Located.of(trial.facts.source)),
                    "key": key,
                    "policy": trial.policy,
                },
                "expect": {name: decided[name] for name in ("verdict", "policy_verdict")},
            }
        )
    table = folder / "everywhere.yaml"
    defaults = {"at": AT.isoformat()}
    table.write_text(json.dumps({"version": 1, "defaults": defaults, "cases": written}))
    tested = json.loads(run("test", table, "--policy-file", folder / "new.yaml", "--json").output)
    diffed = json.loads(run("diff", *_both(folder), "--cases", table, "--json").output)
    everything = json.loads(run("diff", *_both(folder), "--at", AT.isoformat(), "--json").output)
    failed = [case["name"] for case in tested["cases"] if not case["passed"]]
    assert tested["failed"] == diffed["flipped"] == everything["flipped"] == 3
    assert sorted(failed) == [name for flip in diffed["flips"] for name in flip["examples"]]
