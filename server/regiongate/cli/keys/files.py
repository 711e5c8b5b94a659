"""`regiongate keys import, export`: many keys at once, all of them or none."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, TextIO

import click

from regiongate.cli import options
from regiongate.cli.keys import access
from regiongate.cli.keys.access import Access
from regiongate.documents import Problem
from regiongate.keys import formats
from regiongate.keys.formats import Format
from regiongate.keys.register import Became, Loading, Note, Numbered

BATCH: Final = 1000
SHOWN: Final = 200
"""Bad lines that are told one by one."""
PROGRESS: Final = 50_000
"""Lines between two words about how far it is."""

_FORMAT: Final = click.option(
    "--format",
    "form",
    type=click.Choice([one.value for one in Format]),
    help="If the file's name does not say it.",
)


@click.command("import")
@click.argument("file", type=click.File(encoding="utf-8", errors="strict"))
@access.addition
@_FORMAT
@click.option("--replace", is_flag=True, help="Replace what is already there.")
@click.option("--dry-run", is_flag=True, help="Only say what is wrong and what would be done.")
@options.as_json
def import_(  # noqa: PLR0913 an option each
    store: Access,
    note: Note,
    *,
    file: TextIO,
    form: str | None,
    replace: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add the keys and organisations in FILE: all of them, or none if a line is wrong.

    YAML as in a key file, JSON Lines, or CSV. In the latter two a field called "key" may hold a key
    itself, of which the digest is kept, and "organisation" makes a line an organisation's.
    """
    name = getattr(file, "name", "-")
    chosen = _format(name, form)
    read = formats.read(name, file, chosen, store.digester, store.extractors)
    with store.register.load(note, replace=replace) as loading:
        problems = _load(loading, read, name)
        if not problems and not dry_run:
            loading.finish()
    became = {one.value: 0 if problems else loading.became[one] for one in Became}
    if as_json:
        told = [{"line": one.line, "message": _message(one)} for one in problems]
        done = dict.fromkeys(became, 0) if dry_run else became
        would = {"would": became} if dry_run else {}
        access.print_json({**done, **would, "problems": told})
    else:
        for problem in problems[:SHOWN]:
            click.echo(problem, err=True)
        lines = "1 line is" if len(problems) == 1 else f"{len(problems)} lines are"
        wrong = f"{lines} wrong; nothing was added"
        said = _said(became, store.name, dry_run=dry_run, replace=replace)
        click.echo(wrong if problems else said, err=True)
    sys.exit(bool(problems))


def _said(became: Mapping[str, int], name: str, *, dry_run: bool, replace: bool) -> str:
    """Say what an import has done to a store, or would do."""
    added, replaced, unchanged = became.values()
    add, put, leave = _WOULD if dry_run else _DONE
    said = f"{add} {added} to {name}"
    return f"{said}, {put} {replaced}, {leave} {unchanged} as before" if replace else said


_DONE: Final = ("added", "replaced", "left")
_WOULD: Final = ("would add", "replace", "leave")


def _load(loading: Loading, read: Iterator[Numbered | Problem], name: str) -> list[Problem]:
    problems: list[Problem] = []
    seen = 0
    while batch := list(islice(read, BATCH)):
        problems += [one for one in batch if isinstance(one, Problem)]
        refused = loading.add([one for one in batch if isinstance(one, Numbered)])
        problems += [Problem(name, line, "", message) for line, message in refused]
        seen += len(batch)
        if seen % PROGRESS == 0 and sys.stderr.isatty():
            click.echo(f"\r{seen:,} lines", nl=False, err=True)
    if seen >= PROGRESS and sys.stderr.isatty():
        click.echo("\r", nl=False, err=True)
    return sorted(problems, key=lambda one: one.line)


def _message(problem: Problem) -> str:
    return f"{problem.path}: {problem.message}" if problem.path else problem.message


@click.command()
@access.command
@_FORMAT
@click.option(
    "-o",
    "--output",
    type=click.File("w", encoding="utf-8", atomic=True),
    default="-",
    help="The file to write; standard output when left out.",
)
def export(store: Access, *, form: str | None, output: Any) -> None:
    """Write every organisation and key, as import reads them; YAML is a key file."""
    name = getattr(output, "name", "-")
    register = store.register
    chosen = _format(name, form or (Format.YAML if name in {"-", "<stdout>"} else None))
    for piece in formats.write(chosen, register.every_organisation(), register.every_key()):
        output.write(piece)


def _format(name: str, form: str | None) -> Format:
    found = Format(form) if form else Format.of(name)
    if found is None:
        raise click.UsageError(f"{name}: expected --format, as its name does not say one")
    return found
