"""`python -m demo` shows decisions and judges them; `python -m demo run` stays for you to try."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from rich.console import Console

from demo import database, report
from demo.cases import ACME_EUROPE, ACME_PRODUCTION, CASES
from demo.errors import DemoError
from demo.process import Process
from demo.stack import WELL_KNOWN, Settings, started

DATABASES = Path(__file__).parent.parent / ".demo"

TRY = f"""\
Envoy takes requests on http://{{proxy}} and believes your X-Forwarded-For, as if you were its load
balancer. Try:

  # from France, without a key: the upstream shows what it saw
  curl -i -H 'x-forwarded-for: 212.27.48.10' http://{{proxy}}/v1/models
  # from Iran
  curl -i -H 'x-forwarded-for: 5.160.0.1' http://{{proxy}}/v1/models
  # from the United States, with a valid key
  curl -i -H 'x-forwarded-for: 8.8.8.8' -H 'authorization: Bearer {ACME_PRODUCTION}' \\
    http://{{proxy}}/v1/models
  # with a key that is good in Germany and France only
  curl -i -H 'x-forwarded-for: 8.8.8.8' -H 'authorization: Bearer {ACME_EUROPE}' \\
    http://{{proxy}}/v1/models

Change demo/policy.yaml or demo/keys.yaml and ask again: they are reloaded.
Envoy's own view: http://{{admin}}/. Ctrl-C stops everything."""


WIDTH = 160
"""Columns that the table takes unfolded."""

LOOK_SECONDS = 0.1
"""How often it is looked whether a process has said something."""

ENGINES = click.Choice(["auto", "native", "grpcio"])


@click.group(invoke_without_command=True)
@click.option("--engine", type=ENGINES, default="auto", show_default=True)
@click.pass_context
def main(context: click.Context, engine: str) -> None:
    """Send requests from many countries through a real Envoy, and judge every answer."""
    context.obj = engine
    if context.invoked_subcommand is None:
        with started(Settings(database=database.obtain(DATABASES), engine=engine)) as stack:
            rows = report.run(stack, CASES)
        report.show(rows, _console())
        context.exit(int(any(row.fault for row in rows)))


@main.command()
@click.pass_obj
def run(engine: str) -> None:
    """Keep RegionGate, Envoy and an upstream running until Ctrl-C."""
    settings = Settings(database=database.obtain(DATABASES), engine=engine, ports=WELL_KNOWN)
    with started(settings) as stack:
        click.echo(TRY.format(proxy=stack.proxy, admin=stack.admin))
        click.echo("\nWhat RegionGate says of itself:\n")
        follow(stack.regiongate, lambda said: click.echo(said, nl=False))
    raise DemoError(f"regiongate exited with {stack.regiongate.child.returncode}")


def follow(process: Process, show: Callable[[str], None]) -> None:
    """Show what a process writes to standard error, from the beginning until it ends."""
    with process.stderr.open(errors="replace") as said:
        ended = False
        while not ended:
            # Asked first: what it says last is read all the same.
            ended = process.child.poll() is not None
            if new := said.read():
                show(new)
            elif not ended:
                time.sleep(LOOK_SECONDS)


def _console() -> Console:
    # Into a file or a pipe the table goes at its full width.
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    # Unwinds the stack, and so stops what was started.
    sys.exit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        main(prog_name="python -m demo", standalone_mode=False)
    except DemoError as error:
        sys.exit(f"demo: {error}")
    except (KeyboardInterrupt, click.Abort):
        sys.exit(128 + signal.SIGINT)
