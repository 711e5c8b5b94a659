"""A file of address ranges, such as content delivery networks publish.

Knows nothing of whose ranges they are, and opens no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import orjson

from regiongate.address import Network
from regiongate.documents import Document, DocumentError, Problem, parse, shown
from regiongate.runtime.config.fields import network

MOST: Final = 20
"""Problems, and names of services, that are told one by one."""


def read(name: str, text: str, service: str | None = None) -> tuple[Network, ...]:
    """Read a range a line, with # for comments, a JSON list of ranges, or AWS's ip-ranges.json.

    Args:
        name: the file's name, for messages.
        text: its content.
        service: of AWS, whose ranges are meant; the others are anybody's who rents a machine.

    Raises:
        DocumentError: with every line that is no range; also where there is no range at all.
    """
    text = text.removeprefix("\ufeff")
    entries = list(_entries(name, text, service))
    problems = [entry for entry in entries if isinstance(entry, Problem)]
    if not entries:
        # Nobody would be trusted, and every client be taken for its proxy.
        problems = [Problem(name, 1, "", "expected an address range a line (got none)")]
    if len(problems) > MOST:
        more = f"{len(problems) - MOST} further entries cannot be used either"
        problems[MOST:] = [Problem(name, problems[MOST].line, "", more)]
    if problems:
        raise DocumentError(problems)
    return tuple(entry for entry in entries if not isinstance(entry, Problem))


def _entries(name: str, text: str, service: str | None) -> Iterator[Network | Problem]:
    first = text.lstrip()[:1]
    if first == "{":
        return _of_service(name, text, service)
    if service is not None:
        expected = "expected AWS's ip-ranges.json, as a service is named for it"
        return iter([Problem(name, 1, "", f"{expected} (got something else)")])
    return _listed(parse(name, text)) if first == "[" else _lines(name, text)


def _of_service(name: str, text: str, service: str | None) -> Iterator[Network | Problem]:
    """Read https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-syntax.html."""
    try:
        listed = [
            (entry["service"], str(entry[key]))
            for kind, key in _AWS.items()
            for entry in orjson.loads(text)[kind]
        ]
    except orjson.JSONDecodeError as error:
        yield Problem(name, error.lineno, "", f"expected JSON ({error.msg})")
        return
    except (KeyError, TypeError):
        yield Problem(name, 1, "", "expected the form of AWS's ip-ranges.json (got another)")
        return
    written = [prefix for of, prefix in listed if of == service]
    if not written:
        known = sorted({str(of) for of, _ in listed})
        names = ", ".join(map(shown, known[:MOST])) + ", …" * (len(known) > MOST)
        got = "none is named" if service is None else f"got {shown(service)}"
        yield Problem(name, 1, "", f"expected a service of {names or 'any name'} ({got})")
    looked_for = 0
    for prefix in written:
        try:
            yield network(prefix)
        except ValueError as error:
            # The parser does not tell the line, and to look for each of thousands takes too long.
            at = text.find(prefix) if looked_for < MOST else 0
            looked_for += 1
            yield Problem(name, text.count("\n", 0, at) + 1, "", str(error))


_AWS: Final = {"prefixes": "ip_prefix", "ipv6_prefixes": "ipv6_prefix"}


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
