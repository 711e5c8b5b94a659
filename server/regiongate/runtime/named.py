"""A file that regiongate.yaml names, and by which key: what is wrong with it is told with both.

Opens no file but the configuration, for its lines.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from regiongate import documents
from regiongate.documents import Document, DocumentError, Problem
from regiongate.runtime import config as configuration


class UnreadableError(DocumentError):
    """A file that the configuration names is not there, or may not be read."""


@dataclass(frozen=True, slots=True)
class Named:
    """A file that the configuration names.

    Attributes:
        config: the path of regiongate.yaml.
        key: that names the file.
        name: of the file, as it is written there.
    """

    config: Path
    key: documents.Path
    name: str

    @property
    def path(self) -> Path:
        """Where the file is to be."""
        return self.config.parent / self.name

    def problem(self, message: str) -> Problem:
        """Make a problem of the key, at its line of the configuration as that is now."""
        try:
            document = configuration.document(self.config)
        except DocumentError:
            document = Document(str(self.config), None, None)
        return document.problem(self.key, message)

    def expect(self) -> Path:
        """Return the path of the file, which is to be there for us to read.

        It is looked at and not opened: a pipe can be opened just once.

        Raises:
            UnreadableError: it is not there, or may not be read.
        """
        try:
            _expect_readable(self.path)
        except (OSError, ValueError) as error:  # a NUL in the path is a ValueError
            why = error.strerror if isinstance(error, OSError) else error
            message = f"{self.path}: expected a readable file ({why})"
            raise UnreadableError([self.problem(message)]) from None
        return self.path


def _expect_readable(path: Path) -> None:
    if stat.S_ISDIR(path.stat().st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    effective = os.access in os.supports_effective_ids
    if not os.access(path, os.R_OK, effective_ids=effective):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
