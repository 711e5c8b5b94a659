"""`regiongate doctor`: what is wrong with the wiring, and what to write instead."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO

import click

from regiongate.cli import options
from regiongate.cli.doctor.expecting import expected
from regiongate.cli.doctor.printing import report
from regiongate.cli.policy.files import policies
from regiongate.doctor.address import url
from regiongate.doctor.diagnosis import diagnose, skipped
from regiongate.doctor.envoy import is_envoys
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding, Place, Severity
from regiongate.doctor.observation import Observation, ObservationError
from regiongate.doctor.snippet import snippet
from regiongate.doctor.tree import Node, read
from regiongate.documents import Document, DocumentError
from regiongate.printable import printable
from regiongate.runtime import config as configuration
from regiongate.runtime.inquiry import InquiryError, ask

_PAGE = "/wiring"


@click.command()
@options.configuration
@click.option(
    "--admin",
    metavar="ADDRESS",
    help="Of the running service: http://host:port or unix:/path; listen.admin when left out.",
)
@click.option(
    "--envoy",
    type=click.File("rb"),
    metavar="FILE",
    help="Envoy's configuration: envoy.yaml, or the answer of /config_dump; - is standard input.",
)
@options.as_json
def doctor(*, config: Path, admin: str | None, envoy: IO[bytes] | None, as_json: bool) -> None:
    """Say what is wrong with the wiring of Envoy and RegionGate; exit 1 when something is.

    Asks the running service how recent requests arrived, and reads Envoy's configuration where it
    is given. What neither tells is said to be unknown. Changes nothing.
    """
    settings = configuration.read(config)
    wanted = expected(settings, policies(config.parent / settings.policy))
    given = None if envoy is None else _given(envoy)
    observed, unanswered = _observed(admin, wanted.admin)
    found = [*unanswered, *diagnose(wanted, observed, given, unanswered=bool(unanswered))]
    needed = snippet(wanted, _hops(found, given, wanted))
    if as_json:
        told = {"findings": [asdict(one) for one in found], "snippet": needed}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(report(found, needed))
    sys.exit(int(any(one.severity is Severity.WRONG for one in found)))


def _hops(found: list[Finding], given: Node | None, wanted: Expected) -> int | None:
    """Return Envoy's own xff_num_trusted_hops where it was measured and not found wrong."""
    names = {one.name for one in found}
    kept = names & {"hops", "hops-passed-by"} and "hops-too-many" not in names
    return skipped(given, wanted) if kept else None


def _given(file: IO[bytes]) -> Node:
    """Read Envoy's configuration.

    Raises:
        DocumentError: it is none.
    """
    name = getattr(file, "name", "<stdin>")
    try:
        text = file.read().decode()
    except UnicodeDecodeError as error:
        nothing = Document(name, None, None)
        raise DocumentError([nothing.problem((), f"expected UTF-8 ({error.reason})")]) from None
    try:
        return _envoys(read(name, text))
    except DocumentError as error:
        raise DocumentError(
            replace(one, path=printable(one.path), message=printable(one.message))
            for one in error.problems
        ) from None


def _envoys(given: Node) -> Node:
    if not is_envoys(given):
        nothing = Document(given.file, None, None)
        what = "expected an Envoy configuration (static_resources, listeners, …) or the answer of"
        raise DocumentError([nothing.problem((), f"{what} /config_dump (got neither)")])
    return given


def _observed(
    admin: str | None, configured: str
) -> tuple[tuple[Observation, Place] | None, list[Finding]]:
    """Ask the running service, where it is known.

    Who names its address expects it to answer; the one in the configuration may be on another
    machine.
    """
    address = (admin or configured).removeprefix("http://").rstrip("/")
    if not address:
        return None, []
    place = Place(f"{address}{_PAGE}")
    try:
        return (Observation.read(ask(address, _PAGE)), place), []
    except (InquiryError, ObservationError, ValueError) as error:
        severity = Severity.WRONG if admin else Severity.UNKNOWN
        what = f"the running service does not tell how requests arrive: {error}"
        other = configured not in ("", address)
        instead = f"--admin {url(configured)}   # listen.admin" if other else ""
        return None, [Finding(severity, "no-answer", what, instead, place)]
