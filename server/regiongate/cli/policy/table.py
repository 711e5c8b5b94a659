"""`regiongate policy test`: does a policy decide what its table says?"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click
import orjson

from regiongate.cli import options
from regiongate.cli.policy import files
from regiongate.policy import PolicySet, cases
from regiongate.policy.cases import Mismatch, Outcome


@click.command("test")
@click.argument("table", type=files.PATH, metavar="CASES")
@click.option("--policy-file", type=files.PATH, help="The policy; the configured one if left out.")
@options.configuration
@options.as_json
def run_table(table: Path, policy_file: Path | None, config: Path, *, as_json: bool) -> None:
    """Decide every case of a table; exit 1 when one is not decided as expected."""
    policies = files.policies(policy_file or files.configured_policy(config))
    outcomes = [cases.run(policies, case) for case in files.table(table)]
    failed = [outcome for outcome in outcomes if outcome.mismatches]
    if as_json:
        click.echo(orjson.dumps(_as_json(policies, outcomes), option=orjson.OPT_INDENT_2))
    else:
        _print(table, policies, outcomes)
    sys.exit(bool(failed))


def _as_json(policies: PolicySet, outcomes: list[Outcome]) -> dict[str, Any]:
    passed = Counter(not outcome.mismatches for outcome in outcomes)
    return {
        "passed": passed[True],
        "failed": passed[False],
        "untried_rules": [f"{policy}/{rule}" for policy, rule in cases.untried(policies, outcomes)],
        "cases": [
            {
                "name": outcome.case.name,
                "line": outcome.case.line,
                "passed": not outcome.mismatches,
                "decision": cases.decided(policies, outcome.decision),
                "mismatches": outcome.mismatches,
            }
            for outcome in outcomes
        ],
    }


def _print(table: Path, policies: PolicySet, outcomes: list[Outcome]) -> None:
    failed = [outcome for outcome in outcomes if outcome.mismatches]
    for outcome in failed:
        click.echo(f"{table}:{outcome.case.line}: {outcome.case.name}")
        for mismatch in outcome.mismatches:
            click.echo(f"  {_mismatch(mismatch)}")
    if untried := cases.untried(policies, outcomes):
        rules = ", ".join(f"{policy}/{rule}" for policy, rule in untried)
        click.echo(f"no case is decided by {rules}")
    passed = len(outcomes) - len(failed)
    click.echo(f"{len(outcomes)} cases: {passed} passed, {len(failed)} failed")


def _mismatch(mismatch: Mismatch) -> str:
    def said(value: str | int | None) -> str:
        return "none" if value in (None, "") else str(value)

    return f"{mismatch.field}: expected {said(mismatch.expected)}, got {said(mismatch.got)}"
