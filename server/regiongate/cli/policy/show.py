"""`regiongate policy show`: the precedence table, what is in force, and what changes when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import orjson

from regiongate.cli import options
from regiongate.cli.policy import files
from regiongate.policy import PolicySet
from regiongate.policy.precedence import Change, Table, changes, moment, tables
from regiongate.policy.regions import RegionList

_LISTED: Final = 12
"""How many codes of a region list are shown."""


@click.command()
@click.argument("policy_file", type=files.PATH, required=False)
@click.option(
    "--at",
    type=options.moment,
    metavar="MOMENT",
    help="The moment to look at, UTC without an offset; now when left out.",
)
@click.option("--keys", type=files.PATH, help="A key file, to list when its exemptions end.")
@options.configuration
@options.as_json
def show(
    policy_file: Path | None,
    at: datetime | None,
    keys: Path | None,
    config: Path,
    *,
    as_json: bool,
) -> None:
    """Write a policy down as a person would: every rule, its effect, its dates."""
    now = at or datetime.now(UTC).replace(microsecond=0)
    policies = files.policies(policy_file or files.configured_policy(config))
    held = files.exemptions(files.keys(keys)) if keys else []
    coming = changes(policies, held, now)
    if as_json:
        written = {
            "at": now,
            "policies": tables(policies, now),
            "regions": {name: _as_json(one) for name, one in policies.regions.items()},
            "changes": coming,
        }
        click.echo(orjson.dumps(written, option=orjson.OPT_INDENT_2))
    else:
        click.echo("\n".join(_lines(policies, coming, now)))


def _lines(policies: PolicySet, coming: list[Change], now: datetime) -> Iterator[str]:
    yield f"at {moment(now)} (every date is in UTC)"
    for table in tables(policies, now):
        yield ""
        yield from _table(table)
    yield from ("", "region lists")
    for name, regions in policies.regions.items():
        without = f" without {_listed(regions.without)}" if regions.without else ""
        yield f"  {name} ({len(regions.codes)}): {_listed(regions.codes)}{without}"
    yield from ("", "what changes when")
    yield from (f"  {moment(change.at)}  {change.what}" for change in coming)
    if not coming:
        yield "  nothing"


def _listed(codes: frozenset[str]) -> str:
    more = f" and {len(codes) - _LISTED} more" if len(codes) > _LISTED else ""
    return f"{' '.join(sorted(codes)[:_LISTED])}{more}" or "nothing"


def _as_json(regions: RegionList) -> dict[str, list[str]]:
    return {"codes": sorted(regions.codes), "without": sorted(regions.without)}


def _table(table: Table) -> Iterator[str]:
    shadow = " (in shadow, nothing is enforced: everything passes)" if table.shadow else ""
    yield f"policy {table.policy}{shadow}"
    for row in table.rows:
        yield f"  {row.number:>2}. {row.name}: {row.state}"
        yield f"      when {row.when}"
        yield f"      {row.effect}"
    yield f"   -. otherwise {table.otherwise}"
