"""What every key command needs: the store that is configured, the digester, and who is asking."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final, NoReturn

import click
import orjson

from regiongate.cli import options
from regiongate.keys import entries
from regiongate.keys.digest import Digester
from regiongate.keys.entries import EntryError
from regiongate.keys.extraction import Extractor, FromHeader
from regiongate.keys.register import Conflict, Edited, Note, Register
from regiongate.keys.stores import StoreError, opening
from regiongate.runtime import config as configuration
from regiongate.runtime import peppers
from regiongate.runtime.named import Named

USAGE = 2

_USUAL: Final = (FromHeader("authorization", "Bearer"),)
"""Where keys are carried when nothing is configured."""


@dataclass(frozen=True, slots=True)
class Access:
    """A store that commands work on.

    Attributes:
        name: of the store, without a password.
        extractors: where requests carry keys.
        policy: the path of the configured policy; None without a configuration.
    """

    name: str
    register: Register
    digester: Digester
    extractors: Sequence[Extractor]
    policy: Path | None = None


def command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which store, and an Access for its first argument."""
    return _command(function, create=False)


def change(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a change: as `command`, with a Note for its second argument."""
    return _change(function, create=False)


def addition(function: Callable[..., Any]) -> Callable[..., Any]:
    """Do as `change`, for what brings something new: a file that is missing is made."""
    return _change(function, create=True)


def _command(function: Callable[..., Any], *, create: bool) -> Callable[..., Any]:
    @options.configuration
    @click.option("--store", help="The URL of the store; the configured one if left out.")
    @wraps(function)
    def wrapped(*, config: Path, store: str | None, **arguments: Any) -> Any:
        try:
            with _opened(config, store, create=create) as access:
                return function(access, **arguments)
        except (StoreError, EntryError) as error:
            fail(str(error), USAGE)
        except Conflict as conflict:
            fail(str(conflict))

    return wrapped


def _change(function: Callable[..., Any], *, create: bool) -> Callable[..., Any]:
    @click.option(
        "--by", default=None, help="Who makes the change; whoever is logged in if left out."
    )
    @click.option("--why", default="", help="Why; recorded.")
    @wraps(function)
    def wrapped(access: Access, *, by: str | None, why: str, **arguments: Any) -> Any:
        context = click.get_current_context()
        note = Note(at=datetime.now(UTC), who=by or _who(), what=context.info_name or "", why=why)
        return function(access, note, **arguments)

    return _command(wrapped, create=create)


def fail(message: str, code: int = 1) -> NoReturn:
    """Say what is wrong, and end."""
    click.echo(message, err=True)
    sys.exit(code)


def print_json(value: Any) -> None:
    """Print JSON."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def print_edited(edited: Edited[Any], **named: str) -> None:
    """Print an entry as it is now as JSON, and whether it was another before.

    Args:
        named: what the entry itself does not say of it.
    """
    kept = orjson.loads(entries.write(edited.entry))
    print_json({**named, **kept, "changed": edited.changed})


def say_unchanged(subject: str) -> None:
    """Say that what was to be so was so already."""
    click.echo(f"{subject}: it was so already; nothing was changed", err=True)


def warn(message: str) -> None:
    """Say what is allowed and most likely not meant."""
    click.echo(f"warning: {message}", err=True)


def read_key(*, given: bool, file: Any) -> str | None:
    """Read a key from a file, a prompt or standard input; never from the command line.

    Args:
        given: whether there is one beside the file.
        file: that holds it, or None.
    """
    if file is not None:
        return str(file.read().strip())
    if not given:
        return None
    if sys.stdin.isatty():
        return str(click.prompt("API key", hide_input=True))
    return sys.stdin.readline().strip()


@contextmanager
def _opened(config: Path, store: str | None, *, create: bool) -> Iterator[Access]:
    settings, base = (None, Path()) if store else (configuration.read(config), config.parent)
    if settings is None and config.is_file():
        # Another store by the same peppers.
        settings, base = configuration.read(config), Path()
    keys = settings.keys if settings else None
    url = store or (keys.store if keys else None)
    if url is None:
        fail(f"{config}: keys.store: expected a store", USAGE)
    try:
        opening.check(url)
    except ValueError as error:
        fail(f"--store: {error}", USAGE)
    digester = peppers.digester(config, keys, _text) if keys else Digester()
    extractors = tuple(one.extractor() for one in keys.extract) if keys else ()
    policy = config.parent / settings.policy if settings else None
    with _register(url, base, create=create) as register:
        yield Access(opening.name(url), register, digester, extractors or _USUAL, policy)


def _register(url: str, base: Path, *, create: bool) -> AbstractContextManager[Register]:
    if create:
        return opening.beginning(url, base)
    return closing(opening.register(url, base, create=False))


def _text(named: Named) -> str:
    return configuration.text(named.expect())


def _who() -> str:
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
