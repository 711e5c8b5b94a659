"""A service that keeps its own databases up to date."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.integration.deployment import FRANCE, NETWORKS, deploy, question
from tests.integration.process import serving, until
from tests.integration.update.vendors import Reply, Site
from tests.integration.workers.fleet import alive, fleet

LATER = datetime(2026, 11, 2, tzinfo=UTC)


def geo(vendor: Site) -> dict[str, Any]:
    """Return the section of a service that updates from a server."""
    update = {
        "every": "1m",
        "sources": {"country.mmdb": "user-country"},
        "mirrors": {"ip-location-db": vendor.base},
    }
    return {"country": "country.mmdb", "update": update}


def moved(folder: Path) -> bytes:
    """Return a newer database, in which France is in Britain."""
    path = databases.write(
        folder / "moved",
        {
            network: {"country": {"iso_code": {"FR": "GB"}.get(code, code)}}
            for network, code in NETWORKS.items()
        },
        built=LATER,
    )
    return path.read_bytes()


def test_one_process_updates_what_all_workers_answer_from(vendor: Site, tmp_path: Path) -> None:
    """It is asked once, however many workers there are, and the outcome is counted."""
    vendor.put("/user-country.mmdb", Reply(body=moved(tmp_path), headers={"etag": '"1"'}))
    with fleet(tmp_path, geo=geo(vendor)) as running:
        for worker in (0, 1):
            until(
                lambda one=worker: running.ask(one, question(FRANCE))["country"] == "GB",  # type: ignore[misc]
                "the new database is in force",
            )
        name = "regiongate_database_updates_total"
        until(lambda: running.sample(name, file="country.mmdb", result="updated") == 1, "counted")
        assert running.sample(name, file="country.mmdb", result="failed") == 0
        assert "country.mmdb is updated from user-country, built 2026-11-02" in running.said()
        assert "PDDL 1.0" in running.said()
        assert running.stop() == 0
    assert len(vendor.asked) == 1


def test_a_single_process_updates_for_itself(vendor: Site, tmp_path: Path) -> None:
    """And goes on answering when that fails, and says why."""
    vendor.put("/user-country.mmdb", Reply(403))
    with serving(deploy(tmp_path, geo=geo(vendor))) as running:
        told = "country.mmdb cannot be updated from user-country"
        until(lambda: told in running.said(), "the failure is told")
        assert "(got 403, access is refused" in running.said()
        assert running.ask(question(FRANCE))["country"] == "FR"
        assert running.stop() == 0


@pytest.mark.parametrize("kindly", [True, False])
def test_an_update_ends_with_the_service(vendor: Site, tmp_path: Path, *, kindly: bool) -> None:
    """However that ends; the old file stays."""
    go = threading.Event()
    vendor.put("/user-country.mmdb", Reply(body=moved(tmp_path), holds=go))
    with serving(deploy(tmp_path, geo=geo(vendor))) as running:
        before = (tmp_path / "country.mmdb").read_bytes()
        until((tmp_path / ".country.mmdb.temporary").exists, "it downloads")
        (child,) = _children(running.child.pid)
        if kindly:
            assert running.stop() == 0
        else:
            running.child.kill()
        until(lambda: not alive(child), "the update has ended")
        go.set()
    assert (tmp_path / "country.mmdb").read_bytes() == before


def test_a_service_that_is_not_told_to_asks_nobody(vendor: Site, tmp_path: Path) -> None:
    """Sources alone are for the command."""
    section = geo(vendor)
    del section["update"]["every"]
    with serving(deploy(tmp_path, geo=section)) as running:
        assert running.ask(question(FRANCE))["country"] == "FR"
        assert running.stop() == 0
    assert not vendor.asked


def _children(pid: int) -> list[int]:
    """Return the processes that run a command of ours and have this parent."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = re.search(r"^PPid:\s*(\d+)$", status.read_text(), re.MULTILINE)
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if parent and int(parent[1]) == pid and b"geo\0update" in command:
            found.append(int(status.parent.name))
    return found
