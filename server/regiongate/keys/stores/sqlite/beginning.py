"""A new file, which takes its place once there is something in it.

What is refused leaves no empty store behind, in which every key would be unknown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from regiongate.keys.stores import StoreError
from regiongate.keys.stores.sqlite.database import Location
from regiongate.keys.stores.sqlite.register import SqliteRegister


@contextmanager
def begun(location: Location, patience: float) -> Iterator[SqliteRegister]:
    """Lend a register of a file that is made beside its place.

    Args:
        location: where nothing is yet.
        patience: seconds that other writers are waited for.

    Raises:
        StoreError: it cannot be made, or somebody else has made one meanwhile.
    """
    place = location.path
    try:
        folder = TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent)
    except (OSError, ValueError) as error:  # a NUL in the path is a ValueError
        why = error.strerror if isinstance(error, OSError) else error
        expected = f"expected a folder that can be written to ({why})"
        raise StoreError(f"{location}: {expected}") from None
    with folder as name:
        new = Location(Path(name) / place.name, called=str(location))
        register = SqliteRegister(new, patience)
        written = False
        try:
            yield register
        finally:
            # However a command has ended: what it has committed stays.
            written = any(True for _ in register.history())
            register.close()
            if written:
                _put(new.path, location)


def _put(new: Path, location: Location) -> None:
    """Put a file in its place, unless there is one by now.

    Raises:
        StoreError: there is.
    """
    try:
        os.link(new, location.path)
    except FileExistsError:
        why = "somebody else has made it meanwhile"
        raise StoreError(f"{location}: expected no file yet ({why}); try again") from None
    except OSError:
        # Not every file system has links.
        new.replace(location.path)
