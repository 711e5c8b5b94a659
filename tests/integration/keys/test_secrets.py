"""No key, pepper or password is to be found in anything that is written, or in the process list."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from tests import leaks
from tests.integration import deployment
from tests.integration.deployment import FRANCE, question
from tests.integration.keys.servers import BINARIES, running
from tests.integration.process import serving, until

KEY = "sk-live-4Qm7RzT1vBn8XcW2LpKd"
UNKNOWN = "sk-live-9Zz8YyX7wWv6UuT5sSrQ"
MALFORMED = "sk-live-7Hh6GgF5 eEd4CcB3aA"
PEPPER = "pepper-6Jj5HhG4fFd3SsA2"
MISTYPED = "rg_0123456789abcdefghijABCDEFGHIJ01234567"
USER, PASSWORD = "gate-3Kk2", "opensesame/S3cret%40"
PAGES = ("metrics", "readyz", "info", "wiring")
SECRETS = (MISTYPED, KEY, UNKNOWN, MALFORMED, PEPPER)


@pytest.mark.parametrize("on_store_error", ["stale", "deny"])
def test_nothing_is_written_that_is_secret(tmp_path: Path, on_store_error: str) -> None:
    """Not by commands, a server, its log, its decisions or its store, in good times and bad."""
    (tmp_path / "given-pepper").write_text(PEPPER)
    keys = {
        "extract": [{"header": "x-api-key"}],
        "store": "sqlite:///keys.db",
        "pepper_file": "given-pepper",
        "on_store_error": on_store_error,
    }
    log = {"path": "decisions.jsonl"}
    listen = {"grpc": ["127.0.0.1:0"], "admin": "127.0.0.1:0"}
    config = deployment.deploy(tmp_path, keys=keys, decision_log=log, listen=listen)
    said = _command(config, "add", "a", given=KEY) + _command(config, "add", "b", given=KEY)
    said += _command(config, "show", given=UNKNOWN) + _command(config, "show", given=KEY)
    with serving(config) as process:
        listed = Path(f"/proc/{process.child.pid}/cmdline").read_bytes()
        for key in (KEY, UNKNOWN, MALFORMED, MISTYPED):
            process.ask(question(FRANCE, key))
        (tmp_path / "keys.db").rename(tmp_path / "elsewhere.db")
        until(lambda: "away" in process.said(), "the outage is noticed")
        for key in (KEY, UNKNOWN, MALFORMED, f"{KEY}2"):
            process.ask(question(FRANCE, key))
        for page in PAGES:
            (tmp_path / f"page-{page}").write_bytes(_fetch(process.said(), page))
        process.stop()
    files = (path for path in tmp_path.iterdir() if path.is_file())
    written = [path for path in files if not path.name.startswith(leaks.GIVEN)]
    assert {"decisions.jsonl", "stderr", "elsewhere.db", "page-metrics"} <= {
        path.name for path in written
    }
    everything = b"\n".join([said, listed, *(path.read_bytes() for path in written)])
    assert [secret for secret in SECRETS if secret.encode() in everything] == []
    assert [secret for secret in SECRETS if secret[8:20].encode() in everything] == []


@pytest.mark.parametrize("binary", BINARIES.values(), ids=BINARIES)
def test_a_server_that_quotes_what_it_was_sent(binary: str, short: Path, tmp_path: Path) -> None:
    """The name and the password of a store stay secret when its server does not know AUTH."""
    with running(binary, short, "--rename-command", "AUTH", "") as server:
        url = f"unix://{quote(USER)}:{quote(PASSWORD, safe='')}@{server.socket}?db=0"
        listen = {"grpc": ["127.0.0.1:0"], "admin": "127.0.0.1:0"}
        config = deployment.deploy(tmp_path, keys={"store": url}, listen=listen)
        with serving(config) as process:
            until(lambda: "the key store is away" in process.said(), "the outage is noticed")
            said = [_fetch(process.said(), page) for page in PAGES]
            process.stop()
        said.append(process.said().encode())
        for command in (["keys", "list"], ["keys", "verify"], ["validate"]):
            ended = subprocess.run(
                [sys.executable, "-m", "regiongate", *command, "-c", str(config)],
                capture_output=True,
                check=False,
            )
            assert ended.returncode
            said.append(ended.stdout + ended.stderr)
    everything = b"".join(said)
    # Each command, the log and /readyz.
    assert everything.count(b"expected a store that answers (it lacks a command") == 5
    parts = (USER, PASSWORD, quote(PASSWORD, safe=""), PASSWORD[:7], PASSWORD[-7:])
    assert [one for one in parts if one.encode() in everything] == []


def _fetch(said: str, page: str) -> bytes:
    found = re.search(r"admin ([^ ,]+):(\d+)", said)
    assert found, said
    with closing(http.client.HTTPConnection(found[1], int(found[2]), timeout=10)) as connection:
        connection.request("GET", f"/{page}")
        return connection.getresponse().read()


def _command(config: Path, *arguments: str, given: str) -> bytes:
    command = [sys.executable, "-m", "regiongate", "keys", *arguments, "-c", str(config), "--key"]
    found = subprocess.run(command, input=given.encode(), capture_output=True, check=False)
    assert b"Traceback" not in found.stderr
    return found.stdout + found.stderr
