"""`regiongate keys …`: what is known about keys, and every change of it.

Each group of commands has a module of its own; what is not output is in `regiongate.keys`.
"""

from __future__ import annotations

import click

from regiongate.cli import lazy


@click.group(
    cls=lazy.Group,
    places={
        "add": "regiongate.cli.keys.add:add",
        "import": "regiongate.cli.keys.files:import_",
        "list": "regiongate.cli.keys.look:list_",
        "show": "regiongate.cli.keys.look:show",
        "set": "regiongate.cli.keys.change:set_",
        "suspend": "regiongate.cli.keys.change:suspend",
        "reinstate": "regiongate.cli.keys.change:reinstate",
        "revoke": "regiongate.cli.keys.change:revoke",
        "exempt": "regiongate.cli.keys.exempt:exempt",
        "org": "regiongate.cli.keys.organisation:org",
        "export": "regiongate.cli.keys.files:export",
        "verify": "regiongate.cli.keys.verify:verify",
        "history": "regiongate.cli.keys.look:history",
    },
)
def keys() -> None:
    """Add, change and look at API keys.

    Every change is recorded with who made it and why. A key itself is kept nowhere; it is known by
    its digest.
    """
