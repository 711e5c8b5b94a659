"""`regiongate doctor` on real Envoys: their own /config_dump, and what RegionGate saw of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from demo import bootstrap
from demo.address import Tcp, reserved
from demo.client import ask
from demo.process import running
from demo.stack import HERE, serving
from regiongate.cli import main
from regiongate.doctor.tree import read
from tests.e2e.clients import COUNTRIES
from tests.integration.process import until

REQUESTS = 24
KEY = ("authorization", "Bearer made-up-acme-production-key")

Change = Callable[[dict[str, Any], dict[str, Any]], object]
"""Changes the connection manager and the ext_authz filter of the shipped configuration."""


@dataclass(frozen=True, slots=True)
class Wired:
    """RegionGate behind an Envoy.

    Attributes:
        config: regiongate.yaml.
        proxy: where Envoy takes requests.
        dump: the answer of Envoy's /config_dump, in a file.
    """

    config: Path
    proxy: Tcp
    dump: Path

    def send(self) -> set[int]:
        """Send requests from many countries, as the load balancer would; return the statuses."""
        clients = [*COUNTRIES] * REQUESTS
        return {
            ask(self.proxy, "/v1/models", [("x-forwarded-for", client), KEY]).status
            for client in clients[:REQUESTS]
        }

    def doctor(self, *arguments: str) -> Result:
        """Run the command."""
        told = ["doctor", "-c", str(self.config), "--envoy", str(self.dump), *arguments]
        return CliRunner().invoke(main, told)


@contextmanager
def wired(folder: Path, database: Path, change: Change) -> Iterator[Wired]:
    """Start RegionGate, an upstream, and Envoy with a change."""
    with ExitStack() as closing:
        proxy, admin, authorization, upstream, ours = (
            closing.enter_context(reserved()) for _ in range(5)
        )
        config = _configuration(folder, database, authorization, ours)
        serve: list[str | Path] = [sys.executable, "-m", "regiongate", "serve", "-c", config]
        service = closing.enter_context(running("regiongate", serve, folder))
        service.wait_until(lambda: serving(authorization), "was not SERVING")
        echo = [sys.executable, "-m", "demo.upstream", str(upstream.port)]
        closing.enter_context(running("upstream", echo, folder))
        given = bootstrap.render(
            admin=admin,
            listeners={"http": proxy},
            clusters={"regiongate": authorization, "upstream": upstream},
        )
        file = folder / "envoy.yaml"
        file.write_text(_changed(given, change))
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
        program: list[str | Path] = [
            Path(sys.executable).parent / "envoy",
            "--config-path",
            file,
            *options,
        ]
        envoy = closing.enter_context(running("envoy", program, folder))
        envoy.wait_until(lambda: _ready(admin), "was not ready")
        dump = folder / "config_dump.json"
        dump.write_bytes(ask(admin, "/config_dump").body)
        yield Wired(config, proxy, dump)


def _configuration(folder: Path, database: Path, listen: Tcp, admin: Tcp) -> Path:
    written = yaml.safe_load((HERE / "regiongate.yaml").read_text())
    written["listen"] = {"grpc": [str(listen)], "admin": str(admin)}
    written["geo"]["country"] = str(database)
    written["keys"]["store"] = f"file:{HERE / 'keys.yaml'}"
    written["policy"] = str(HERE / "policy.yaml")
    written["shutdown"]["notice"] = "1ms"
    written["decision_log"] = {"path": "decisions.jsonl", "address": "full"}
    config = folder / "regiongate.yaml"
    config.write_text(yaml.safe_dump(written))
    return config


def _changed(given: str, change: Change) -> str:
    written = yaml.safe_load(given)
    (listener,) = written["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    change(manager, manager["http_filters"][0]["typed_config"])
    return yaml.safe_dump(written, sort_keys=False)


def _ready(admin: Tcp) -> bool:
    try:
        return ask(admin, "/ready").status == 200
    except OSError:
        return False


def hops_too_few(manager: dict[str, Any], _: dict[str, Any]) -> None:
    del manager["xff_num_trusted_hops"]


def no_metadata(_: dict[str, Any], authorization: dict[str, Any]) -> None:
    del authorization["grpc_service"]["initial_metadata"]


def fails_open(_: dict[str, Any], authorization: dict[str, Any]) -> None:
    authorization["failure_mode_allow"] = True


def keys_kept_out(_: dict[str, Any], authorization: dict[str, Any]) -> None:
    authorization["allowed_headers"] = {"patterns": [{"exact": "x-forwarded-for"}]}


BROKEN = {
    "hops too few": (
        hops_too_few,
        [
            (
                "every client is one private address (127.0.0.1): x-forwarded-for names who is"
                " behind it: a hop too few is trusted"
            )
        ],
    ),
    "no metadata": (
        no_metadata,
        [
            "nearly every client is unresolved: Envoy does not send x-regiongate-client-address",
            (
                "Envoy does not send x-regiongate-client-address, from which client_address.source"
                " envoy takes the client: every client is unresolved"
            ),
        ],
    ),
    "fails open": (
        fails_open,
        ["failure_mode_allow: true lets requests pass when there is no answer in time"],
    ),
    "keys kept out": (
        keys_kept_out,
        [
            f"no key has come in {REQUESTS + 1} Checks, in authorization or x-api-key",
            "allowed_headers keeps out x-api-key, which is needed for a key (keys.extract)",
        ],
    ),
}


@pytest.mark.parametrize(("change", "sentences"), BROKEN.values(), ids=BROKEN)
def test_a_broken_wiring_is_told_of(
    change: Change, sentences: list[str], tmp_path: Path, database: Path
) -> None:
    """In plain words, and with exit code 1."""
    with wired(tmp_path, database, change) as broken:
        _sent(broken)
        result = broken.doctor()
    printed = " ".join(result.stdout.split())
    assert result.exit_code == 1, printed
    assert [one for one in sentences if one not in printed] == []


def test_the_shipped_wiring_is_fine(tmp_path: Path, database: Path) -> None:
    """Nothing is wrong, exit code 0, and the snippet for the configured source at the end."""
    with wired(tmp_path, database, lambda *_: None) as shipped:
        statuses = _sent(shipped)
        result = shipped.doctor()
        silent = shipped.doctor("--admin", "http://127.0.0.1:1")
    assert statuses == {200, 403}
    assert (result.exit_code, result.stderr) == (0, ""), result.stdout
    assert "0 wrong" in result.stdout
    assert f"public ones in {REQUESTS} of {REQUESTS + 1} Checks" in result.stdout
    assert result.stdout.rstrip().endswith(
        '{key: x-regiongate-client-address, value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}'
    )
    assert silent.exit_code == 1
    assert "127.0.0.1:1: nobody answers" in silent.stdout


def _sent(to: Wired) -> set[int]:
    """Send requests once RegionGate is there in Envoy's eyes; return the statuses."""
    until(lambda: ask(to.proxy, "/v1/models", [KEY]).status != 503, "Checks are answered")
    return to.send()


NUMBERS = {"0100000": 32768, "+0100000": 32768, "'010'": 10, "080": 80, "0x8000": 32768}


@pytest.mark.parametrize(("written", "port"), NUMBERS.items(), ids=NUMBERS)
def test_numbers_are_read_as_envoy_reads_them(written: str, port: int, tmp_path: Path) -> None:
    """An Envoy that is only to look at a listener without filters says which port it would have."""
    text = (
        "static_resources:\n  listeners:\n  - filter_chains: []\n    address: {socket_address:"
        f" {{address: 127.0.0.1, port_value: {written}}}}}\n"
    )
    file = tmp_path / "envoy.yaml"
    file.write_text(text)
    command = [str(Path(sys.executable).parent / "envoy"), "--mode", "validate", "-c", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert f"error adding listener '127.0.0.1:{port}'" in said.stdout + said.stderr
    address = read("envoy.yaml", text).at("static_resources", "listeners", 0, "address")
    assert address.at("socket_address", "port_value").whole == port
