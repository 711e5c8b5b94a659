"""What a start needs beyond what is reloaded: addresses, the decision log, TLS, accounts.

`validate` looks at all of it and makes nothing; a start goes by the same words.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import orjson

from regiongate import documents
from regiongate.documents import DocumentError, Problem
from regiongate.geo.update.catalogue import vendor
from regiongate.keys.digest import Digester, split
from regiongate.keys.stores import StoreError, opening
from regiongate.runtime import config as configuration
from regiongate.runtime.config import Settings, Update
from regiongate.runtime.config.settings import DecisionLog, Listen
from regiongate.runtime.config.update import LICENSE_KEY
from regiongate.runtime.files import Files
from regiongate.runtime.named import Named
from regiongate.runtime.sockets import BindError, ensure_possible
from regiongate.runtime.tls import Certificates
from regiongate.telemetry import privacy
from regiongate.telemetry.decision_log import STDOUT

_PATIENCE: Final = 5.0
"""Seconds that a key store may take to show a key."""


def problems(config: Path, settings: Settings) -> Iterator[Problem]:
    """Yield why a start would fail.

    Args:
        config: the path of regiongate.yaml.
        settings: read from it.
    """
    yield from _of_listen(config, settings.listen)
    if settings.decision_log is not None:
        yield from _of_decision_log(config, settings.decision_log)
    if settings.tls is not None:
        try:
            Certificates(settings.tls, config).load(Files())
        except DocumentError as error:
            yield from error.problems


def warnings(
    config: Path, settings: Settings, digester: Digester, environment: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield what a start survives and clients, keys or updates do not.

    Args:
        config: the path of regiongate.yaml.
        settings: read from it, and without problems.
        digester: of keys, by the peppers there are.
        environment: where a licence key may be.

    Raises:
        DocumentError: the key store cannot be read.
    """
    if settings.tls is not None:
        certificates = Certificates(settings.tls, config)
        if doubt := certificates.load(Files()).doubt(datetime.now(UTC)):
            yield certificates.problem(doubt)
    if settings.geo.update is not None:
        yield from _of_account(config, settings.geo.update, environment)
    if settings.keys.store is not None:
        yield from _of_pepper(config, settings.keys.store, digester)


def secret(config: Path, written: DecisionLog) -> bytes:
    """Return what addresses are hidden with in the decision log; nothing if they are not.

    Raises:
        DocumentError: the file that holds it cannot be read, or holds too little.
    """
    if written.hmac_key_file is None:
        return b""
    named = Named(config, ("decision_log", "hmac_key_file"), written.hmac_key_file)
    found = configuration.text(named.expect()).strip().encode()
    if len(found) < privacy.SECRET_BYTES:
        expected = f"expected at least {privacy.SECRET_BYTES} bytes (got {len(found)})"
        raise DocumentError([named.problem(f"{named.path}: {expected}")])
    return found


def unwritable(config: Path, written: DecisionLog, error: OSError) -> Problem:
    """Make the problem of a decision log that cannot be written."""
    named = Named(config, ("decision_log", "path"), written.path)
    expected = f"expected a file that can be written ({error.strerror})"
    return named.problem(f"{named.path}: {expected}")


def _of_listen(config: Path, written: Listen) -> Iterator[Problem]:
    """Yield which addresses are none of this machine's; one that is in use is ours, most likely."""
    addresses: dict[documents.Path, str] = {
        ("listen", "grpc", index): address for index, address in enumerate(written.grpc)
    }
    if written.admin is not None:
        addresses["listen", "admin"] = written.admin
    for key, address in addresses.items():
        try:
            ensure_possible(address)
        except BindError as error:
            yield Named(config, key, address).problem(str(error))


def _of_decision_log(config: Path, written: DecisionLog) -> Iterator[Problem]:
    try:
        secret(config, written)
    except DocumentError as error:
        yield from error.problems
    if written.path == STDOUT:
        return
    try:
        _expect_writable(config.parent / written.path)
    except OSError as error:
        yield unwritable(config, written, error)


def _expect_writable(path: Path) -> None:
    """Expect that a file can be appended to, or made; neither is tried.

    Raises:
        OSError: it cannot be.
    """
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        kind = None
    if kind is None and not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if kind is not None and stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if kind is not None and stat.S_ISSOCK(kind):
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
    there = kind is not None
    needed = os.W_OK if there else os.W_OK | os.X_OK
    effective = os.access in os.supports_effective_ids
    if not os.access(path if there else path.parent, needed, effective_ids=effective):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _of_account(config: Path, written: Update, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Yield why databases could not be fetched from MaxMind."""
    maxmind = written.maxmind
    if maxmind is None or "maxmind" not in map(vendor, written.sources.values()):
        return
    key = ("geo", "update", "maxmind", "license_key_file")
    named = Named(config, key, maxmind.license_key_file or "")
    if maxmind.license_key_file is None:
        if LICENSE_KEY not in environment:
            yield named.problem(f"expected a licence key, in a file or in {LICENSE_KEY}")
        return
    try:
        found = configuration.text(named.expect()).strip()
    except DocumentError as error:
        yield from error.problems
        return
    if not found:
        yield named.problem(f"{named.path}: expected a licence key (got nothing)")


def _of_pepper(config: Path, store: str, digester: Digester) -> Iterator[Problem]:
    """Yield that keys are not known by today's peppers, as far as the first key tells.

    Raises:
        DocumentError: the store cannot be read.
    """
    named = Named(config, ("keys", "store"), store)
    try:
        with opening.reading(store, config.parent, _PATIENCE) as register:
            first = list(islice(register.every_key(), 1))
    except StoreError as error:
        raise DocumentError([named.problem(str(error))]) from None
    for entry in first:
        known_by, _ = split(orjson.loads(entry)["digest"])
        if known_by not in digester.algorithms:
            because = f"as {'a' if digester.pepper else 'no'} pepper is configured"
            yield named.problem(
                f"{opening.name(store)}: expected digests of {digester.algorithm}, {because}"
                f" (got {known_by}): no key of the other kind is known"
            )
