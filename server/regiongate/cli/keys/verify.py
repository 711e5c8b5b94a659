"""`regiongate keys verify`: is everything in the store as it should be?"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import click

from regiongate.cli import options
from regiongate.cli.keys import access
from regiongate.cli.keys.access import Access
from regiongate.keys import entries
from regiongate.keys.entries import EntryError, KeyModel, OrganisationModel
from regiongate.keys.stores import StoreError
from regiongate.policy.regions import narrow


@click.command()
@access.command
@options.as_json
def verify(store: Access, *, as_json: bool) -> None:
    """Check the store and every entry in it; exit 1 when something is wrong."""
    problems = list(store.register.problems())
    try:
        problems += _entries(store)
    except StoreError:
        if not problems:
            raise
    if as_json:
        access.print_json({"valid": not problems, "problems": problems})
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(f"{store.name}: {'not ' if problems else ''}as it should be", err=True)
    sys.exit(bool(problems))


def _entries(store: Access) -> Iterator[str]:
    known: dict[str, OrganisationModel | None] = {}
    for id_, kept in store.register.every_organisation():
        known[id_] = None
        try:
            known[id_] = organisation = entries.read(kept, OrganisationModel)
        except EntryError as error:
            yield f"organisation {id_}: {error}"
        else:
            yield from _ended(f"organisation {id_}", organisation)
    for kept in store.register.every_key():
        yield from _key(store, kept, known)


def _key(
    store: Access, kept: bytes, organisations: Mapping[str, OrganisationModel | None]
) -> Iterator[str]:
    try:
        key = entries.read(kept, KeyModel)
    except EntryError as error:
        yield f"a key: {error}"
        return
    try:
        store.digester.read(key.digest)
    except ValueError as error:
        yield f"key {key.id}: digest: {error}"
    if key.org is not None and key.org not in organisations:
        yield f"key {key.id}: org: expected an organisation that is there (got {key.org})"
    yield from _ended(f"key {key.id}", key)
    organisation = organisations.get(key.org or "")
    for contradiction in _contradictions(key, organisation):
        yield f"key {key.id}: {contradiction}"


def _contradictions(key: KeyModel, organisation: OrganisationModel | None) -> Iterator[str]:
    """Yield what is said of a key and can never be used."""
    if key.not_before and key.expires and key.not_before >= key.expires:
        yield "expected expires after not_before"
    profile = entries.record(key, organisation).profile
    allowed = profile.allowed_countries
    # Nowhere at all may be meant, where it is said.
    said = [one.allowed_countries for one in (key, organisation) if one is not None]
    if allowed is None or [] in said:
        return
    if allowed <= narrow(allowed, profile.denied_countries):
        yield "permits no country: what is allowed is denied, or not allowed by its organisation"


def _ended(holder: str, entry: KeyModel | OrganisationModel) -> Iterator[str]:
    for one in entry.exemptions:
        if one.ends <= datetime.now(UTC):
            yield f"{holder}: exemption {one.id} has ended, at {one.ends.isoformat()}"
