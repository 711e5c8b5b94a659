"""The shape of regiongate.yaml, and what its sections mean.

Nothing here opens a file but the configuration itself; `runtime.state` makes the things it names.
"""

from __future__ import annotations

from pathlib import Path

from regiongate import reading
from regiongate.documents import Document, DocumentError, Problem, check, parse
from regiongate.runtime.config.client_address import ClientAddress, RangeFile
from regiongate.runtime.config.geo import Geo
from regiongate.runtime.config.keys import Keys
from regiongate.runtime.config.settings import Settings, Tls, Tracing
from regiongate.runtime.config.update import Update

__all__ = [
    "ClientAddress",
    "Geo",
    "Keys",
    "RangeFile",
    "Settings",
    "Tls",
    "Tracing",
    "Update",
    "document",
    "read",
    "text",
]


def read(path: Path) -> Settings:
    """Read regiongate.yaml.

    Raises:
        DocumentError: with every problem found; also when the file cannot be read.
    """
    return check(document(path), Settings)


def document(path: Path) -> Document:
    """Open and parse a YAML file.

    Raises:
        DocumentError: it cannot be read, is not UTF-8, or is not YAML.
    """
    return parse(str(path), text(path))


def text(path: Path) -> str:
    """Read a text file.

    Raises:
        DocumentError: it cannot be read, is too large or is not UTF-8.
    """
    try:
        return reading.text(path)
    except UnicodeDecodeError as error:
        expected = f"expected UTF-8 ({error.reason})"
        raise DocumentError([Problem(str(path), 1, "", expected)]) from None
    except (OSError, ValueError) as error:  # a NUL in the path is a ValueError
        why = error.strerror if isinstance(error, OSError) else error
        expected = f"expected a readable file ({why})"
        raise DocumentError([Problem(str(path), 1, "", expected)]) from None
