"""Files that regiongate.yaml names: what is wrong with one is told with the key that names it.

`validate` looks at all that `serve` needs, and makes nothing.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trustme
from click.testing import CliRunner

from regiongate.cli import main
from regiongate.runtime import config as configuration
from regiongate.runtime import needs
from regiongate.runtime.config.update import LICENSE_KEY
from regiongate.runtime.state import State
from tests.integration.deployment import SETTINGS, deploy, keys
from tests.unprivileged import unprivileged

pytestmark = pytest.mark.usefixtures("unrehearsed")

GONE = "expected a readable file (No such file or directory)"
KEYS = SETTINGS["keys"]
TLS = {"cert": "server.pem", "key": "server.key"}
HMAC = {"path": "-", "address": "hmac", "hmac_key_file": "secret"}


def fetched(account: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a section geo whose database comes from MaxMind."""
    sources = {"country.mmdb": "maxmind:GeoLite2-Country"}
    return {"country": "country.mmdb", "update": {"sources": sources, "maxmind": account}}


UNREADABLE: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "policy": ({"policy": "gone.yaml"}, f"12: policy: gone.yaml: {GONE}"),
    "a folder": (
        {"policy": "folder"},
        "12: policy: folder: expected a readable file (Is a directory)",
    ),
    "a NUL in the name": (
        {"policy": "a\0b"},
        "12: policy: a\0b: expected a readable file (",
    ),
    "database": ({"geo": {"country": "gone.mmdb"}}, f"7: geo.country: gone.mmdb: {GONE}"),
    "database in a mapping": (
        {"geo": {"country": {"path": "gone.mmdb"}}},
        f"8: geo.country.path: gone.mmdb: {GONE}",
    ),
    "one of several": (
        {"geo": {"country": ["country.mmdb", "gone.mmdb"]}},
        f"9: geo.country[1]: gone.mmdb: {GONE}",
    ),
    "one of several mappings": (
        {"geo": {"country": ["country.mmdb", {"path": "gone.mmdb"}]}},
        f"9: geo.country[1].path: gone.mmdb: {GONE}",
    ),
    "AS numbers": (
        {"geo": {"country": "country.mmdb", "asn": "gone.mmdb"}},
        f"8: geo.asn: gone.mmdb: {GONE}",
    ),
    "key file": (
        {"keys": {**KEYS, "store": "file:gone.yaml"}},
        f"11: keys.store: gone.yaml: {GONE}",
    ),
    "key store": (
        {"keys": {**KEYS, "store": "sqlite:///gone.db"}},
        "11: keys.store: gone.db: expected a file that is there (No such file or directory)",
    ),
    "another key store": (
        {"keys": {**KEYS, "store": "sqlite:///country.mmdb"}},
        (
            "11: keys.store: country.mmdb: expected a key store that can be used"
            " (file is not a database)"
        ),
    ),
    "pepper": ({"keys": {**KEYS, "pepper_file": "gone"}}, f"12: keys.pepper_file: gone: {GONE}"),
    "previous pepper": (
        {"keys": {**KEYS, "previous_pepper_file": "gone"}},
        f"12: keys.previous_pepper_file: gone: {GONE}",
    ),
    "trusted ranges": (
        {"client_address": {"source": "xff", "trusted_proxies": [{"file": "gone.txt"}]}},
        f"7: client_address.trusted_proxies[0].file: gone.txt: {GONE}",
    ),
    "certificate": ({"tls": {**TLS, "cert": "gone.pem"}}, f"17: tls.cert: gone.pem: {GONE}"),
    "its key": ({"tls": {**TLS, "key": "gone.key"}}, f"18: tls.key: gone.key: {GONE}"),
    "authority": (
        {"tls": {**TLS, "client_ca": "gone.pem"}},
        f"19: tls.client_ca: gone.pem: {GONE}",
    ),
    "a key of another certificate": (
        {"tls": {**TLS, "key": "other.key"}},
        (
            "17: tls.cert: server.pem: expected a PEM certificate and its key, without a passphrase"
            " ([X509: KEY_VALUES_MISMATCH] key values mismatch (_ssl.c:"
        ),
    ),
    "no authority": (
        {"tls": {**TLS, "client_ca": "keys.yaml"}},
        "19: tls.client_ca: keys.yaml: expected PEM certificates (",
    ),
    "secret": (
        {"decision_log": {**HMAC, "hmac_key_file": "gone"}},
        f"19: decision_log.hmac_key_file: gone: {GONE}",
    ),
    "a short secret": (
        {"decision_log": HMAC},
        "19: decision_log.hmac_key_file: secret: expected at least 16 bytes (got 2)",
    ),
    "folder of the decision log": (
        {"decision_log": {"path": "gone/d.jsonl"}},
        (
            "17: decision_log.path: gone/d.jsonl: expected a file that can be written"
            " (No such file or directory)"
        ),
    ),
    "a folder for a decision log": (
        {"decision_log": {"path": "folder"}},
        "17: decision_log.path: folder: expected a file that can be written (Is a directory)",
    ),
}

