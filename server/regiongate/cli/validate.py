"""`regiongate validate`: would this configuration be put in force?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from regiongate.cli import options
from regiongate.runtime.files import Unusable
from regiongate.runtime.state import State


@click.command()
@options.configuration
@options.as_json
def validate(config: Path, *, as_json: bool) -> None:
    """Check the configuration and every file it names; exit 1 when one cannot be used."""
    problems: list[str] = []
    try:
        State(config)
    except Unusable as error:
        problems = [str(error)]
    if as_json:
        click.echo(json.dumps({"valid": not problems, "problems": problems}))
    else:
        click.echo("\n".join(problems) or f"{config}: valid")
    sys.exit(bool(problems))
