"""`regiongate geo …`: fetch databases, and look into them.

Each command has a module of its own; what is not output is in `regiongate.geo`.
"""

from __future__ import annotations

import click

from regiongate.cli import lazy


@click.group(
    cls=lazy.Group,
    places={
        "lookup": "regiongate.cli.geo.lookup:lookup",
        "show": "regiongate.cli.geo.show:show",
        "verify": "regiongate.cli.geo.verify:verify",
        "update": "regiongate.cli.geo.update:update",
    },
)
def geo() -> None:
    """Fetch country databases, check them, and look addresses up."""