UNBOUND: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "a name of no host": (
        {"grpc": ["127.0.0.1:0", "no-such-host.invalid:9191"]},
        "grpc[1]: no-such-host.invalid:9191: expected a host that can be looked up (",
    ),
    "a name that can be no host's": (
        {"grpc": [f"{'a' * 64}:9191"]},
        f"grpc[0]: {'a' * 64}:9191: expected a host that can be looked up (",
    ),
    "an address of another machine": (
        {"grpc": ["192.0.2.1:9191"]},
        (
            "grpc[0]: 192.0.2.1:9191: expected an address of this machine"
            " (Cannot assign requested address)"
        ),
    ),
    "for people": (
        {"grpc": ["127.0.0.1:0"], "admin": "192.0.2.1:9192"},
        (
            "admin: 192.0.2.1:9192: expected an address of this machine"
            " (Cannot assign requested address)"
        ),
    ),
    "a folder that is not there": (
        {"grpc": ["unix:{folder}/gone/s"]},
        (
            "grpc[0]: unix:gone/s: expected a path in a folder that is there"
            " (No such file or directory)"
        ),
    ),
    "a file": (
        {"grpc": ["unix:{folder}/secret"]},
        "grpc[0]: unix:secret: expected a path where there is nothing, or a socket (File exists)",
    ),
    "a path that is too long": (
        {"grpc": [f"unix:{{folder}}/{'x' * 108}"]},
        (
            f"grpc[0]: unix:{'x' * 108}: expected an address that can be listened on"
            " (AF_UNIX path too long)"
        ),
    ),
}

ENDS = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)

