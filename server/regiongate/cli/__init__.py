"""The command line. Each command has a module of its own; this one puts them together.

Exit codes: 0 fine; 1 the answer is no (invalid, would be denied); 2 usage or configuration.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from regiongate.cli import lazy
from regiongate.errors import ExpectedError
from regiongate.printable import printable

USAGE = 2


class _Group(lazy.Group):
    """A group whose commands end with one clear message and exit code 2 on a bad file."""

    def invoke(self, ctx: click.Context) -> Any:
        # gRPC's core writes past Python, in a form of its own. Read when a command imports grpc.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        try:
            return super().invoke(ctx)
        except ExpectedError as error:
            lines = map(printable, str(error).split("\n"))
            click.echo("\n".join(lines), err=True)
            sys.exit(USAGE)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    places={
        "serve": "regiongate.cli.serve:serve",
        "validate": "regiongate.cli.validate:validate",
        "explain": "regiongate.cli.explain:explain",
        "keys": "regiongate.cli.keys:keys",
        "geo": "regiongate.cli.geo:geo",
        "policy": "regiongate.cli.policy:policy",
        "doctor": "regiongate.cli.doctor:doctor",
    },
)
@click.version_option(package_name="regiongate", prog_name="regiongate")
def main() -> None:
    """Envoy external authorization by country and API key."""
