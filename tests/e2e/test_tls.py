"""Mutual TLS between a real Envoy and a real RegionGate: as documented, and with a part changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from click.testing import CliRunner

from demo import bootstrap
from demo.address import Tcp, reserved
from demo.client import ask
from demo.process import running
from regiongate.cli import main
from tests.documentation import block
from tests.integration.deployment import FRANCE, deploy
from tests.integration.process import serving, until

OURS: dict[str, Any] = yaml.safe_load(block("envoy.md", "regiongate.yaml"))
THEIRS = block("envoy.md", "envoy.yaml, in the cluster that Checks are sent to")
THEIR_FOLDER = "/etc/envoy/"
"""Where the documentation has Envoy's certificates."""

PATIENT = "timeout-long"
"""A warning that every Envoy of the tests deserves: demo.bootstrap."""

Change = Callable[[dict[str, Any], dict[str, Any]], object]
"""Changes the cluster and the CommonTlsContext in it."""


@dataclass(frozen=True, slots=True)
class Wired:
    """RegionGate behind an Envoy.

    Attributes:
        config: regiongate.yaml.
        proxy: where Envoy takes requests.
        admin: Envoy's own address.
    """

    config: Path
    proxy: Tcp
    admin: Tcp

    def status(self) -> int:
        """Return what a client in a supported country is answered."""
        return ask(self.proxy, "/v1/models", [("x-forwarded-for", FRANCE)]).status

    def unhealthy(self) -> bool:
        """Say whether RegionGate has failed Envoy's health checks."""
        lines = ask(self.admin, "/clusters").body.decode().splitlines()
        return any(
            one.startswith("regiongate::") and one.endswith("::health_flags::/failed_active_hc")
            for one in lines
        )

    def doctor(self) -> dict[str, list[str]]:
        """Hold what Envoy says of itself against regiongate.yaml; return findings by severity."""
        told = ["doctor", "-c", str(self.config), "--envoy", "-", "--json"]
        result = CliRunner().invoke(main, told, input=ask(self.admin, "/config_dump").body)
        found: dict[str, list[str]] = {}
        for one in json.loads(result.stdout)["findings"]:
            found.setdefault(one["severity"], []).append(one["name"])
        return found


def issue(folder: Path) -> None:
    """Issue both sides a certificate, each of an authority of its own, as they are documented."""
    for name in ("regiongate", "envoy"):
        authority = trustme.CA()
        issued = authority.issue_cert(f"{name}.example")
        authority.cert_pem.write_to_path(str(folder / f"{name}-ca.pem"))
        issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))


@contextmanager
def wired(folder: Path, change: Change, **ours: Any) -> Iterator[Wired]:
    """Start RegionGate, an upstream, and Envoy with the documented transport_socket and a change.

    Args:
        ours: further sections of regiongate.yaml.
    """
    issue(folder)
    with ExitStack() as closing:
        proxy, admin, authorization, upstream = (
            closing.enter_context(reserved()) for _ in range(4)
        )
        listen = {"grpc": [str(authorization)]}
        config = deploy(folder, listen=listen, client_address={"source": "envoy"}, **ours)
        closing.enter_context(serving(config))
        echo = [sys.executable, "-m", "demo.upstream", str(upstream.port)]
        closing.enter_context(running("upstream", echo, folder))
        written = yaml.safe_load(
            bootstrap.render(
                admin=admin,
                listeners={"http": proxy},
                clusters={"regiongate": authorization, "upstream": upstream},
            )
        )
        cluster = written["static_resources"]["clusters"][0]
        cluster |= yaml.safe_load(THEIRS.replace(THEIR_FOLDER, f"{folder}/"))
        change(cluster, cluster["transport_socket"]["typed_config"]["common_tls_context"])
        file = folder / "envoy.yaml"
        file.write_text(yaml.safe_dump(written))
        program = Path(sys.executable).parent / "envoy"
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
        envoy = closing.enter_context(
            running("envoy", [program, "--config-path", file, *options], folder)
        )
        envoy.wait_until(lambda: _ready(admin), "was not ready")
        yield Wired(config, proxy, admin)


def _ready(admin: Tcp) -> bool:
    try:
        return ask(admin, "/ready").status == 200
    except OSError:
        return False


def without(*names: str) -> Change:
    """Take parts out of the CommonTlsContext."""

    def change(_: dict[str, Any], common: dict[str, Any]) -> None:
        for name in names:
            del common[name]

    return change


def plaintext(cluster: dict[str, Any], _: dict[str, Any]) -> None:
    del cluster["transport_socket"]


def unchecked(cluster: dict[str, Any], common: dict[str, Any]) -> None:
    del cluster["health_checks"], common["alpn_protocols"]


def nameless(_: dict[str, Any], common: dict[str, Any]) -> None:
    del common["validation_context"]["match_typed_subject_alt_names"]


ANSWERED: dict[str, tuple[Change, list[str]]] = {
    "as documented": (lambda *_: None, []),
    # http2_protocol_options have Envoy offer h2 for Checks.
    "without ALPN and without health checks": (unchecked, ["health-check"]),
    "whoever answers": (without("validation_context"), ["server-not-verified"]),
    "whatever the name": (nameless, ["server-name-not-verified"]),
}


@pytest.mark.parametrize(("change", "warnings"), ANSWERED.values(), ids=ANSWERED)
def test_checks_are_answered_over_mutual_tls(
    change: Change, warnings: list[str], tmp_path: Path
) -> None:
    """With what is documented, and `doctor` says what is laxer."""
    with wired(tmp_path, change, **OURS) as protected:
        until(lambda: protected.status() == 200, "a request passes")
        found = protected.doctor()
    assert "wrong" not in found
    assert sorted(found["warning"]) == sorted([PATIENT, *warnings])
    assert ("tls" in found["fine"]) is (not {*warnings} - {"health-check"})


REFUSED: dict[str, tuple[Change, dict[str, Any], str]] = {
    "TLS in RegionGate alone": (plaintext, OURS, "tls-missing"),
    "TLS in Envoy alone": (lambda *_: None, {}, "tls-unasked"),
    "no certificate of Envoy's": (without("tls_certificates"), OURS, "client-certificate-missing"),
    "health checks without h2": (without("alpn_protocols"), OURS, "health-check-alpn"),
    "nothing but HTTP/1.1": (
        lambda _, common: common.update(alpn_protocols=["http/1.1"]),
        OURS,
        "tls-alpn",
    ),
}


@pytest.mark.parametrize(("change", "ours", "wrong"), REFUSED.values(), ids=REFUSED)
def test_tls_that_does_not_fit_refuses_every_request(
    change: Change, ours: dict[str, Any], wrong: str, tmp_path: Path
) -> None:
    """With 503, and `doctor` says why, that and nothing else."""
    with wired(tmp_path, change, **ours) as broken:
        until(broken.unhealthy, "RegionGate is unhealthy to Envoy")
        assert broken.status() == 503
        assert broken.doctor()["wrong"] == [wrong]
