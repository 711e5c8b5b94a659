"""What one configuration names, loaded: the policy, the keys, the trusted proxies, the databases.

Each is a part that is renewed on its own, and stays what it is where its files say nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from regiongate import policy, reading
from regiongate.address import Network
from regiongate.extauthz.judging import Snapshot
from regiongate.keys.cache import CachedStore
from regiongate.keys.digest import Digester
from regiongate.keys.stores import KeyStore, StoreError, file, opening
from regiongate.keys.strike_counter import PATIENCE, SharedCounter
from regiongate.keys.strikes import StrikeCounter
from regiongate.policy import Exemption, PolicySet
from regiongate.runtime import peppers
from regiongate.runtime.background import Background
from regiongate.runtime.config import ClientAddress, Keys, RangeFile, Settings, range_list
from regiongate.runtime.databases import Databases
from regiongate.runtime.files import Files, LoadError, Part, Reloaded, Unusable, reasons
from regiongate.runtime.named import Named, UnreadableError

_STORE: Final = ("keys", "store")

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
        return reading.text(files.path(named.path.parent / listed))

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
    digester = peppers.digester(config, written, partial(_text, files))
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
