"""Policy, keys and database are taken over while requests come in, and mistakes are not."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.cases import ACME_EUROPE, ACME_PRODUCTION, api_key
from demo.stack import HERE, Settings, Stack, started
from tests import databases
from tests.e2e.clients import COUNTRIES, FRANCE, GERMANY, RUSSIA, UNITED_STATES, records, send


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who edits the files of a running stack. Each test edits something else."""

    stack: Stack
    policy: Path
    keys: Path
    database: Path

    def until(self, change: str, happened: Callable[[], bool]) -> None:
        """Ask until a change shows in answers; fail where RegionGate ends or it never does."""
        self.stack.regiongate.wait_until(happened, f"{change} was not in force")

    def complaints(self) -> str:
        """Return what RegionGate said on standard error."""
        return self.stack.regiongate.stderr.read_text()


@pytest.fixture(scope="module")
def operator(
    variant: Settings, database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """A stack of this module's own, with files of its own."""
    directory = tmp_path_factory.mktemp("files")
    policy, keys, country = (
        Path(shutil.copy(file, directory))
        for file in (HERE / "policy.yaml", HERE / "keys.yaml", database)
    )
    settings = Settings(
        database=country, policy=policy, keys=keys, engine=variant.engine, unix=variant.unix
    )
    with started(settings) as stack:
        yield Operator(stack, policy, keys, country)


def test_a_policy_that_is_edited_in_place_is_taken_over(operator: Operator) -> None:
    """A country taken off the list is refused soon after."""
    assert send(operator.stack, GERMANY).status == 200
    operator.policy.write_text(operator.policy.read_text().replace(" DE,", ""))
    operator.until("the policy", lambda: send(operator.stack, GERMANY).status == 403)


def test_keys_that_are_renamed_into_place_are_taken_over(operator: Operator) -> None:
    """A key that is suspended stops to work soon after."""
    headers = api_key(ACME_PRODUCTION)
    assert send(operator.stack, FRANCE, headers).status == 200
    new = operator.keys.with_suffix(".new")
    new.write_text(operator.keys.read_text().replace("active", "suspended", 1))
    new.replace(operator.keys)
    operator.until("the key's status", lambda: send(operator.stack, FRANCE, headers).status == 403)


def test_a_database_that_is_copied_over_the_old_one_is_taken_over(operator: Operator) -> None:
    """`cp` over the open file neither ends the process nor tears an answer."""
    assert send(operator.stack, RUSSIA).status == 403
    moved = operator.database.with_suffix(".moved")
    databases.write(moved, records({**COUNTRIES, RUSSIA: "US"}))
    shutil.copyfile(moved, operator.database)
    operator.until("the database", lambda: send(operator.stack, RUSSIA).status == 200)


def test_sighup_takes_over_what_looking_at_the_file_cannot_notice(operator: Operator) -> None:
    """A change that leaves size and time as they were waits for SIGHUP, and then counts."""
    headers = api_key(ACME_EUROPE)
    before = operator.keys.stat()
    changed = operator.keys.read_text().replace("[DE, FR]", "[DE, US]")
    operator.keys.write_text(changed)
    os.utime(operator.keys, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert send(operator.stack, UNITED_STATES, headers).status == 403
    operator.stack.regiongate.child.send_signal(signal.SIGHUP)
    operator.until(
        "the contract", lambda: send(operator.stack, UNITED_STATES, headers).status == 200
    )


def test_a_route_that_names_no_policy_there_is_refuses(operator: Operator) -> None:
    """When the policy that a route names goes away, its requests are refused, not let through."""
    assert send(operator.stack, FRANCE, path="/internal").status == 200
    renamed = operator.policy.read_text().replace("  internal:", "  renamed:")
    operator.policy.write_text(renamed)
    operator.until(
        "the policy", lambda: send(operator.stack, FRANCE, path="/internal").status == 403
    )
    assert send(operator.stack, FRANCE, path="/internal").json()["error"]["code"] == (
        "unknown_policy"
    )


MISSPELT = b"""
version: 1
policies:
  default:
    rules: [{name: misspelt, when: source.contry == "US", deny: {reason: misspelt}}]
    otherwise: allow
"""

# What is done to a file; what RegionGate must then say. The answers must stay as they are.
MISTAKES: dict[str, tuple[str, bytes, str]] = {
    "policy that is no YAML": ("policy", b"policies: [", "policy.yaml"),
    "policy with an unknown field": (
        "policy",
        MISSPELT,
        "contry",
    ),
    "empty policy": ("policy", b"", "policy.yaml"),
    "keys that are none": ("keys", b"version: 1\nkeys: [{id: a}]\n", "keys.yaml"),
    "truncated database": ("database", b"\xab\xcd\xefMaxMind.com", "country.mmdb"),
}


@pytest.mark.parametrize(("which", "content", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_file_that_cannot_be_used_leaves_the_old_one_in_force(
    operator: Operator, which: str, content: bytes, said: str
) -> None:
    """RegionGate says what is wrong with the file and goes on as before."""
    file: Path = getattr(operator, which)
    good, heard = file.read_bytes(), len(operator.complaints())
    before = [send(operator.stack, client).status for client in (FRANCE, RUSSIA, GERMANY)]
    file.write_bytes(content)
    operator.until("the complaint", lambda: said in operator.complaints()[heard:])
    after = [send(operator.stack, client).status for client in (FRANCE, RUSSIA, GERMANY)]
    file.write_bytes(good)
    assert after == before
