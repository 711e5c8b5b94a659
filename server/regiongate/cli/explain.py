"""`regiongate explain`: every rule in order, whether it applied or why not, and the decision.

It runs the very code the service answers with, on the same files.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from regiongate.address import ClientAddress, Evidence
from regiongate.cli import options
from regiongate.cli.gathering import gathered
from regiongate.cli.policy import files
from regiongate.extauthz import wire
from regiongate.extauthz.judging import POLICY_EXTENSION, Judged, Snapshot, judge
from regiongate.facts import Key
from regiongate.keys import entries
from regiongate.keys.digest import Digester
from regiongate.keys.record import KeyRecord
from regiongate.keys.stores import StoreError, opening
from regiongate.policy.decide import Decision, Step, Verdict
from regiongate.policy.exemptions import Exemption
from regiongate.runtime import config as configuration
from regiongate.runtime.state import State
from regiongate.telemetry.record import source as source_record


@dataclasses.dataclass(frozen=True, slots=True)
class _Given:
    """An address source that was told the answer."""

    address: IPv4Address | IPv6Address | None

    def resolve(self, _: Evidence) -> ClientAddress:
        return ClientAddress(self.address, "" if self.address else "no --ip was given")


@dataclasses.dataclass(frozen=True, slots=True)
class _Held:
    """A key store that holds one key, whatever it is asked for."""

    record: KeyRecord
    version: str = ""

    def recall(self, _: bytes) -> KeyRecord | None:
        return self.record

    async def find(self, _: bytes) -> KeyRecord | None:
        return self.record

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        yield from ((self.record.id, one) for one in self.record.profile.exemptions)

    def age(self, _: datetime) -> float:
        return 0.0


def _ip(text: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise click.BadParameter(f"expected an IP address (got {text!r})") from None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _header(text: str) -> tuple[str, bytes]:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise click.BadParameter(f"expected name: value (got {text!r})")
    return name.strip().lower(), value.strip().encode()


@click.command()
@options.configuration
@click.option(
    "--ip", type=_ip, metavar="ADDRESS", help="The client's address; left out, it is unresolved."
)
@click.option(
    "--key",
    help="The API key; - asks for it, or reads it from standard input. Written out, it can be"
    " seen by others on the machine.",
)
@click.option("--key-file", type=click.File(), help="A file that holds the API key.")
@click.option("--key-id", help="The id of a key in the store, instead of the key itself.")
@click.option("--policy", default="", help="The policy that the route names.")
@click.option(
    "--policy-file",
    type=files.PATH,
    help="Another policy.yaml than the configured one: one that is to come, for instance.",
)
@click.option(
    "--at",
    type=options.moment,
    metavar="MOMENT",
    help="The moment to decide at, UTC without an offset; now when left out.",
)
@click.option("--method", default="GET", show_default=True, help="The request's method.")
@click.option("--host", default="", help="The request's host.")
@click.option("--path", default="/", show_default=True, help="With the query.")
@click.option(
    "--header",
    "headers",
    type=_header,
    metavar="NAME:VALUE",
    multiple=True,
    help="Any further header.",
)
@options.as_json
def explain(  # noqa: PLR0913 an option each
    *,
    config: Path,
    ip: IPv4Address | IPv6Address | None,
    key: str | None,
    key_file: Any,
    key_id: str | None,
    policy: str,
    policy_file: Path | None,
    at: datetime | None,
    method: str,
    host: str,
    path: str,
    headers: tuple[tuple[str, bytes], ...],
    as_json: bool,
) -> None:
    """Show what would be decided, and why; exit 1 when the request would be denied."""
    with gathered() as said:
        snapshot = State(config).snapshot()
    for one in said:
        click.echo(f"warning: {one}", err=True)
    if sum(one is not None for one in (key, key_file, key_id)) > 1:
        raise click.UsageError("expected one of --key, --key-file and --key-id")
    if policy_file is not None:
        snapshot = dataclasses.replace(snapshot, policies=files.policies(policy_file))
    given = _read_key(key, key_file)
    if key_id is not None:
        held = _Held(_record(config, key_id, snapshot.digester))
        snapshot = dataclasses.replace(snapshot, keys=held)
        given = "any"
    check = wire.asked(
        method=method,
        host=host,
        path=path,
        headers=(*headers, *_key_header(snapshot, given)),
        route={POLICY_EXTENSION: policy} if policy else {},
    )
    now = at or datetime.now(UTC)
    told = dataclasses.replace(snapshot, address=_Given(ip))
    judged = asyncio.run(judge(told, check, (), now))
    if as_json:
        click.echo(orjson.dumps(_as_json(judged, now), option=orjson.OPT_INDENT_2))
    else:
        _print(snapshot, judged, now)
    sys.exit(judged.decision.verdict is Verdict.DENY)


def _read_key(key: str | None, file: Any) -> str | None:
    if file is not None:
        return str(file.read().strip())
    if key != "-":
        return key
    if sys.stdin.isatty():
        return str(click.prompt("API key", hide_input=True))
    return sys.stdin.readline().strip()


def _record(config: Path, id_: str, digester: Digester) -> KeyRecord:
    """Look a key up by its id, in the store that is configured, as the service finds it."""
    store = configuration.read(config).keys.store
    if store is None:
        raise click.UsageError("expected keys.store, where --key-id is to be looked up")
    try:
        with opening.reading(store, config.parent) as register:
            kept = register.key(id_)
            org = register.organisation(kept.entry.org) if kept and kept.entry.org else None
    except StoreError as error:
        raise click.UsageError(str(error)) from None
    if kept is None:
        raise click.UsageError(f"--key-id: expected a key that is there (got {id_!r})")
    if kept.entry.org and org is None:
        raise click.UsageError(f"--key-id: expected its organisation {kept.entry.org} to be there")
    try:
        digester.read(kept.entry.digest)
    except ValueError as error:
        raise click.UsageError(f"--key-id: its digest: {error}") from None
    return entries.record(kept.entry, org.entry if org else None)


def _key_header(snapshot: Snapshot, key: str | None) -> list[tuple[str, bytes]]:
    """Send the key as the configuration expects it first."""
    if key is None:
        return []
    for extractor in snapshot.extractors:
        sent = extractor.sent(key)
        if sent is not None:
            return [sent]
    raise click.UsageError("expected a header among keys.extract to send the key in")


# ------------------------------------------------------------------------------- the output


def _as_json(judged: Judged, now: datetime) -> dict[str, Any]:
    decision, key = judged.decision, judged.key
    return {
        "time": now.isoformat(),
        "verdict": decision.verdict,
        "policy_verdict": decision.policy_verdict,
        "policy": decision.policy,
        "rule": decision.rule,
        "reason": decision.reason,
        "phase": decision.phase,
        "exemption": decision.exemption.id if decision.exemption else None,
        "source": source_record(judged.located),
        "key": {
            "id": key.id,
            "org": key.org,
            "status": key.status,
            "found": key.found,
            "allowed_countries": list(key.allowed_countries) if key.restricted else None,
            "denied_countries": list(key.denied_countries),
        },
        "rules": [
            {"name": step.rule.name, "when": step.rule.condition.text, "outcome": _outcome(step)}
            for step in judged.decision.steps
        ],
    }


def _print(snapshot: Snapshot, judged: Judged, now: datetime) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    source, decision = judged.located.source, judged.decision
    where = f"{', '.join((source.country, *source.regions))} " if source.country else ""
    network = f", network {source.network}" if source.network else ""
    console.print(f"client   {source.address or 'no address'}: {where}({source.status}{network})")
    console.print(f"key      {_key(judged)}")
    policies = snapshot.policies.policies
    there = decision.policy in policies
    instead = "" if there else f" (expected one of: {', '.join(policies)})"
    console.print(f"policy   {decision.policy}{instead} at {now.isoformat()}")
    if there:
        console.print(_rules(snapshot, decision))
    console.print(_conclusion(snapshot, decision), style="bold")


def _rules(snapshot: Snapshot, decision: Decision) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "rule", "outcome", "when"):
        table.add_column(heading, overflow="fold")
    for number, step in enumerate(decision.steps, start=1):
        table.add_row(str(number), step.rule.name, _outcome(step), step.rule.condition.text.strip())
    for number, rule in _unreached(snapshot, decision):
        table.add_row(str(number), rule, "not reached", "")
    return table


def _unreached(snapshot: Snapshot, decision: Decision) -> list[tuple[int, str]]:
    policy = snapshot.policies.policies.get(decision.policy)
    rules = policy.rules if policy else ()
    looked_at = len(decision.steps)
    return [(n, rule.name) for n, rule in enumerate(rules, start=1) if n > looked_at]


def _key(judged: Judged) -> str:
    key = judged.key
    if key.problem:
        return f"malformed: {key.problem}"
    if key.found:
        return f"{key.id}{f' of {key.org}' if key.org else ''}, {key.status}{_permitted(key)}"
    return "unknown" if key.presented else "none"


def _permitted(key: Key) -> str:
    """Say where a key may be used, where that is not everywhere."""
    told = ""
    if key.restricted:
        told += f", permits {', '.join(key.allowed_countries) or 'no country'}"
    if key.denied_countries:
        told += f", does not permit {', '.join(key.denied_countries)}"
    return told


def _outcome(step: Step) -> str:
    """Say what became of a rule."""
    if step.phase is None:
        return "absent: no phase has begun"
    if not step.applies:
        return f"does not apply{f' ({step.failure})' if step.failure else ''}"
    if step.lifted_by:
        words = f"lifted by exemption {step.lifted_by.id}"
    elif step.in_force:
        words = "denies" if step.rule.refusal else "allows"
    else:
        would = "would deny" if step.rule.refusal else "would allow"
        words = f"{would}, but is in {'shadow' if step.rule.shadow else f'phase {step.phase}'}"
    told = [
        f"exemption {one.id} {state}" for one, state in step.exemptions if one is not step.lifted_by
    ]
    failure = [f"could not be evaluated: {step.failure}"] if step.failure else []
    return "; ".join([words, *told, *failure])


def _conclusion(snapshot: Snapshot, decision: Decision) -> str:
    by = f" by {decision.rule}" if decision.rule else ""
    if decision.refusal is None:
        later = "" if decision.policy_verdict is Verdict.ALLOW else "; once enforced: deny"
        return f"{decision.verdict}: {decision.reason}{by}{later}"
    response = snapshot.policies.response(decision.refusal)
    return f"{decision.verdict} {response.status}: {decision.reason}{by}"
