"""`regiongate keys …`: what is known about keys, and every change of it.

Each group of commands has a module of its own; what is not output is in `regiongate.keys`.
"""

from __future__ import annotations

import click

from regiongate.cli.keys import add, change, exempt, files, look, organisation, verify


@click.group()
def keys() -> None:
    """Add, change and look at API keys.

    Every change is recorded with who made it and why. A key itself is kept nowhere; it is known by
    its digest.
    """


for _command in (
    add.add,
    files.import_,
    look.list_,
    look.show,
    change.set_,
    change.suspend,
    change.reinstate,
    change.revoke,
    exempt.exempt,
    organisation.org,
    files.export,
    verify.verify,
    look.history,
):
    keys.add_command(_command)
