"""The options that say what a key and an organisation are like, and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import click
from click.core import ParameterSource

from regiongate.cli.keys.access import USAGE, fail
from regiongate.documents import Document, DocumentError, check
from regiongate.keys.entries import KeyFile, KeyModel, OrganisationModel

_LISTS: Final = ("ownership_countries", "allowed_countries", "denied_countries")
_PLAIN: Final = ("plan", "home_country", "billing_country", "hq_country")
_KEPT: Final = {
    *("id", "digest", "created", "exemptions", "evidence"),
    *("status", "status_reason", "status_at", "status_by"),
}
"""What other commands say of a key or an organisation, or nobody can take back."""
_OWN: Final = ("org", "name", "display", "not_before", "expires", "label")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _countries(_: click.Context, __: click.Parameter, text: str | None) -> list[str] | None:
    return None if text is None else [part for part in text.replace(",", " ").split() if part]


def _labels(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    labels = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"expected NAME=VALUE (got {text!r})")
        labels[name] = value
    return labels


_PROFILE: Final[tuple[Decorator, ...]] = (
    click.option("--plan", help="What was bought."),
    click.option("--home-country", metavar="CODE", help="Where its users are."),
    click.option("--billing-country", metavar="CODE", help="Where it is paid from."),
    click.option("--hq-country", metavar="CODE", help="Where its headquarters are."),
    click.option(
        "--ownership-countries",
        metavar="CODES",
        callback=_countries,
        help="Where its owners are, separated by commas.",
    ),
    click.option(
        "--allowed-countries",
        metavar="CODES",
        callback=_countries,
        help='Where alone it may be used: FR,DE or "" for nowhere.',
    ),
    click.option(
        "--denied-countries", metavar="CODES", callback=_countries, help="Where it may not."
    ),
    click.option(
        "--label",
        "labels",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_labels,
        help="A label; an empty value removes it.",
    ),
)
_KEY: Final[tuple[Decorator, ...]] = (
    click.option("--org", metavar="ID", help="The organisation it belongs to."),
    click.option("--display", help="What people recognise it by."),
    click.option("--not-before", metavar="MOMENT", help="From when it is known."),
    click.option("--expires", metavar="MOMENT", help="From when it is expired."),
)


def of_key(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a key."""
    return _with(function, (*_KEY, *_PROFILE))


def of_organisation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an organisation."""
    return _with(function, (click.option("--name", help="What people call it."), *_PROFILE))


def clear(entry: type[KeyModel | OrganisationModel]) -> Decorator:
    """Return what adds the option that takes back what was said of an entry."""
    names = sorted(entry.model_fields.keys() - _KEPT)
    return click.option(
        "--clear",
        "cleared",
        multiple=True,
        type=click.Choice([name.replace("_", "-") for name in names]),
        help="Take back what was said about this.",
    )


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that were given on the command line."""
    context = click.get_current_context()
    return {
        name: value
        for name, value in values.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


def expect_change(changes: Mapping[str, Any], cleared: tuple[str, ...]) -> None:
    """Refuse to set nothing, and say what can be set.

    Raises:
        click.UsageError: nothing was said.
    """
    if changes or cleared:
        return
    command = click.get_current_context().command
    named = {f"--{name.replace('_', '-')}" for name in (*_PLAIN, *_LISTS, *_OWN)}
    options = [one.opts[0] for one in command.params if one.opts[0] in named]
    raise click.UsageError(f"expected something to change: {', '.join(options)} or --clear")


def key(values: Mapping[str, Any]) -> KeyModel:
    """Make a key of fields, or say what is wrong with them and end."""
    return _checked({"version": 1, "keys": [values]}, "keys[0]").keys[0]


def organisation(values: Mapping[str, Any], name: str = "it") -> OrganisationModel:
    """Make an organisation of fields, or say what is wrong with them and end.

    Args:
        values: the fields.
        name: the id of one that is new, which is checked as well.
    """
    file = _checked({"version": 1, "organisations": {name: values}}, f"organisations.{name}")
    return file.organisations[name]


def changed(
    fields: Mapping[str, Any], changes: Mapping[str, Any], cleared: tuple[str, ...]
) -> dict[str, Any]:
    """Return fields with changes made to them.

    Args:
        fields: what was said before; an empty label removes one.
        changes: what is said now.
        cleared: the names of what is taken back, with hyphens.
    """
    taken_back = {name.replace("-", "_") for name in cleared}
    kept = {name: value for name, value in fields.items() if name not in taken_back}
    labels = {**kept.get("labels", {}), **changes.get("labels", {})}
    labels = {name: value for name, value in labels.items() if value}
    return {**kept, **changes, **({"labels": labels} if labels or "labels" in kept else {})}


def _checked(values: Any, place: str) -> KeyFile:
    """Check a key file of one entry, or say what is wrong with that and end.

    Args:
        values: of the file.
        place: where in it the entry is.
    """
    try:
        return check(Document("", values, None), KeyFile)
    except DocumentError as error:
        for problem in error.problems:
            path = problem.path.removeprefix(place).removeprefix(".")
            message = problem.message.replace("expected this key", "expected this option")
            click.echo(f"{_typed(path)}: {message}", err=True)
        fail("nothing was changed", USAGE)


def _typed(path: str) -> str:
    """Name the option or argument that a field of an entry was typed as.

    Args:
        path: of the field in the entry. Of exemptions only a new one can be wrong.
    """
    of_exemption = _EXEMPTION.match(path)
    name = path[of_exemption.end() :] if of_exemption else path
    field = re.split(r"[.\[]", name)[0]
    if field in {"id", ""}:
        return "--exemption" if of_exemption else "ID"
    return f"--{_SINGULAR.get(field, field).replace('_', '-')}"


_EXEMPTION: Final = re.compile(r"exemptions\[\d+\]\.")
_SINGULAR: Final = {"labels": "label"}


def _with(function: Callable[..., Any], added: tuple[Decorator, ...]) -> Callable[..., Any]:
    for option in reversed(added):
        function = option(function)
    return function
