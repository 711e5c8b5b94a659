"""`regiongate policy …`: look at a policy, test it, and know what another one would change.

Each command has a module of its own; what is not output is in `regiongate.policy`.
"""

from __future__ import annotations

import click

from regiongate.cli.policy.diff import diff
from regiongate.cli.policy.json_schema import schema
from regiongate.cli.policy.show import show
from regiongate.cli.policy.table import run_table


@click.group()
def policy() -> None:
    """Test a policy, show it, compare two."""


for _command in (run_table, show, diff, schema):
    policy.add_command(_command)
