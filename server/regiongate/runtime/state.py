"""What is in force: the snapshot that Checks are answered from, made of the configured files.

The policy, the keys, the trusted proxies and the databases are loaded each on its own: a mistake in
one keeps that one as it was and does not hold up the others. The configuration itself is taken over
whole or not at all.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from regiongate import policy
from regiongate.address import Network
from regiongate.documents import check, parse
from regiongate.extauthz.service import Event, Snapshot
from regiongate.extauthz.strikes import strike
from regiongate.keys.cache import CachedStore
from regiongate.keys.digest import Digester
from regiongate.keys.stores import KeyStore, StoreError, file, opening
from regiongate.keys.strike_counter import PATIENCE, SharedCounter
from regiongate.keys.strikes import StrikeCounter
from regiongate.policy import Exemption, PolicySet
from regiongate.runtime.background import Background
from regiongate.runtime.config import ClientAddress, Keys, RangeFile, Settings, range_list
from regiongate.runtime.databases import Databases
from regiongate.runtime.files import Files, LoadError, Part, Reloaded, Unusable, reasons
from regiongate.runtime.named import Named, UnreadableError

SETTLE_SECONDS: Final = 0.05
"""A file that has not changed for so long is taken for written, when one is told to reload."""
SETTLE_TRIES: Final = 6

AT_START: Final = (
    "listen",
    "engine",
    "tls",
    "decision_log",
    "limits",
    "metrics",
    "tracing",
    "shutdown",
)
"""The sections of regiongate.yaml that a process goes by until it ends."""

OF_PARENT: Final = ("listen", "shutdown")
"""Those that the parent of several processes goes by until it ends."""

_STORE: Final = ("keys", "store")

_LOG: Final = logging.getLogger(__name__)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """A key store, and how keys become the digests it goes by.

    Attributes:
        background: what keeps the store up to date.
        strikes: counts refusals; None where the store cannot.
    """

    digester: Digester
    store: KeyStore
    background: tuple[Background, ...] = ()
    strikes: StrikeCounter | None = None


class Configured:
    """One configuration and the parts it names.

    Args:
        settings: the configuration.
        config: its path.
        files: take note of what could not be used, so that all is tried again when it changes.
        used: what was in force so far; new databases are held against its, which stay where the
            configuration says the same of them.
        reloaded: is told of every reload of a part.

    Raises:
        LoadError: with every problem in every file it names.
    """

    policies: Part[PolicySet]
    keys: Part[KnownKeys]
    proxies: Part[tuple[Network, ...]]
    databases: Databases

    def __init__(
        self,
        settings: Settings,
        config: Path,
        files: Files,
        used: Configured | None,
        reloaded: Reloaded = lambda _name, _done: None,
    ) -> None:
        self.settings = settings
        self._config = config
        problems: list[str] = []

        def part(
            name: str, load: Callable[[Files, Value | None], Value], before: Value | None
        ) -> Part[Value] | None:
            attempted = Files()
            try:
                return Part(name, load, reloaded, attempted, before)
            except Unusable as error:
                problems.extend(reasons(error))
                for path in attempted.paths:
                    files.path(path)
                return None

        policies = part(
            "policies",
            lambda files, last: _policies(files, config, settings.policy, last),
            used.policies.value if used else None,
        )
        keys = part(
            "keys",
            lambda files, last: _keys(files, config, settings.keys, last),
            # What is remembered of a store is kept where it would be remembered the same way.
            used.keys.value if used and _store(used.settings) == _store(settings) else None,
        )
        proxies = part(
            "proxies",
            lambda files, last: _proxies(files, config, settings.client_address, last),
            used.proxies.value if used else None,
        )
        if used and used.settings.geo == settings.geo:
            databases = used.databases
        else:
            databases = Databases(settings.geo, config, used.databases if used else None, part)
            problems.extend(databases.problems)
            for database in databases.in_use if databases.problems else ():
                files.path(database.place.path)
        if policies is None or keys is None or proxies is None or problems:
            raise LoadError(problems)
        self.policies, self.keys = policies, keys
        self.proxies, self.databases = proxies, databases

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        """Yield every exemption in the key store, each with the id of a key it belongs to.

        Raises:
            LoadError: the store cannot be read.
        """
        try:
            yield from self.keys.value.store.exemptions()
        except StoreError as error:
            store = Named(self._config, _STORE, "")
            raise LoadError([str(store.problem(str(error)))]) from None

    @property
    def parts(self) -> tuple[Part[Any], ...]:
        """Everything that is renewed on its own."""
        lists = (self.proxies,) if self.settings.client_address.lists else ()
        return self.policies, self.keys, *lists, *self.databases.parts

    def snapshot(self) -> Snapshot:
        """Put together what is in force."""
        settings, known = self.settings, self.keys.value
        return Snapshot(
            policies=self.policies.value,
            address=settings.client_address.resolver(self.proxies.value),
            locator=self.databases.locator(),
            extractors=tuple(one.extractor() for one in settings.keys.extract),
            digester=known.digester,
            keys=known.store,
            database_type=self.databases.type,
            database_built=self.databases.built,
            defer_errors=settings.on_error == "defer",
        )


class State:
    """What is in force, and how it is renewed.

    Args:
        path: of regiongate.yaml.
        reloaded: is told of every reload, by the name of the part.
        parents: what the parent of this process goes by, see `of_parent`; empty without one.

    Raises:
        DocumentError, LoadError: the configuration, or a file it names, cannot be used.
    """

    def __init__(
        self,
        path: Path,
        reloaded: Reloaded = lambda _name, _done: None,
        parents: str = "",
    ) -> None:
        self._lock = threading.Lock()
        self._configured = Part(
            "settings", lambda files, used: _configured(files, path, used, reloaded), reloaded
        )
        self._snapshot = self.configured.snapshot()
        self._began_with = {**at_start(self.configured.settings), **json.loads(parents or "{}")}

    @property
    def configured(self) -> Configured:
        """The configuration in force, with its parts."""
        return self._configured.value

    @property
    def problems(self) -> dict[str, str]:
        """Say of each part why its last reload failed; empty where it did not."""
        return {one.name: one.problem for one in (self._configured, *self.configured.parts)}

    def snapshot(self) -> Snapshot:
        """Return what Checks are answered from now."""
        return self._snapshot

    def background(self) -> tuple[Background, ...]:
        """Return the work that belongs to what is in force."""
        return self.configured.keys.value.background

    def strike(self, event: Event) -> None:
        """Count a refusal towards the suspension of its key; returns at once."""
        found = strike(event)
        if found is not None and (counter := self.configured.keys.value.strikes) is not None:
            counter.add(found)

    def poll(self) -> None:
        """Take over the files that have changed and then held still."""
        with self._lock:
            before = self.configured
            if self._configured.poll():
                self._reconfigured(before)
            for part in self.configured.parts:
                if part in before.parts and part.poll():
                    self._renewed(part)

    def reload(self) -> None:
        """Take over every file again, once none is being written to.

        Each part is in force as soon as it is loaded: keys do not wait for databases.
        """
        with self._lock:
            self._settle()
            before, answering = self.configured, self._snapshot
            if self._configured.reload():
                self._reconfigured(before)
            for part in self.configured.parts:
                if part in before.parts and part.reload():
                    self._renewed(part)
            if self._snapshot is answering and not any(self.problems.values()):
                _LOG.info("read again: every file says what is in force")

    def _renewed(self, part: Part[Any]) -> None:
        """Put a part in force, and say so."""
        self._snapshot = self.configured.snapshot()
        _LOG.info("in force from now on: the new %s", part.name)

    def _reconfigured(self, before: Configured) -> None:
        """Put a configuration in force; name the sections that are new, and the parts."""
        old, new = before.settings, self.configured.settings
        self._snapshot = self.configured.snapshot()
        if changed := [one for one in _changed(old, new) if one not in AT_START]:
            _LOG.info("in force from now on: the new settings (%s)", ", ".join(changed))
        values = [part.value for part in before.parts]
        for part in self.configured.parts:
            if not any(part.value is value for value in values):
                _LOG.info("in force from now on: the new %s", part.name)
        self._say_what_needs_a_restart(old, new)

    def _say_what_needs_a_restart(self, old: Settings, new: Settings) -> None:
        """Say it where it is not what it was; this process goes by what it began with."""
        before, now = (need_restart(self._began_with, one) for one in (old, new))
        if now and now != before:
            _LOG.warning("changes under %s need a restart", ", ".join(now))
        elif before and not now:
            _LOG.info("no change needs a restart any more")

    @property
    def need_restart(self) -> tuple[str, ...]:
        """The sections that say otherwise than this process, or its parent, does."""
        return need_restart(self._began_with, self.configured.settings)

    def _settle(self) -> None:
        """Wait until the files hold still, for a while; polling takes over what is late."""
        parts = (self._configured, *self.configured.parts)
        seen = [part.now() for part in parts]
        for _ in range(SETTLE_TRIES):
            time.sleep(SETTLE_SECONDS)
            seen, before = [part.now() for part in parts], seen
            if seen == before:
                return


def _configured(
    files: Files, path: Path, used: Configured | None, reloaded: Reloaded
) -> Configured:
    settings = check(parse(str(path), files.text(path)), Settings)
    if used and settings == used.settings:
        return used  # Its parts are renewed on their own.
    return Configured(settings, path, files, used, reloaded)


def at_start(settings: Settings) -> dict[str, Any]:
    """Return what a process that starts now goes by until it ends, section by section."""
    return settings.model_dump(mode="json", include=set(AT_START))


def of_parent(settings: Settings) -> str:
    """Return what a parent that starts now goes by until it ends, as JSON."""
    return settings.model_dump_json(include=set(OF_PARENT))


def need_restart(began_with: Mapping[str, Any], now: Settings) -> tuple[str, ...]:
    """Name the sections that have changed and that a process looks at when it starts.

    Args:
        began_with: what it goes by; see `at_start`.
        now: the configuration as it is now.
    """
    written = at_start(now)
    return tuple(one for one in AT_START if written[one] != began_with[one])


def _changed(before: Settings, now: Settings) -> list[str]:
    """Name the sections that are not the same, in the order they are written in."""
    return [one for one in Settings.model_fields if getattr(before, one) != getattr(now, one)]


def _store(settings: Settings) -> tuple[object, ...]:
    keys = settings.keys
    return keys.store, keys.cache, keys.lookup, keys.on_store_error


def _text(files: Files, named: Named) -> str:
    """Read a file that the configuration names."""
    files.path(named.path)
    return files.text(named.expect())


def _policies(files: Files, config: Path, name: str, used: PolicySet | None) -> PolicySet:
    named = Named(config, ("policy",), name)

    def read(listed: str) -> str:
        return files.path(named.path.parent / listed).read_text(encoding="utf-8")

    found = policy.load(str(named.path), _text(files, named), read)
    return used if used and used.digest == found.digest else found


def _proxies(
    files: Files, config: Path, written: ClientAddress, used: tuple[Network, ...] | None
) -> tuple[Network, ...]:
    def read(listed: RangeFile) -> tuple[Network, ...]:
        named = Named(config, written.key_of(listed), listed.file)
        return range_list.read(str(named.path), _text(files, named), listed.service)

    found = written.proxies(read)
    return used if used == found else found


def _keys(files: Files, config: Path, written: Keys, used: KnownKeys | None) -> KnownKeys:
    base = config.parent
    digester = written.digester(lambda key, name: _text(files, Named(config, ("keys", key), name)))
    if written.store is None:
        return _same(used, KnownKeys(digester, file.EMPTY))
    if written.store.startswith("file:"):
        named = Named(config, _STORE, written.store.removeprefix("file:"))
        found = file.load(str(named.path), _text(files, named), digester)
        return _same(used, KnownKeys(digester, found))
    if used is not None:
        # Another pepper, and the same store: what it remembers is by digests of either.
        return used if used.digester == digester else replace(used, digester=digester)
    _expect_store(files, config, written.store)
    source = opening.source(written.store, base)
    store = CachedStore(opening.name(written.store), source, written.limits())
    # An empty file in the place of one that is missing would make every key unknown.
    register = partial(opening.register, written.store, base, PATIENCE, create=False)
    counter = SharedCounter(register)
    return KnownKeys(digester, store, (store, counter), counter)


def _same(used: KnownKeys | None, found: KnownKeys) -> KnownKeys:
    """Return what is in force where a key file says nothing else."""
    if used and (used.digester, used.store.version) == (found.digester, found.store.version):
        return used
    return found


def _expect_store(files: Files, config: Path, url: str) -> None:
    """Expect the file of a store to be there before it is first used; later that is an outage."""
    try:
        # Watched while it is missing, so that it is tried again; its changes are no reloads.
        opening.expect(url, config.parent, files.path)
    except StoreError as error:
        raise UnreadableError([Named(config, _STORE, url).problem(str(error))]) from None
