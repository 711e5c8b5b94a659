"""A file of address ranges, such as content delivery networks publish.

Knows nothing of whose ranges they are, and opens no file.
"""

from __future__ import annotations

from collections.abc import Iterator

from regiongate.address import Network
from regiongate.documents import Document, DocumentError, Problem, parse, shown
from regiongate.runtime.config.fields import network


def read(name: str, text: str) -> tuple[Network, ...]:
    """Read a range a line, with # for comments, or a JSON list of ranges.

    Args:
        name: the file's name, for messages.
        text: its content.

    Raises:
        DocumentError: with every line that is no range; also where there is no range at all.
    """
    text = text.removeprefix("\ufeff")
    entries = list(_listed(parse(name, text)) if text.lstrip()[:1] == "[" else _lines(name, text))
    problems = [entry for entry in entries if isinstance(entry, Problem)]
    if not entries:
        # Nobody would be trusted, and every client be taken for its proxy.
        problems = [Problem(name, 1, "", "expected an address range a line (got none)")]
    if problems:
        raise DocumentError(problems)
    return tuple(entry for entry in entries if not isinstance(entry, Problem))


def _lines(name: str, text: str) -> Iterator[Network | Problem]:
    for number, line in enumerate(text.split("\n"), start=1):
        written = line.partition("#")[0].strip()
        if written:
            try:
                yield network(written)
            except ValueError as error:
                yield Problem(name, number, "", str(error))


def _listed(document: Document) -> Iterator[Network | Problem]:
    if not isinstance(document.data, list):
        yield document.problem((), f"expected a list (got {shown(document.data)})")
        return
    for index, written in enumerate(document.data):
        try:
            yield network(written)
        except ValueError as error:
            yield document.problem((index,), str(error))
