"""Options that more than one command takes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

configuration = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("regiongate.yaml"),
    show_default=True,
    help="The configuration of the process.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def moment(text: str) -> datetime:
    """Read a moment in RFC 3339; without an offset it is UTC.

    Raises:
        click.BadParameter: it is anything else.
    """
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        expected = "expected a date such as 2024-07-09T00:00:00Z"
        raise click.BadParameter(f"{expected} (got {text!r})") from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
