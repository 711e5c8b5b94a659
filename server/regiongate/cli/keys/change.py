"""`regiongate keys set, suspend, reinstate, revoke`: change what is known about a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import orjson

from regiongate.cli import options
from regiongate.cli.keys import access, fields
from regiongate.cli.keys.access import Access
from regiongate.keys import entries, status
from regiongate.keys.entries import KeyModel
from regiongate.keys.record import Status
from regiongate.keys.register import Note, change_key


@click.command("set")
@click.argument("id")
@access.change
@fields.of_key
@fields.clear(KeyModel)
@options.as_json
def set_(
    store: Access,
    note: Note,
    *,
    id: str,  # noqa: A002 it is what it is called
    cleared: tuple[str, ...],
    as_json: bool,
    **said: Any,
) -> None:
    """Say something else about the key called ID; what is not named stays."""
    changes = fields.given(said)
    fields.expect_change(changes, cleared)

    def edit(key: KeyModel) -> KeyModel:
        before = orjson.loads(entries.write(key))
        return fields.key(fields.changed(before, changes, cleared))

    _change(store, note, id, edit, as_json=as_json)


@click.command()
@click.argument("id")
@access.change
@options.as_json
def suspend(
    store: Access,
    note: Note,
    *,
    id: str,  # noqa: A002 likewise
    as_json: bool,
) -> None:
    """Suspend the key called ID, until it is reinstated."""
    _change(store, note, id, status.setting(Status.SUSPENDED, note), as_json=as_json)


@click.command()
@click.argument("id")
@access.change
@options.as_json
def reinstate(
    store: Access,
    note: Note,
    *,
    id: str,  # noqa: A002 likewise
    as_json: bool,
) -> None:
    """Make the key called ID active again, and forget its strikes."""
    edit = status.setting(Status.ACTIVE, note)
    _change(store, note, id, edit, as_json=as_json, forgive=True)


@click.command()
@click.argument("id")
@access.change
@options.as_json
def revoke(
    store: Access,
    note: Note,
    *,
    id: str,  # noqa: A002 likewise
    as_json: bool,
) -> None:
    """Revoke the key called ID, for good."""
    _change(store, note, id, status.setting(Status.REVOKED, note), as_json=as_json)


def _change(  # noqa: PLR0913 what a change is made of
    store: Access,
    note: Note,
    id: str,  # noqa: A002 likewise
    edit: Callable[[KeyModel], KeyModel],
    *,
    as_json: bool,
    forgive: bool = False,
) -> None:
    try:
        edited = change_key(store.register, id, edit, note, forgive=forgive)
    except status.Refused as refused:
        access.fail(str(refused))
    if edited is None:
        access.fail(f"{id}: expected a key that is there")
    if as_json:
        access.print_edited(edited)
    elif edited.changed:
        click.echo(f"{id}: {edited.entry.status}", err=True)
    elif forgive:
        click.echo(f"{id}: it was so already; its strikes are forgotten", err=True)
    else:
        access.say_unchanged(id)
