"""`regiongate keys exempt`: let a key or an organisation pass a rule, for a reason and a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import orjson

from regiongate.cli import options
from regiongate.cli.keys import access, fields
from regiongate.cli.keys.access import Access
from regiongate.documents import DocumentError, check, resembling
from regiongate.keys import entries
from regiongate.keys.entries import ExemptionModel, KeyModel, OrganisationModel
from regiongate.keys.register import Note, change_key, change_organisation
from regiongate.policy.exemptions import EVERY_RULE
from regiongate.policy.schema import PolicyFile
from regiongate.runtime import config as configuration


@click.command()
@click.argument("id")
@access.change
@click.option("--org", "of_organisation", is_flag=True, help="ID is an organisation's.")
@click.option("--exemption", required=True, metavar="NAME", help="What decisions name it by.")
@click.option("--remove", is_flag=True, help="Take this exemption away.")
@click.option("--rule", help='The rule that it lifts, or "*".')
@click.option("--ticket", help="Where it was asked for.")
@click.option("--approved-by", help="Who answers for it.")
@click.option("--ends", metavar="MOMENT", help="From when it lifts nothing more.")
@click.option("--begins", metavar="MOMENT", help="From when it counts.")
@click.option("--countries", metavar="CODES", help="Where it counts; everywhere if left out.")
@options.as_json
def exempt(  # noqa: PLR0913 an option each
    store: Access,
    note: Note,
    *,
    id: str,  # noqa: A002 it is what it is called
    of_organisation: bool,
    exemption: str,
    remove: bool,
    countries: str | None,
    as_json: bool,
    **said: Any,
) -> None:
    """Exempt the key called ID from a rule.

    An exemption of the same name is replaced. --why, --rule, --ticket, --approved-by and --ends
    are what it must have.
    """
    written = {name: value for name, value in said.items() if value is not None}
    if countries is not None:
        written["countries"] = countries.replace(",", " ").split()
    new = [] if remove else [{"id": exemption, "why": note.why, **written}]
    _expect_order(written)

    def exempted(entry: KeyModel | OrganisationModel) -> dict[str, Any]:
        before: dict[str, Any] = orjson.loads(entries.write(entry))
        held = before.get("exemptions", [])
        others = [one for one in held if one["id"] != exemption]
        if remove and len(others) == len(held):
            access.fail(f"{id}: expected an exemption called {exemption}")
        return {**before, "exemptions": [*others, *new]}

    edited = (
        change_organisation(store.register, id, lambda it: fields.organisation(exempted(it)), note)
        if of_organisation
        else change_key(store.register, id, lambda it: fields.key(exempted(it)), note)
    )
    if edited is None:
        kind = "an organisation" if of_organisation else "a key"
        access.fail(f"{id}: expected {kind} that is there")
    for one in edited.entry.exemptions:
        if one.id == exemption:
            _warn_of(one, store.policy, note.at)
    if as_json:
        access.print_edited(edited)
    elif not edited.changed:
        access.say_unchanged(id)
    else:
        count = len(edited.entry.exemptions)
        click.echo(f"{id}: {count} exemption{'s' * (count != 1)}", err=True)


def _expect_order(written: Mapping[str, Any]) -> None:
    """Refuse an exemption that would end before it begins.

    Raises:
        click.UsageError: it would.
    """
    if not {"begins", "ends"} <= written.keys():
        return
    try:
        begins, ends = (datetime.fromisoformat(written[one]) for one in ("begins", "ends"))
    except ValueError:
        return  # What it should be is said with everything else.
    if begins.tzinfo and ends.tzinfo and begins >= ends:
        raise click.UsageError(f"--ends: expected a moment after --begins (got {written['ends']})")


def _warn_of(exemption: ExemptionModel, policy: Path | None, now: datetime) -> None:
    if exemption.ends <= now:
        access.warn(f"--ends: {exemption.ends.isoformat()} is over: it lifts nothing any more")
    rules = _rules(policy) if policy else None
    if rules is None or exemption.rule in {EVERY_RULE, *rules}:
        return
    meant = resembling(exemption.rule, rules)
    access.warn(f"--rule: no rule of {policy} is called {exemption.rule}{meant}")


def _rules(path: Path) -> set[str] | None:
    """Return the names of a policy's rules; None where it cannot be read."""
    try:
        written = check(configuration.document(path), PolicyFile)
    except DocumentError:
        return None
    return {rule.name for policy in written.policies.values() for rule in policy.rules}
