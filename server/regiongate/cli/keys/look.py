"""`regiongate keys list, show, history`: what is known, and how it came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from regiongate.cli import options
from regiongate.cli.keys import access
from regiongate.cli.keys.access import Access
from regiongate.countries import is_code, meant
from regiongate.keys import entries
from regiongate.keys.record import EXPIRED, Status
from regiongate.keys.register import Kept, Note, Recorded


def _code(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    if text is not None and not is_code(text):
        expected = f"expected an ISO 3166 code such as FR or UA-43 (got {text!r}){meant(text)}"
        raise click.BadParameter(expected)
    return text


@click.command("list")
@access.command
@click.option("--org", help="Of this organisation.")
@click.option(
    "--status",
    type=click.Choice([*(one.value for one in Status), EXPIRED]),
    help="Of this status, now.",
)
@click.option("--plan", help="Of this plan, the organisation's included.")
@click.option("--label", metavar="NAME=VALUE", help="With this label, likewise.")
@click.option(
    "--country", metavar="CODE", callback=_code, help="Whose own lists name this country."
)
@click.option("--exempt", is_flag=True, help="With an exemption of their own.")
@click.option("--limit", type=click.IntRange(min=1), help="So many at most.")
@options.as_json
def list_(store: Access, *, limit: int | None, as_json: bool, **wanted: Any) -> None:
    """List keys: all of them, or those that fit every option. With --json, one a line."""
    now = datetime.now(UTC)
    profiles = {id_: _inherited(one) for id_, one in store.register.every_organisation()}
    keys = _keys(store, now)
    every = ((key, _whole(key, profiles.get(key.get("org", ""), {}))) for key in keys)
    found = islice((pair for pair in every if _fits(*pair, wanted)), limit)
    if as_json:
        for key, _ in found:
            click.echo(orjson.dumps(key))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("id", "key", "org", "status", "plan", "expires"):
        table.add_column(heading)
    for _, key in found:
        names = ("id", "display", "org", "status", "plan", "expires")
        table.add_row(*(str(key.get(name, "")) for name in names))
    Console(highlight=False, soft_wrap=True).print(table)


def _keys(store: Access, now: datetime) -> Iterator[dict[str, Any]]:
    for kept in store.register.every_key():
        key: dict[str, Any] = orjson.loads(kept)
        yield {**key, "status": _status(key, now)}


def _inherited(organisation: bytes) -> dict[str, Any]:
    """Return what keys of an organisation are searched for by as if it were their own."""
    known: dict[str, Any] = orjson.loads(organisation)
    return {name: known[name] for name in ("plan", "labels") if name in known}


def _whole(key: Mapping[str, Any], inherited: Mapping[str, Any]) -> dict[str, Any]:
    """Return what holds for a key, with what its organisation says."""
    labels = {**inherited.get("labels", {}), **key.get("labels", {})}
    return {**inherited, **key, "labels": labels}


def _status(key: Mapping[str, Any], now: datetime) -> str:
    """Say how a key stands; expired is what the clock says of one that is not revoked."""
    status, expires = key.get("status", Status.ACTIVE), key.get("expires")
    over = expires is not None and datetime.fromisoformat(expires) <= now
    return EXPIRED if over and status != Status.REVOKED else str(status)


def _fits(own: Mapping[str, Any], whole: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether a key fits.

    Args:
        own: what is said of the key.
        whole: what holds for it, with what its organisation says.
        wanted: the options.
    """
    for name in ("org", "status", "plan"):
        if wanted[name] is not None and whole.get(name, "") != wanted[name]:
            return False
    if wanted["label"] is not None:
        name, _, value = wanted["label"].partition("=")
        if whole.get("labels", {}).get(name) != value:
            return False
    if wanted["country"] is not None and wanted["country"] not in _countries(own):
        return False
    return not wanted["exempt"] or bool(own.get("exemptions"))


def _countries(key: Mapping[str, Any]) -> set[str]:
    lists = ("allowed_countries", "denied_countries", "ownership_countries")
    single = ("home_country", "billing_country", "hq_country")
    return {code for name in lists for code in key.get(name, ())} | {
        key[name] for name in single if name in key
    }


