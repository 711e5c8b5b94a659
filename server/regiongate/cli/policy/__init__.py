"""`regiongate policy …`: look at a policy, test it, and know what another one would change.

Each command has a module of its own; what is not output is in `regiongate.policy`.
"""

from __future__ import annotations

import click

from regiongate.cli import lazy


@click.group(
    cls=lazy.Group,
    places={
        "test": "regiongate.cli.policy.table:run_table",
        "show": "regiongate.cli.policy.show:show",
        "diff": "regiongate.cli.policy.diff:diff",
        "schema": "regiongate.cli.policy.json_schema:schema",
    },
)
def policy() -> None:
    """Test a policy, show it, compare two."""
