"""The decision log shows of a client's address what it is told to, and nothing else shows more.

Nor does the process's own log quote what a caller has sent.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.integration.deployment import deploy, question
from tests.integration.faults import wire
from tests.integration.process import COMMAND, PATIENCE, serving, until

CLIENT = "5.39.77.88"
FORMS: dict[str, tuple[dict[str, str], str, str | None]] = {
    "full": ({"address": "full"}, CLIENT, f"{CLIENT}/32"),
    "truncated": ({"address": "truncated"}, "5.39.77.0", "5.39.77.0/24"),
    "hmac": ({"address": "hmac", "hmac_key_file": "secret"}, "hmac:", None),
}


def site(folder: Path, **log: Any) -> Path:
    """Deploy with a database that has a record for one client alone."""
    config = deploy(folder, decision_log={"path": "d.jsonl", **log})
    databases.write(folder / "country.mmdb", {f"{CLIENT}/32": {"country": {"iso_code": "FR"}}})
    (folder / "secret").write_text("0123456789abcdef0123456789abcdef\n")
    return config


@pytest.mark.parametrize(("log", "address", "network"), FORMS.values(), ids=FORMS)
def test_the_address_is_written_in_the_form_that_is_asked_for(
    log: dict[str, str], address: str, network: str | None, tmp_path: Path
) -> None:
    """In the source of the record; in the whole line and the process's log it is nowhere else."""
    with serving(site(tmp_path, **log)) as process:
        assert process.ask(question(CLIENT)).status == 200
        process.ask(b"\xff")
        assert process.stop() == 0
        said = process.said()
    first, _ = (tmp_path / "d.jsonl").read_text().splitlines()
    source = json.loads(first)["source"]
    assert source["address"].startswith(address)
    assert source.get("network") == network
    assert (source["country"], CLIENT in said) == ("FR", False)
    assert (CLIENT in first) == (log["address"] == "full")


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ({"address": "hmac"}, "expected hmac_key_file exactly where address is hmac"),
        ({"address": "full", "hmac_key_file": "secret"}, "expected hmac_key_file exactly where"),
        (
            {"address": "hmac", "hmac_key_file": "short"},
            "decision_log.hmac_key_file: {folder}/short: expected at least 16 bytes (got 2)",
        ),
        ({"address": "hmac", "hmac_key_file": "none"}, "none: expected a readable file"),
    ],
)
def test_a_secret_that_is_missing_or_short_is_told(
    log: dict[str, str], said: str, tmp_path: Path
) -> None:
    """At the start, with exit code 2."""
    config = site(tmp_path, **log)
    (tmp_path / "short").write_text("ab\n")
    ended = subprocess.run(
        [*COMMAND, config], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 2
    assert said.format(folder=tmp_path) in ended.stderr


@pytest.mark.parametrize("engine", ["native", "grpcio"])
def test_metadata_that_is_not_utf_8_is_not_quoted(engine: str, tmp_path: Path) -> None:
    """The Check is answered, and the log says nothing: gRPC would log it with a traceback."""
    decisions = tmp_path / "d.jsonl"
    with serving(deploy(tmp_path, engine=engine, decision_log={"path": "d.jsonl"})) as process:
        before = process.said()
        with wire.connected(process) as connection:
            fields: dict[str, str | bytes] = {**wire.CHECK, "x-note": b"open-sesame-\xff"}
            connection.sendall(
                wire.HELLO + wire.headers(1, fields) + wire.data(1, wire.message(question()))
            )
            until(lambda: decisions.exists() and decisions.read_text() != "", "it is answered")
        assert process.said() == before
