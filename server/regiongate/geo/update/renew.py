"""Updates one database: asks its source until that answers, and installs what it has if it is new.

Whatever goes wrong with a source or a file is an outcome; the database in use stays. Nothing here
knows HTTP, a configuration or a terminal.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from regiongate.deadline import Deadline
from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.gate import Gate
from regiongate.geo.update.errors import UpdateError
from regiongate.geo.update.install import Nothing, Place, claimed
from regiongate.geo.update.sources import Source
from regiongate.geo.update.web import Get

Result = Literal["updated", "current", "failed"]
Tell = Callable[[str], None]

_JITTER: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is tried.

    Attributes:
        attempts: how often, if what is wrong may pass.
        first: seconds before the second attempt; doubled before each further one.
        longest: seconds between two at most, unless the server asks for more.
        within: seconds for all of them.
        lock: seconds that another process's update is waited for.
    """

    attempts: int = 5
    first: float = 2.0
    longest: float = 60.0
    within: float = 900.0
    lock: float = 960.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is to be kept up to date.

    Attributes:
        path: of the database.
        gates: what a new one must pass, for each of its uses.
        force: fetch it even if it is current.
        allow_older: take one that is older than the one in use, or much smaller.
    """

    path: Path
    gates: Sequence[Gate]
    force: bool = False
    allow_older: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an update ended.

    Attributes:
        source: its name.
        built: when the database that is there now was built; None if there is none.
        problem: why it failed.
        licence: what is asked of whoever uses it.
    """

    path: Path
    source: str
    result: Result
    built: datetime | None = None
    problem: str = ""
    licence: str = ""


def renew(
    target: Target,
    source: Source,
    get: Get,
    *,
    patience: Patience | None = None,
    tell: Tell = lambda _: None,
) -> Outcome:
    """Update a database if its source has a newer one.

    Args:
        target: the database.
        source: where it comes from.
        get: asks the web.
        patience: how long is tried.
        tell: is told why it is waited.
    """
    patience = patience or Patience()
    try:
        with claimed(
            target.path, patience.lock, lambda: tell("waits for another update of this file")
        ) as place:
            built = _attempted(target, source, get, place, patience, tell)
    except UpdateError as error:
        return _failed(target, source, str(error))
    except OSError as error:
        problem = f"expected a folder that can be written to ({error.strerror or error})"
        return _failed(target, source, problem)
    return Outcome(
        path=target.path,
        source=source.name,
        result="updated" if built else "current",
        built=built or _built(target.path),
        licence=source.licence,
    )


def _attempted(  # noqa: PLR0913, PLR0917 the collaborators of one update
    target: Target, source: Source, get: Get, place: Place, patience: Patience, tell: Tell
) -> datetime | None:
    """Try until it is done, or there is no point in trying on."""
    pause = patience.first
    with Deadline(patience.within) as deadline:
        for left in reversed(range(patience.attempts)):
            try:
                return _once(target, source, get, place)
            except UpdateError as error:
                wait = _JITTER.uniform(pause / 2, pause) if error.after is None else error.after
                if not (error.temporary and left and wait < deadline.remaining):
                    raise
                tell(f"{error}; tries again in {wait:.0f} s")
                time.sleep(wait)
                pause = min(2 * pause, patience.longest)
    raise UpdateError("expected at least one attempt")


def _once(target: Target, source: Source, get: Get, place: Place) -> datetime | None:
    """Return when the new database was built; None if the one in use is current."""
    held = Nothing() if target.force else place.held()
    with source.offered(get, held) as offer:
        if offer is None:
            return None
        is_new = place.write(offer.content, offer.md5)
    built: datetime | None = None
    if is_new:
        built = place.judge(target.gates, allow_older=target.allow_older).built
        place.install()
    place.noted(offer.url, offer.validators)
    return built


def _failed(target: Target, source: Source, problem: str) -> Outcome:
    return Outcome(
        path=target.path,
        source=source.name,
        result="failed",
        built=_built(target.path),
        problem=problem,
    )


def _built(path: Path) -> datetime | None:
    try:
        return Database.open(path).built
    except DatabaseError:
        return None
