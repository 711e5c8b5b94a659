"""The command line. Each command has a module of its own; this one puts them together.

Exit codes: 0 fine; 1 the answer is no (invalid, would be denied); 2 usage or configuration.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from regiongate import __version__
from regiongate.cli.explain import explain
from regiongate.cli.keys import keys
from regiongate.cli.policy import policy
from regiongate.cli.serve import serve
from regiongate.cli.validate import validate
from regiongate.keys.stores import StoreError
from regiongate.runtime.engines import BindError, EngineError
from regiongate.runtime.files import Unusable

USAGE = 2


class _Group(click.Group):
    """A group whose commands end with one clear message and exit code 2 on a bad file."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (*Unusable, BindError, EngineError, StoreError) as error:
            click.echo(error, err=True)
            sys.exit(USAGE)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="regiongate")
def main() -> None:
    """Envoy external authorization by country and API key."""


for _command in (serve, validate, explain, keys, policy):
    main.add_command(_command)
