"""`regiongate serve`: answer Envoy."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from regiongate.cli import options
from regiongate.runtime import app


@click.command()
@options.configuration
def serve(config: Path) -> None:
    """Answer Envoy's Checks until SIGTERM; SIGHUP reloads every file."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    app.run(config, ready=lambda line: click.echo(f"regiongate: {line}", err=True))
