"""`regiongate geo update`: fetch newer databases, if there are any."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click
import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from regiongate.cli import hiding, options
from regiongate.documents import DocumentError
from regiongate.durations import duration
from regiongate.geo import Gate
from regiongate.geo.update.catalogue import role, vendor
from regiongate.geo.update.fetch import Web
from regiongate.geo.update.renew import Outcome, Target, renew
from regiongate.geo.update.sources import Source
from regiongate.runtime.config.update import LICENSE_KEY
from regiongate.runtime.parent import end_with_parent
from regiongate.runtime.updating import Account, Order, ordered

_STOP_SECONDS: Final = 5.0


def _every(_context: click.Context, _option: click.Parameter, text: str | None) -> timedelta | None:
    try:
        return duration(text) if text else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _source(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    try:
        if name:
            role(name)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return name


@click.command(
    cls=hiding.Command,
    epilog=f"MaxMind's licence key comes from a file or from {LICENSE_KEY}, never from an option.",
)
@options.configuration
@click.option(
    "--source",
    "name",
    callback=_source,
    help="Without a configuration: user-country, dbip-country-lite, maxmind:GeoLite2-Country, …",
)
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="With --source: a file."
)
@click.option("--mirror", help="With --source: an address instead of the vendor's own.")
@click.option("--account-id", type=int, help="With --source: of an account at MaxMind.")
@click.option(
    "--license-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --source: a file that holds MaxMind's licence key.",
)
@click.option("--every", callback=_every, help="Go on, and update so often, for instance 24h.")
@click.option("--force", is_flag=True, help="Fetch what is current, too.")
@click.option("--allow-older", is_flag=True, help="Take what is older or much smaller, too.")
@options.as_json
# What `serve` starts it with.
@click.option("--with-parent", is_flag=True, hidden=True)
def update(  # noqa: PLR0913 an option each
    config: Path,
    *,
    name: str | None,
    to: Path | None,
    mirror: str | None,
    account_id: int | None,
    license_key_file: Path | None,
    every: timedelta | None,
    force: bool,
    allow_older: bool,
    as_json: bool,
    with_parent: bool,
) -> None:
    """Fetch newer databases, if there are any, and put them in place if they are fit for use.

    Each database under geo.update.sources of the configuration, or the one of --source. What fails
    leaves the file that is there; exit 1 if anything did.
    """
    if with_parent:
        end_with_parent(_STOP_SECONDS)
    if (name is None) != (to is None):
        raise click.UsageError("expected --source and --to together")
    if name is None and (mirror or account_id or license_key_file):
        raise click.UsageError("expected --mirror, --account-id, --license-key-file with --source")
    if name is not None and vendor(name) == "maxmind" and account_id is None:
        raise click.UsageError(f"expected --account-id with --source {name}")

    def orders() -> Sequence[Order]:
        if name is None or to is None:
            return _configured(config, force=force, allow_older=allow_older)
        target = Target(path=to, gates=[Gate(role(name))], force=force, allow_older=allow_older)
        account = Account(id=account_id, key_file=license_key_file, environment=os.environ)
        mirrors = {vendor(name): mirror} if mirror else {}
        return [Order(name=str(to), target=target, source=name, account=account, mirrors=mirrors)]

    failed = _carried_out(orders(), as_json=as_json)
    while every is not None:
        time.sleep(every.total_seconds())
        try:
            _carried_out(orders(), as_json=as_json)
        except DocumentError as error:
            click.echo(error, err=True)
    sys.exit(failed)


def _configured(config: Path, *, force: bool, allow_older: bool) -> Sequence[Order]:
    found = list(ordered(config, os.environ, force=force, allow_older=allow_older))
    if not found:
        raise click.UsageError(
            f"{config}: geo.update: expected sources; without them use --source and --to"
        )
    return found


def _carried_out(orders: Iterable[Order], *, as_json: bool) -> bool:
    """Update databases and tell how that ended; say whether any failed."""
    outcomes: dict[str, Outcome] = {}
    for order in orders:
        outcomes[order.name] = _one(order, quiet=as_json)
        if not as_json:
            _tell(outcomes[order.name])
    if as_json:
        told = {"updates": [_json(*one) for one in outcomes.items()]}
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    else:
        _tell_licences(outcomes.values())
    return any(one.result == "failed" for one in outcomes.values())


def _one(order: Order, *, quiet: bool) -> Outcome:
    file = order.name
    with _bar(file, quiet=quiet) as progress:

        def renewed(target: Target, source: Source) -> Outcome:
            def tell(text: str) -> None:
                click.echo(f"{file}: {text}", err=True)

            return renew(target, source, Web(progress=progress).get, tell=tell)

        return order.carried_out(renewed)


@contextmanager
def _bar(file: str, *, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Show how much has arrived, on a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    shown = console.is_terminal and not quiet
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task(file, total=None)
        yield lambda received, total: bar.update(task, completed=received, total=total)


def _tell(outcome: Outcome) -> None:
    built = f", built {outcome.built:%Y-%m-%d}" if outcome.built else ""
    match outcome.result:
        case "updated":
            click.echo(f"{outcome.path}: updated from {outcome.source}{built}")
        case "current":
            click.echo(f"{outcome.path}: what {outcome.source} has{built}")
        case "failed":
            kept = f" (what is there was{built.removeprefix(',')})" if built else ""
            click.echo(
                f"{outcome.path}: not updated from {outcome.source}{kept}: {outcome.problem}",
                err=True,
            )


def _tell_licences(outcomes: Iterable[Outcome]) -> None:
    for licence in {one.licence: None for one in outcomes if one.result == "updated"}:
        click.echo(licence)


def _json(name: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "file": name,
        "source": outcome.source,
        "result": outcome.result,
        "built": outcome.built.isoformat() if outcome.built else None,
        "problem": outcome.problem,
        "licence": outcome.licence,
    }
