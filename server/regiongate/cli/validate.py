"""`regiongate validate`: would this configuration be put in force, and is it meant?"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from regiongate.cli import options
from regiongate.cli.gathering import gathered
from regiongate.documents import resembling
from regiongate.policy.exemptions import EVERY_RULE, Exemption
from regiongate.policy.lint import lint
from regiongate.runtime import config as configuration
from regiongate.runtime import needs
from regiongate.runtime.configured import Configured
from regiongate.runtime.files import Unusable, reasons
from regiongate.runtime.state import State
from regiongate.runtime.validity import SOON


@click.command()
@options.configuration
@options.as_json
def validate(config: Path, *, as_json: bool) -> None:
    """Check the configuration and every file it names; exit 1 when one cannot be used.

    Warnings tell what is allowed and most likely not meant; they change nothing.
    """
    problems, warnings = _findings(config)
    if as_json:
        answer = {"valid": not problems, "problems": problems, "warnings": warnings}
        click.echo(json.dumps(answer, indent=2))
    else:
        for line in (*problems, *(f"warning: {one}" for one in warnings)):
            click.echo(line)
        click.echo(f"{config}: {'cannot be used' if problems else 'valid'}")
    sys.exit(bool(problems))


def _findings(config: Path) -> tuple[list[str], list[str]]:
    """Return the problems, and the warnings if there are none."""
    try:
        settings = configuration.read(config)
    except Unusable as error:
        return reasons(error), []
    problems = [str(one) for one in needs.problems(config, settings)]
    try:
        with gathered() as said:
            configured = State(config).configured
        return problems, [] if problems else [*said, *_warnings(configured, config)]
    except Unusable as error:
        return [*reasons(error), *problems], []


def _warnings(configured: Configured, config: Path) -> Iterator[str]:
    now = datetime.now(UTC)
    policies, settings = configured.policies.value, configured.settings
    document = configuration.document(config.parent / settings.policy)
    subdivisions = configured.databases.know_subdivisions
    for finding in lint(
        policies,
        now,
        subdivisions=subdivisions,
        keys=settings.keys.store is not None,
        counts=configured.keys.value.strikes is not None,
    ):
        yield str(document.problem(finding.path, finding.message))
    yield from _address_warnings(configured)
    yield from _needs_warnings(configured, config)
    rules = {rule.name for policy in policies.policies.values() for rule in policy.rules}
    # An organisation's is each of its keys', and told once.
    keys_of: dict[Exemption, list[str]] = {}
    for key, exemption in configured.exemptions():
        keys_of.setdefault(exemption, []).append(key)
    for exemption, keys in keys_of.items():
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        named = f"exemption {exemption.id} of key {keys[0]}{more}"
        if exemption.rule not in {EVERY_RULE, *rules}:
            meant = resembling(exemption.rule, rules)
            yield f"{named} is from {exemption.rule}, and no rule is called so{meant}"
        if now < exemption.ends <= now + SOON:
            yield f"{named} ends within {SOON.days} days, at {exemption.ends.isoformat()}"


def _needs_warnings(configured: Configured, config: Path) -> Iterator[str]:
    digester = configured.keys.value.digester
    for problem in needs.warnings(config, configured.settings, digester, os.environ):
        yield str(problem)


def _address_warnings(configured: Configured) -> Iterator[str]:
    if any(one.prefixlen == 0 for one in configured.proxies.value):
        yield (
            "client_address.trusted_proxies trusts every address: whoever connects chooses"
            " the client's country"
        )
    if configured.settings.client_address.trusted_hops is not None:
        yield (
            "client_address.trusted_hops believes whoever connects to Envoy: make sure that only"
            " your proxies can"
        )
