"""`regiongate keys exempt`: let a key or an organisation pass a rule, for a reason and a time."""

from __future__ import annotations

from typing import Any

import click
import orjson

from regiongate.cli import options
from regiongate.cli.keys import access, fields
from regiongate.cli.keys.access import Access
from regiongate.keys import entries
from regiongate.keys.entries import KeyModel, OrganisationModel
from regiongate.keys.register import Note, change_key, change_organisation


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

    def edited(entry: KeyModel | OrganisationModel) -> dict[str, Any]:
        before: dict[str, Any] = orjson.loads(entries.write(entry))
        held = before.get("exemptions", [])
        others = [one for one in held if one["id"] != exemption]
        if remove and len(others) == len(held):
            access.fail(f"{id}: expected an exemption called {exemption}")
        return {**before, "exemptions": [*others, *new]}

    changed = (
        change_organisation(store.register, id, lambda it: fields.organisation(edited(it)), note)
        if of_organisation
        else change_key(store.register, id, lambda it: fields.key(edited(it)), note)
    )
    if changed is None:
        kind = "an organisation" if of_organisation else "a key"
        access.fail(f"{id}: expected {kind} that is there")
    if as_json:
        access.print_json(orjson.loads(entries.write(changed)))
    else:
        count = len(changed.exemptions)
        click.echo(f"{id}: {count} exemption{'s' * (count != 1)}", err=True)
