"""Which store a URL means."""

from __future__ import annotations

from pathlib import Path

import pytest

from regiongate.keys.stores import StoreError, opening
from regiongate.keys.stores.sqlite import Location

GOOD = [
    "file:keys.yaml",
    "sqlite:///keys.db",
    "sqlite:////var/keys.db",
    "sqlite:///keys.db?mode=ro",
    "redis://127.0.0.1:6379/0",
    "rediss://user:secret@host/1?ssl_ca_certs=/ca.pem",
    "redis://valkey.example.:6379/0",
    "redis://k\u00e4se_1.example",
    "redis://[::1]:6379",
    "redis://",
    "unix:///run/redis.sock?db=2",
]
KINDS = (
    "expected file:PATH, sqlite:///PATH, redis://HOST:PORT/DB, rediss://… or unix:///SOCKET?db=0"
)
SQLITE = "expected sqlite:///PATH, perhaps with ?mode=ro"
REDIS = (
    "expected redis://[USER:PASSWORD@]HOST[:PORT][/DB] or unix://[USER:PASSWORD@]/SOCKET,"
    " with options that the client knows; / ? # @ in a password are %2F %3F %23 %40"
)
MISTAKABLE = {
    "redis://:12/secret@host": "redis://…",
    "redis://:12#secret@host/0": "redis://…",
    "redis://:12?secret@host/0": "redis://…",
    "rediss://acme:secret@12@host/x": "rediss://…",
    "redis://secret%40host/0": "redis://…",
    "redis://host/0;password=secret": "redis://…",
    "redis://host;password=secret": "redis://…",
    "redis://host/0?password=sec@ret": "redis://…",
    "redis://host/0#secret": "redis://…",
    "redis://acme:secret": "redis://…",
    "unix://acme:12/secret@/run/s": "unix://…",
    "unix:///run/s;password=secret": "unix://…",
}
"""Where a password may be something else to the client, or something else a password to us."""
NAMELESS = ("valkey..example", ".example", f"{'x' * 64}.example", "..")
HOST = "expected a host's name with 1 to 63 letters between dots"
BAD = {
    "": KINDS,
    "keys.yaml": KINDS,
    "file:": KINDS,
    "etcd://host": KINDS,
    "sqlite:": SQLITE,
    "sqlite://host/keys.db": SQLITE,
    "sqlite:///keys.db?mode=rw": SQLITE,
    "sqlite:///keys.db?cache=shared": SQLITE,
    "redis://:secret@host:port/0": REDIS,
    "rediss://:secret@host/0?ssl_ca_cert=/misspelt.pem": REDIS,
    "unix://:secret@/run/redis.sock?dbb=1": REDIS,
    "redis://acme:secr\u2100t@host/0?dbb=1": KINDS,
    "sqlite://acme:secr\u2100t@host/0": KINDS,
    **dict.fromkeys(MISTAKABLE, REDIS),
    **dict.fromkeys((f"redis://{host}:6379/0" for host in NAMELESS), HOST),
}
PATHS = {
    "sqlite:///keys.db": Location(Path("/etc/regiongate/keys.db")),
    "sqlite:////var/keys.db": Location(Path("/var/keys.db")),
    "sqlite:///a%20b/keys.db?mode=ro": Location(Path("/etc/regiongate/a b/keys.db"), True),  # noqa: FBT003 a row of a table
}
NAMES = {
    "redis://:secret@host:6379/0": "redis://host:6379/0",
    "rediss://acme:secret@host/0": "rediss://host/0",
    "redis://secret@host": "redis://host",
    "redis://a:b@secret@[::1]:6379": "redis://[::1]:6379",
    "redis://host/0?password=secret": "redis://host/0",
    "redis://host/0?pass%77ord=secret": "redis://host/0",
    "rediss://h/0?ssl_password=secret&ssl_ca_certs=/ca.pem": "rediss://h/0",
    "unix://:secret@/run/redis.sock?db=2&password=secret": "unix:///run/redis.sock?db=2",
    "unix:///run/redis.sock?password=secret": "unix:///run/redis.sock",
    "sqlite:///keys.db": "sqlite:///keys.db",
    "file:keys.yaml": "file:keys.yaml",
    **MISTAKABLE,
}


@pytest.mark.parametrize("url", GOOD)
def test_a_url_that_names_a_store(url: str) -> None:
    """It is returned as it is."""
    assert opening.check(url) == url


@pytest.mark.parametrize(("url", "said"), BAD.items())
def test_a_url_that_names_none(url: str, said: str) -> None:
    """It is said what was expected, without a password."""
    with pytest.raises(ValueError, match=r"^expected") as refused:
        opening.check(url)
    assert str(refused.value) == said


@pytest.mark.parametrize(("url", "location"), PATHS.items())
def test_where_a_file_is(url: str, location: Location) -> None:
    """Relative to a folder, unless there is one slash more."""
    assert Location.of(url, Path("/etc/regiongate")) == location


@pytest.mark.parametrize(("url", "name"), NAMES.items())
def test_a_name_holds_no_password(url: str, name: str) -> None:
    """Logs and errors name a store by it: by where it is, if that is sure."""
    assert opening.name(url) == name


def test_commands_read_a_key_file_and_do_not_change_it(tmp_path: Path) -> None:
    """It is edited by people."""
    (tmp_path / "keys.yaml").write_text("version: 1\nkeys: []\n")
    register = opening.register("file:keys.yaml", tmp_path)
    assert list(register.every_key()) == []
    with pytest.raises(StoreError, match=r"keys.yaml: expected a store that commands can change"):
        register.strike([])


def test_a_key_file_that_is_missing(tmp_path: Path) -> None:
    """It is said which, and why."""
    with pytest.raises(StoreError) as refused:
        opening.register("file:keys.yaml", tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}/keys.yaml: expected a key file (No such file or directory)"
    )