DOUBTFUL: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "an old certificate": (
        {"tls": {**TLS, "cert": "old.pem", "key": "old.key"}},
        "17: tls.cert: old.pem: expected a certificate that is still valid (it has expired)",
    ),
    "a certificate for later": (
        {"tls": {**TLS, "cert": "later.pem", "key": "later.key"}},
        (
            "17: tls.cert: later.pem: expected a certificate that is valid by now"
            " (it is not valid yet)"
        ),
    ),
    "a certificate that ends soon": (
        {"tls": {**TLS, "cert": "ending.pem", "key": "ending.key"}},
        (
            "17: tls.cert: ending.pem: expected a certificate that is valid for longer"
            f" (it ends at {ENDS.isoformat()})"
        ),
    ),
    "no licence key": (
        {"geo": fetched({"account_id": 7, "license_key_file": "licence"})},
        f"13: geo.update.maxmind.license_key_file: licence: {GONE}",
    ),
    "an empty licence key": (
        {"geo": fetched({"account_id": 7, "license_key_file": "empty"})},
        "13: geo.update.maxmind.license_key_file: empty: expected a licence key (got nothing)",
    ),
    "no licence key anywhere": (
        {"geo": fetched({"account_id": 7})},
        (
            "11: geo.update.maxmind.license_key_file: expected a licence key, in a file or in"
            f" {LICENSE_KEY}"
        ),
    ),
    "a pepper that came later": (
        {"keys": {**KEYS, "store": "sqlite:///keys.db", "pepper_file": "pepper"}},
        (
            "11: keys.store: sqlite:///keys.db: expected digests of hmac-sha256, as a pepper is"
            " configured (got sha256): no key of the other kind is known"
        ),
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files to be named: certificates, secrets, a store, a folder."""
    now, day = datetime.now(UTC), timedelta(days=1)
    authority = trustme.CA()
    put(tmp_path, "server", authority.issue_cert("127.0.0.1"))
    put(tmp_path, "other", authority.issue_cert("127.0.0.1"))
    before, after = now - 9 * day, now - day
    put(tmp_path, "old", authority.issue_cert("127.0.0.1", not_before=before, not_after=after))
    put(tmp_path, "later", authority.issue_cert("127.0.0.1", not_before=now + day))
    put(tmp_path, "ending", authority.issue_cert("127.0.0.1", not_after=ENDS))
    for name, text in {"secret": "ab\n", "empty": "\n", "pepper": "some pepper\n"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "folder").mkdir()
    return tmp_path


def put(folder: Path, name: str, issued: trustme.LeafCert) -> None:
    """Put a certificate and its key into a folder."""
    issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))


def validated(config: Path) -> tuple[int, Mapping[str, Any]]:
    """Return the exit code of `validate --json` and what it prints."""
    result = CliRunner().invoke(main, ["validate", "-c", str(config), "--json"])
    printed: Mapping[str, Any] = json.loads(result.stdout)
    return result.exit_code, printed


def seed(folder: Path) -> None:
    """Make a key store with a key in it."""
    store = f"sqlite:///{folder}/keys.db"
    arguments = ["keys", "add", "a", "-c", str(folder / "none.yaml"), "--store", store]
    assert CliRunner().invoke(main, arguments).exit_code == 0


@pytest.mark.parametrize(("changes", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_a_start_needs_is_told_with_its_key(
    changes: Mapping[str, Any], said: str, folder: Path
) -> None:
    """File, line and key of the configuration, then the file and what is wrong with it."""
    config = deploy(folder, **changes)
    there = sorted(folder.iterdir())
    code, printed = validated(config)
    (problem,) = printed["problems"]
    assert problem.replace(f"{folder}/", "").startswith(f"regiongate.yaml:{said}")
    assert (code, printed["valid"], printed["warnings"]) == (1, False, [])
    assert sorted(folder.iterdir()) == there


@pytest.mark.parametrize(("changes", "said"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_a_start_survives_is_a_warning(
    changes: Mapping[str, Any], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told in the same form, and changes nothing."""
    monkeypatch.delenv(LICENSE_KEY, raising=False)
    seed(folder)
    config = deploy(folder, **changes)
    there = sorted(folder.iterdir())
    code, printed = validated(config)
    told = [one.replace(f"{folder}/", "") for one in printed["warnings"]]
    assert f"regiongate.yaml:{said}" in told
    assert (code, printed["valid"], printed["problems"]) == (0, True, [])
    assert sorted(folder.iterdir()) == there


def test_what_is_there_is_not_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate and its key, a secret, a decision log to be made, a store: no word of them."""
    monkeypatch.setenv(LICENSE_KEY, "of the environment")
    seed(folder)
    (folder / "secret").write_text("of sixteen bytes or more")
    config = deploy(
        folder,
        tls={**TLS, "client_ca": "server.pem"},
        decision_log={**HMAC, "path": "folder/d.jsonl"},
        keys={**KEYS, "store": "sqlite:///keys.db"},
        geo=fetched({"account_id": 7}),
    )
    there = sorted(folder.rglob("*"))
    code, printed = validated(config)
    assert (code, printed["problems"]) == (0, [])
    assert [one for one in printed["warnings"] if "policy.yaml" not in one] == []
    assert sorted(folder.rglob("*")) == there


@pytest.mark.parametrize(("listen", "said"), UNBOUND.values(), ids=UNBOUND)
def test_an_address_that_cannot_be_listened_on_is_told_with_its_key(
    listen: Mapping[str, Any], said: str, folder: Path
) -> None:
    """A host that there is not, or another one; a folder that there is not. Nothing is made."""
    config = deploy(folder, listen=json.loads(json.dumps(listen).replace("{folder}", str(folder))))
    there = sorted(folder.iterdir())
    code, printed = validated(config)
    (problem,) = printed["problems"]
    told = problem.replace(f"{folder}/", "")
    assert re.match(r"regiongate\.yaml:\d+: listen\.", told)
    assert told.partition(": listen.")[2].startswith(said)
    assert (code, sorted(folder.iterdir())) == (1, there)


def test_an_address_in_use_is_not_told(folder: Path) -> None:
    """`validate` is run beside the process that serves there, which does not notice."""
    path = folder / "s"
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket(socket.AF_UNIX) as there:
        there.bind(str(path))
        there.listen()
        there.settimeout(0)
        port = taken.getsockname()[1]
        listen = {"grpc": [f"127.0.0.1:{port}", f"unix:{path}"], "admin": f"localhost:{port}"}
        code, printed = validated(deploy(folder, listen=listen))
        assert (code, printed["problems"]) == (0, [])
        with pytest.raises(BlockingIOError):
            there.accept()


def test_a_folder_that_no_socket_can_be_made_in_is_told() -> None:
    """As this user may not write to it."""
    with TemporaryDirectory() as folder:
        config = deploy(Path(folder), listen={"grpc": [f"unix:{folder}/s"]})
        settings = configuration.read(config)
        Path(folder).chmod(0o555)
        with unprivileged():
            (problem,) = map(str, needs.problems(config, settings))
        Path(folder).chmod(0o755)
    expected = "expected an address that this user may listen on (Permission denied)"
    assert problem.endswith(f": listen.grpc[0]: unix:{folder}/s: {expected}")


def test_every_problem_is_told_at_once(folder: Path) -> None:
    """Those of files that reload and those of a start, each with its own key."""
    log = {"path": "gone/d.jsonl", "address": "hmac", "hmac_key_file": "gone"}
    tls = {"cert": "gone.pem", "key": "gone.key"}
    config = deploy(folder, policy="gone.yaml", decision_log=log, tls=tls)
    _, printed = validated(config)
    told = [one.split(": ")[1] for one in printed["problems"]]
    files = ["decision_log.hmac_key_file", "decision_log.path", "tls.cert", "tls.key"]
    assert told == ["policy", *files]


def test_a_file_that_goes_is_told_with_the_line_it_is_named_in_now(tmp_path: Path) -> None:
    """By a reload as by a start; lines move while the settings stay."""
    config = deploy(tmp_path)
    state = State(config)
    config.write_bytes(b"# moved\n" + config.read_bytes())
    (tmp_path / "country.mmdb").unlink()
    (tmp_path / "keys.yaml").unlink()
    state.reload()
    told = {name: said.replace(f"{tmp_path}/", "") for name, said in state.problems.items()}
    assert told["keys"] == f"regiongate.yaml:12: keys.store: keys.yaml: {GONE}"
    database = told["country database country.mmdb"]
    assert database == f"regiongate.yaml:8: geo.country: country.mmdb: {GONE}"
    (in_use,) = state.configured.databases.in_use
    assert in_use.objections == ("unreadable",)
    config.write_bytes(b"{")
    (tmp_path / "keys.yaml").write_bytes(keys())
    (tmp_path / "policy.yaml").unlink()
    state.reload()
    policy = state.problems["policies"].replace(f"{tmp_path}/", "")
    assert policy == f"regiongate.yaml:1: policy: policy.yaml: {GONE}"
