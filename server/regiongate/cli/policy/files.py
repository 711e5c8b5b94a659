"""The files that the policy commands look at: policies, tables of cases, keys.

No database is opened and no service configured for them: a policy can be looked at anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from regiongate import policy, reading
from regiongate.documents import check, parse
from regiongate.keys import entries
from regiongate.keys.digest import EITHER
from regiongate.keys.record import KeyRecord
from regiongate.keys.stores import file
from regiongate.policy import PolicySet, cases
from regiongate.policy.cases import Case
from regiongate.policy.precedence import Held
from regiongate.runtime import config as configuration

PATH: Final[Any] = click.Path(path_type=Path, dir_okay=False)


def policies(path: Path) -> PolicySet:
    """Load a policy file, and the lists that it names.

    Raises:
        DocumentError: with every problem found.
    """

    def read(listed: str) -> str:
        return reading.text(path.parent / listed)

    return policy.load(str(path), configuration.text(path), read)


def configured_policy(config: Path) -> Path:
    """Return the path of the policy file that a configuration names.

    Raises:
        DocumentError: the configuration cannot be used.
    """
    return config.parent / configuration.read(config).policy


def table(path: Path) -> tuple[Case, ...]:
    """Load a table of cases.

    Raises:
        DocumentError: with every problem found.
    """
    return cases.load(str(path), configuration.text(path))


def keys(path: Path) -> dict[str, KeyRecord]:
    """Load a key file, its records by the ids of the keys.

    Raises:
        DocumentError: with every problem found.
    """
    text = configuration.text(path)
    file.load(str(path), text, EITHER)  # for its problems
    written = check(parse(str(path), text), file.KeyFile)
    return {
        key.id: entries.record(key, written.organisations.get(key.org or ""))
        for key in written.keys
    }


def exemptions(records: Mapping[str, KeyRecord]) -> list[Held]:
    """Name every exemption once, with the keys that it belongs to."""
    holders: dict[Any, list[str]] = {}
    for record in records.values():
        for exemption in record.profile.exemptions:
            holders.setdefault(exemption, []).append(record.id)
    return [Held(f"key {', '.join(ids)}", exemption) for exemption, ids in holders.items()]