@click.command()
@click.argument("id", required=False)
@access.command
@click.option("--key", "given", is_flag=True, help="Ask for the key, or read standard input.")
@click.option("--key-file", type=click.File(), help="A file that holds the key.")
@options.as_json
def show(
    store: Access,
    *,
    id: str | None,  # noqa: A002 it is what it is called
    given: bool,
    key_file: Any,
    as_json: bool,
) -> None:
    """Show all that is known about the key called ID, or about a key itself."""
    key = access.read_key(given=given, file=key_file)
    if (id is None) == (key is None):
        raise click.UsageError("expected either ID or a key")
    kept = store.register.key(id) if id is not None else _find(store, key or "")
    if kept is None:
        access.fail(f"{id or 'the key'}: expected a key that is there")
    shown = orjson.loads(entries.write(kept.entry))
    shown["status"] = _status(shown, datetime.now(UTC))
    if kept.entry.org is not None:
        organisation = store.register.organisation(kept.entry.org)
        inherited = orjson.loads(entries.write(organisation.entry)) if organisation else None
        shown["organisation"] = inherited
    if as_json:
        access.print_json(shown)
    else:
        print_fields(shown)


def _find(store: Access, key: str) -> Kept[entries.KeyModel] | None:
    digests = store.digester.digests(key.encode())
    return next((kept for one in digests if (kept := store.register.key_of(one))), None)


def print_fields(values: Mapping[str, Any], indent: str = "") -> None:
    """Print fields, one a line."""
    for name, value in values.items():
        if isinstance(value, dict) and name in {"organisation", "evidence"}:
            click.echo(f"{indent}{name}:")
            print_fields(value, f"{indent}  ")
        else:
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            click.echo(f"{indent}{name}: {text}")


@click.command()
@click.argument("id", default="")
@access.change
@click.option(
    "--prune-before",
    metavar="MOMENT",
    type=options.moment,
    help="Forget what was changed before, of every key, and record that; UTC without an offset.",
)
@options.as_json
def history(
    store: Access,
    note: Note,
    *,
    id: str,  # noqa: A002 likewise
    prune_before: datetime | None,
    as_json: bool,
) -> None:
    """Show every change of the key or organisation called ID, or of all; the oldest first."""
    if prune_before is not None:
        _prune(store, note, id, prune_before, as_json=as_json)
        return
    found = False
    for recorded in store.register.history(id):
        found = True
        if as_json:
            click.echo(orjson.dumps(_as_json(recorded)))
        else:
            note = recorded.note
            why = f" ({note.why})" if note.why else ""
            subject = f"{recorded.kind} {recorded.id}"
            click.echo(f"{note.at:%Y-%m-%d %H:%M:%S} {note.who} {note.what} {subject}{why}")
            for name, (before, after) in _differences(recorded).items():
                click.echo(f"    {name}: {_text(before)} -> {_text(after)}")
    if id and not found:
        access.fail(f"{id}: expected a key or an organisation with a history")


def _prune(
    store: Access,
    note: Note,
    id: str,  # noqa: A002 likewise
    before: datetime,
    *,
    as_json: bool,
) -> None:
    if id:
        raise click.UsageError("expected either ID or --prune-before")
    if before > note.at:
        raise click.BadParameter(
            f"expected a moment that has passed (got {before.isoformat()})",
            param_hint="--prune-before",
        )
    forgotten = store.register.prune(before, replace(note, what="prune"))
    if as_json:
        access.print_json({"forgotten": forgotten})
    else:
        changes = "1 change is" if forgotten == 1 else f"{forgotten} changes are"
        click.echo(f"{changes} forgotten", err=True)


def _as_json(recorded: Recorded) -> dict[str, Any]:
    note = recorded.note
    return {
        "number": recorded.number,
        "at": note.at.isoformat(),
        "who": note.who,
        "what": note.what,
        "why": note.why,
        "kind": recorded.kind,
        "id": recorded.id,
        "changes": {
            name: {"before": before, "after": after}
            for name, (before, after) in _differences(recorded).items()
        },
    }


def _differences(recorded: Recorded) -> dict[str, tuple[Any, Any]]:
    before, after = _fields(recorded.before), _fields(recorded.after)
    names = dict.fromkeys((*before, *after))
    return {
        name: (before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    }


def _fields(kept: bytes) -> dict[str, Any]:
    if not kept:
        return {}
    fields: dict[str, Any] = orjson.loads(kept)
    # What is not said of a key is that it is active.
    return {"status": Status.ACTIVE, **fields} if "digest" in fields else fields


def _text(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else orjson.dumps(value).decode()
