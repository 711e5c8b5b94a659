"""`regiongate serve`: answer Envoy."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from regiongate.cli import hiding, options
from regiongate.runtime import app
from regiongate.runtime.parent import Post
from regiongate.telemetry import logs


@click.command(cls=hiding.Command)
@options.configuration
@click.option(
    "--log",
    "form",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="The form of the process's log; auto is text on a terminal and JSON elsewhere.",
)
# What a parent of several workers starts them with.
@click.option("--worker", type=int, hidden=True)
@click.option("--address", default="", hidden=True)
@click.option("--parents-settings", default="", hidden=True)
@click.option("--report-to", type=int, default=0, hidden=True)
def serve(  # noqa: PLR0913, PLR0917 what the options come to
    config: Path,
    form: logs.Format,
    worker: int | None,
    address: str,
    parents_settings: str,
    report_to: int,
) -> None:
    """Answer Envoy's Checks until SIGTERM.

    One process for each address of listen.grpc. SIGHUP reloads every file and reopens the decision
    log; SIGUSR2 restarts the workers, where there are several, one after the other, and does
    nothing to a process that serves alone.
    """
    logs.configure(form, worker)
    if worker is None:
        sys.exit(app.run(config, ["--log", form]))
    app.work(config, Post(worker, address, parents_settings), report_to)
