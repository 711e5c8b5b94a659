"""`regiongate keys add`: make a key known, a new one or one that somebody has."""

from __future__ import annotations

from typing import Any

import click
import orjson

from regiongate.cli import options
from regiongate.cli.keys import access, fields
from regiongate.cli.keys.access import Access
from regiongate.keys import entries, extraction, minting
from regiongate.keys.register import Change, Kind, Note


@click.command()
@click.argument("id")
@access.addition
@click.option("--key", "given", is_flag=True, help="Ask for the key, or read standard input.")
@click.option("--key-file", type=click.File(), help="A file that holds the key.")
@click.option("--digest", help="The digest of the key, as sha256:… or hmac-sha256:…")
@fields.of_key
@options.as_json
def add(  # noqa: PLR0913 an option each
    store: Access,
    note: Note,
    *,
    id: str,  # noqa: A002 it is what it is called
    given: bool,
    key_file: Any,
    digest: str | None,
    as_json: bool,
    **said: Any,
) -> None:
    """Add a key called ID.

    Without a key or its digest a new one is made and printed, once: it is kept nowhere.
    """
    if (given, key_file is not None, digest is not None).count(True) > 1:
        raise click.UsageError("expected one of --key, --key-file and --digest at most")
    presented = access.read_key(given=given, file=key_file)
    minted = minting.mint() if presented is None and digest is None else None
    key = presented if minted is None else minted
    about = {"id": id, "created": note.at.isoformat(), **_known_by(store, key, digest)}
    entry = fields.key({**about, **fields.given(said)})
    change = Change(kind=Kind.KEY, id=id, revision=0, entry=entry)
    store.register.commit([change], note)
    if as_json:
        shown = {"key": minted} if minted else {}
        access.print_json({**orjson.loads(entries.write(entry)), **shown})
    elif minted:
        click.echo(f"added {id} to {store.name}; the key, shown this once:", err=True)
        click.echo(minted)
    else:
        click.echo(f"added {id} to {store.name}", err=True)


def _known_by(store: Access, key: str | None, digest: str | None) -> dict[str, str]:
    if key is None:
        try:
            store.digester.read(digest or "")
        except ValueError as error:
            access.fail(f"--digest: {error}", access.USAGE)
        return {"digest": digest or ""}
    if not key:
        access.fail("expected a key, got nothing", access.USAGE)
    if problem := extraction.unusable(store.extractors, key.encode()):
        access.fail(problem)
    digested = store.digester.write(store.digester.digest(key.encode()))
    return {"digest": digested, "display": minting.display(key)}
