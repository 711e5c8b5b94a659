"""Decodes every record of a database once, in a process that may die of it.

The C extension of maxminddb (seen in 3.2.0) does not report every damaged record as an error: a
map whose key is no string, which one flipped bit can make of any map, ends the process. What a
process of its own has survived, the process that serves will survive as well: the bytes are the
same, and nobody can change them. So it is done once for each file, and remembered. Nothing here
judges what the records say.
"""

import hashlib
import signal
import subprocess
import sys
import warnings
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from regiongate.geo import rehearsed
from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.search_tree import first_addresses
from regiongate.printable import printable

_LONGEST = 300  # seconds
_PROGRAM = "import sys; from regiongate.geo.rehearsal import main; main(*sys.argv[1:])"


def rehearse(database: Database) -> None:
    """Make sure that no record of a database fails to decode.

    Raises:
        DatabaseError: One does, or the file is no longer the one that the database was read from.
    """
    entry = rehearsed.entry(database.digest)
    if not rehearsed.is_remembered(entry):
        _rehearse(database)
        rehearsed.remember(entry)


def _rehearse(database: Database) -> None:
    command = [sys.executable, "-P", "-c", _PROGRAM, str(database.path), database.digest]
    try:
        # Nothing but our own program, and a path as its argument.
        run = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=_LONGEST, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DatabaseError(
            f"{database.path}: expected records that can be decoded within {_LONGEST} seconds, "
            "found that it takes longer",
            "undecodable",
        ) from error
    except OSError as error:
        raise DatabaseError(
            f"{database.path}: expected a process that decodes its records, "
            f"found that none can be started ({error.strerror})",
            "undecodable",
        ) from None
    if problem := _problem(run):
        raise DatabaseError(
            f"{database.path}: expected records that can be decoded, {problem}", "undecodable"
        )


def _problem(run: subprocess.CompletedProcess[str]) -> str:
    if run.returncode < 0:
        return f"found one that ends the process ({signal.strsignal(-run.returncode)})"
    if run.returncode:
        *_, why = ["no reason", *run.stderr.splitlines()]
        return f"and the process that decodes them has failed ({printable(why)})"
    return run.stdout.strip()


def main(path: str, digest: str) -> None:
    """Decode every record of a file, and print what is wrong with them."""
    try:
        database, content = Database.open(Path(path)), Path(path).read_bytes()
        if {database.digest, hashlib.sha256(content).hexdigest()} == {digest}:
            # A key that is read from nowhere rather than from an odd place is a mere warning.
            warnings.simplefilter("error")
            _decode_all(database, content)
        else:
            sys.stdout.write("found another file in its place")
    except (DatabaseError, OSError, DeprecationWarning) as error:
        sys.stdout.write(f"found: {error}")


def _decode_all(database: Database, content: bytes) -> None:
    kind = IPv6Address if database.knows_ipv6 else IPv4Address
    width = kind(0).max_prefixlen
    for number in first_addresses(content, database.node_count, database.record_size, width):
        database.lookup(kind(number))
