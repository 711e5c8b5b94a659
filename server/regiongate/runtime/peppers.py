"""What keys are digested with: the peppers that a configuration names.

Opens no file: whoever asks reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from regiongate.documents import DocumentError
from regiongate.keys.digest import Digester
from regiongate.runtime.config import Keys
from regiongate.runtime.named import Named


def digester(config: Path, written: Keys, read: Callable[[Named], str]) -> Digester:
    """Make what digests keys.

    Args:
        config: the path of regiongate.yaml.
        written: its section.
        read: returns the text of a file that it names.

    Raises:
        DocumentError: a file cannot be read, or that of the pepper is empty: every key would be
            unknown, and new ones would be kept without it. The previous one may be none.
    """
    today, previous = b"", None
    if written.pepper_file is not None:
        named = Named(config, ("keys", "pepper_file"), written.pepper_file)
        today = _pepper(read(named))
        if not today:
            raise DocumentError([named.problem(f"{named.path}: expected a pepper (got nothing)")])
    if written.previous_pepper_file is not None:
        named = Named(config, ("keys", "previous_pepper_file"), written.previous_pepper_file)
        previous = Digester(_pepper(read(named)))
    return Digester(today, previous)


def _pepper(text: str) -> bytes:
    return text.strip().encode()
