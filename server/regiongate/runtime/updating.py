"""What the section geo.update asks for: each database that is named there, from its source.

A source that cannot be asked is an outcome as well, and holds up no other. Nothing here keeps time
or prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

from regiongate.documents import DocumentError
from regiongate.geo import Database, DatabaseError, Gate, Locator
from regiongate.geo.update.catalogue import Vendor
from regiongate.geo.update.errors import UpdateError
from regiongate.geo.update.renew import Outcome, Target
from regiongate.geo.update.sources import Source, source
from regiongate.geo.update.web import Credentials
from regiongate.runtime import config
from regiongate.runtime.config import Geo
from regiongate.runtime.config.update import LICENSE_KEY
from regiongate.runtime.databases import Place, gate_of, places, probes_of, together

Renew = Callable[[Target, Source], Outcome]
"""The port: updates one database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """With whose leave MaxMind's databases are fetched.

    Attributes:
        id: of the account; None if there is none.
        key_file: that holds the licence key.
        environment: that holds it otherwise.
    """

    id: int | None = None
    key_file: Path | None = None
    environment: Mapping[str, str]

    def credentials(self) -> Credentials:
        """Return what MaxMind is to be shown.

        Raises:
            UpdateError: there is none.
        """
        if self.id is None:
            raise UpdateError("expected the id of an account at MaxMind")
        if self.key_file is None and LICENSE_KEY not in self.environment:
            raise UpdateError(f"expected a licence key, in a file or in {LICENSE_KEY}")
        return Credentials(str(self.id), self._key())

    def _key(self) -> str:
        if self.key_file is None:
            return self.environment[LICENSE_KEY].strip()
        try:
            return config.text(self.key_file).strip()
        except DocumentError as error:
            raise UpdateError(str(error)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A database to be updated from a source.

    Attributes:
        name: of the file, as it is written.
        target: the database.
        source: the name of where it comes from.
        account: for MaxMind.
        mirrors: other addresses than the vendors' own.
    """

    name: str
    target: Target
    source: str
    account: Account
    mirrors: Mapping[Vendor, str]

    def carried_out(self, renew: Renew) -> Outcome:
        """Update it."""
        try:
            found = source(
                self.source,
                today=_today,
                credentials=self.account.credentials,
                mirrors=self.mirrors,
            )
        except UpdateError as error:
            return Outcome(
                path=self.target.path, source=self.source, result="failed", problem=str(error)
            )
        return renew(self.target, found)


def ordered(
    path: Path, environment: Mapping[str, str], *, force: bool = False, allow_older: bool = False
) -> Iterator[Order]:
    """Say what a configuration wants to be updated; nothing if it has no geo.update.

    Args:
        path: of regiongate.yaml.
        environment: where the licence key may be.
        force: fetch what is current, too.
        allow_older: take what is older than the one in use, or much smaller.

    Raises:
        DocumentError: the configuration cannot be used.
    """
    geo, base = config.read(path).geo, path.parent
    written = geo.update
    if written is None:
        return
    maxmind = written.maxmind
    key_file = maxmind.license_key_file if maxmind else None
    account = Account(
        id=maxmind.account_id if maxmind else None,
        key_file=base / key_file if key_file else None,
        environment=environment,
    )
    for name, wanted in written.sources.items():
        target = Target(
            path=base / name, gates=gates(geo, base, name), force=force, allow_older=allow_older
        )
        yield Order(
            name=name, target=target, source=wanted, account=account, mirrors=written.mirrors
        )


def gates(geo: Geo, base: Path, name: str) -> list[Gate]:
    """Return what a new file must pass, for each purpose that it is configured for.

    Args:
        geo: the configuration.
        base: the folder that its paths are relative to.
        name: of the file, as it is written there.
    """
    configured = places(geo, base)
    found = [gate_of(place, geo) for place in configured if place.name == name]
    countries = [place for place in configured if place.role == "country"]
    if not _others_are_there(countries, name):
        return found
    answering = partial(_answering, countries, name)
    return [
        replace(one, probes=probes_of(geo), together=answering) if one.role == "country" else one
        for one in found
    ]


def _others_are_there(countries: Sequence[Place], name: str) -> bool:
    """Say whether the databases of countries can answer together yet."""
    try:
        for place in countries:
            if place.name != name:
                Database.open(place.path)
    except DatabaseError:
        return False
    return True


def _answering(countries: Sequence[Place], name: str, candidate: Database) -> Locator:
    """Return what answers from the databases of countries, with a new one in its place."""
    return together(
        (place, candidate if place.name == name else Database.open(place.path))
        for place in countries
    )


def _today() -> date:
    return datetime.now(UTC).date()
