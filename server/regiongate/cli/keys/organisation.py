"""`regiongate keys org …`: what the keys of an organisation have in common."""

from __future__ import annotations

from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from regiongate.cli import options
from regiongate.cli.keys import access, fields
from regiongate.cli.keys.access import Access
from regiongate.cli.keys.look import print_fields
from regiongate.keys import entries
from regiongate.keys.entries import OrganisationModel
from regiongate.keys.register import Change, Kind, Note, change_organisation


@click.group()
def org() -> None:
    """Organisations: what their keys inherit and may only narrow."""


@org.command()
@click.argument("id")
@access.addition
@fields.of_organisation
@options.as_json
def add(
    store: Access,
    note: Note,
    *,
    id: str,  # noqa: A002 it is what it is called
    as_json: bool,
    **said: Any,
) -> None:
    """Add an organisation called ID."""
    entry = fields.organisation(fields.given(said), id)
    change = Change(kind=Kind.ORGANISATION, id=id, revision=0, entry=entry)
    store.register.commit([change], note)
    if as_json:
        access.print_json({"id": id, **orjson.loads(entries.write(entry))})
    else:
        click.echo(f"organisation {id} is set", err=True)


@org.command("set")
@click.argument("id")
@access.change
@fields.of_organisation
@fields.clear(OrganisationModel)
@options.as_json
def set_(
    store: Access,
    note: Note,
    *,
    id: str,  # noqa: A002 likewise
    cleared: tuple[str, ...],
    as_json: bool,
    **said: Any,
) -> None:
    """Say something else about the organisation called ID; it holds for all its keys."""
    changes = fields.given(said)
    fields.expect_change(changes, cleared)

    def edit(entry: OrganisationModel) -> OrganisationModel:
        before = orjson.loads(entries.write(entry))
        return fields.organisation(fields.changed(before, changes, cleared))

    edited = change_organisation(store.register, id, edit, note)
    if edited is None:
        access.fail(f"{id}: expected an organisation that is there")
    if as_json:
        access.print_edited(edited, id=id)
    elif edited.changed:
        click.echo(f"organisation {id} is set", err=True)
    else:
        access.say_unchanged(f"organisation {id}")


@org.command()
@click.argument("id")
@access.change
@options.as_json
def remove(
    store: Access,
    note: Note,
    *,
    id: str,  # noqa: A002 likewise
    as_json: bool,
) -> None:
    """Remove the organisation called ID, which must have no keys."""
    kept = store.register.organisation(id)
    if kept is None:
        access.fail(f"{id}: expected an organisation that is there")
    change = Change(kind=Kind.ORGANISATION, id=id, revision=kept.revision, entry=None)
    store.register.commit([change], note)
    if as_json:
        access.print_json({"id": id, "removed": True})
    else:
        click.echo(f"{id}: removed", err=True)


@org.command()
@click.argument("id")
@access.command
@options.as_json
def show(
    store: Access,
    *,
    id: str,  # noqa: A002 likewise
    as_json: bool,
) -> None:
    """Show all that is known about the organisation called ID."""
    kept = store.register.organisation(id)
    if kept is None:
        access.fail(f"{id}: expected an organisation that is there")
    shown = {"id": id, **orjson.loads(entries.write(kept.entry))}
    if as_json:
        access.print_json(shown)
    else:
        print_fields(shown)


@org.command("list")
@access.command
@options.as_json
def list_(store: Access, *, as_json: bool) -> None:
    """List the organisations. With --json, one a line."""
    found = ({"id": id_, **orjson.loads(one)} for id_, one in store.register.every_organisation())
    if as_json:
        for one in found:
            click.echo(orjson.dumps(one))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("id", "name", "plan"):
        table.add_column(heading)
    for one in found:
        table.add_row(*(str(one.get(name, "")) for name in ("id", "name", "plan")))
    Console(highlight=False, soft_wrap=True).print(table)
