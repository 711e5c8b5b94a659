"""A folder of configuration as an operator keeps it, and the questions that Envoy asks of it.

Everything is small and invented; each test changes the one thing it is about.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from envoy.service.auth.v3 import external_auth_pb2 as reference

from regiongate.extauthz.service import Authorization
from regiongate.keys.digest import Digester
from regiongate.runtime.state import State
from tests import databases

FRANCE, GERMANY, NORTH_KOREA = "5.39.0.1", "5.1.0.1", "175.45.176.1"
SUSPENDED, NARROW, EXEMPT, PLAIN = "sk-suspended", "sk-narrow", "sk-exempt", "sk-plain"
UNKNOWN = "sk-unknown"

NETWORKS: Mapping[str, str] = {
    "5.39.0.0/16": "FR",
    "5.1.0.0/16": "DE",
    "175.45.176.0/22": "KP",
    "8.8.8.0/24": "US",
    "9.0.0.0/8": "US",
    "2.0.0.0/8": "GB",
}
SUPPORTED = "# a code a line\nFR\nGB\nUS\n"

POLICY: Mapping[str, Any] = {
    "version": 1,
    "regions": {"supported": {"file": "supported.txt"}, "embargoed": ["KP"]},
    "policies": {
        "default": {
            "rules": [
                {
                    "name": "suspended-key",
                    "when": 'key.status == "suspended"',
                    "deny": {"reason": "api_key_suspended"},
                },
                {
                    "name": "embargoed-territory",
                    "when": 'source.within("embargoed")',
                    "deny": {"reason": "unsupported_country"},
                    "exemptable": False,
                },
                {
                    "name": "outside-the-contract",
                    "when": "key.found && !key.permits(source)",
                    "deny": {"reason": "country_not_permitted_for_key"},
                },
                {
                    "name": "old-path",
                    "when": 'request.path.startsWith("/v0/")',
                    "deny": {"reason": "gone"},
                    "phases": {"warn": "2020-01-01T00:00:00Z", "enforce": "2999-01-01T00:00:00Z"},
                },
                {
                    "name": "unsupported-region",
                    "when": '!source.within("supported")',
                    "deny": {"reason": "unsupported_country", "status": 451},
                },
            ],
            "otherwise": "allow",
        },
        "internal": {"rules": [], "otherwise": "allow"},
        "watched": {
            "mode": "shadow",
            "rules": [{"name": "all", "when": "true", "deny": {"reason": "closed"}}],
            "otherwise": "allow",
        },
    },
}

EXEMPTION: Mapping[str, Any] = {
    "id": "ex-1",
    "rule": "unsupported-region",
    "why": "contract",
    "ticket": "T-1",
    "approved_by": "legal",
    "ends": "2999-01-01T00:00:00Z",
}

SETTINGS: Mapping[str, Any] = {
    "listen": {"grpc": ["127.0.0.1:0"]},
    "client_address": {"source": "peer"},
    "geo": {"country": "country.mmdb"},
    "keys": {"extract": [{"header": "x-api-key"}], "store": "file:keys.yaml"},
    "policy": "policy.yaml",
    "shutdown": {"notice": "1ms", "grace": "5s"},
}


def deploy(folder: Path, **changes: Any) -> Path:
    """Write a whole configuration and return the path of its regiongate.yaml.

    Args:
        folder: where to; every file lies in it.
        changes: sections of regiongate.yaml that take the place of those in SETTINGS.
    """
    (folder / "policy.yaml").write_bytes(policy())
    (folder / "keys.yaml").write_bytes(keys())
    (folder / "supported.txt").write_text(SUPPORTED)
    (folder / "country.mmdb").write_bytes(database(folder))
    config = folder / "regiongate.yaml"
    config.write_bytes(settings(**changes))
    return config


def settings(**changes: Any) -> bytes:
    """Return a regiongate.yaml."""
    return yaml.safe_dump({**SETTINGS, **changes}, sort_keys=False).encode()


def policy(*first: Mapping[str, Any]) -> bytes:
    """Return a policy.yaml; the default policy begins with the rules given."""
    policies = POLICY["policies"]
    default = {**policies["default"], "rules": [*first, *policies["default"]["rules"]]}
    return yaml.safe_dump(
        {**POLICY, "policies": {**policies, "default": default}}, sort_keys=False
    ).encode()


def rule(name: str, when: str = "true") -> Mapping[str, Any]:
    """Return a rule that denies, with its own name for a reason."""
    return {"name": name, "when": when, "deny": {"reason": name}}


def keys(*more: str, pepper: str = "") -> bytes:
    """Return a keys.yaml; the id of each further key is the key without its sk-."""
    digester = Digester(pepper.encode())

    def record(key: str, **known: Any) -> dict[str, Any]:
        digest = digester.write(digester.digest(key.encode()))
        return {"id": key.removeprefix("sk-"), "digest": digest, **known}

    written = {
        "version": 1,
        "organisations": {"acme": {"plan": "team"}},
        "keys": [
            record(SUSPENDED, status="suspended"),
            record(NARROW, allowed_countries=["DE"]),
            record(EXEMPT, org="acme", exemptions=[dict(EXEMPTION)]),
            *map(record, (PLAIN, *more)),
        ],
    }
    return yaml.safe_dump(written, sort_keys=False).encode()


def database(scratch: Path, **moved: str) -> bytes:
    """Return a country database.

    Args:
        scratch: a folder to build it in.
        moved: for a country of NETWORKS, the one that its networks are in instead.
    """
    path = databases.write(
        scratch / "scratch.mmdb",
        {
            network: {"country": {"iso_code": moved.get(code, code)}}
            for network, code in NETWORKS.items()
        },
    )
    content = path.read_bytes()
    path.unlink()
    return content


# ------------------------------------------------------------------------ questions and answers


def question(  # noqa: PLR0913 the parts of a Check that tests vary
    ip: str = FRANCE,
    key: str | None = None,
    *,
    path: str = "/v1/models",
    host: str = "api.example",
    headers: Mapping[str, str] | None = None,
    route: str = "",
) -> bytes:
    """Return a Check as Envoy would serialise it, made with upstream's own classes."""
    request = reference.CheckRequest()
    request.attributes.source.address.socket_address.address = ip
    http = request.attributes.request.http
    http.method, http.path, http.host, http.scheme = "GET", path, host, "https"
    http.headers.update({**(headers or {}), **({} if key is None else {"x-api-key": key})})
    if route:
        request.attributes.context_extensions["regiongate.policy"] = route
    serialised: bytes = request.SerializeToString()
    return serialised


@dataclass(frozen=True, slots=True)
class Answer:
    """What Envoy is told.

    Attributes:
        status: of HTTP, 200 for a request that passes.
        told: the dynamic metadata.
    """

    status: int
    told: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.told.get(name, "")


def read(data: bytes) -> Answer:
    """Read a CheckResponse with upstream's own classes; it must be an explicit allow or deny."""
    response = reference.CheckResponse.FromString(data)
    outcome = response.WhichOneof("http_response")
    told = {name: value.string_value for name, value in response.dynamic_metadata.fields.items()}
    if response.status.code == 0:
        assert outcome == "ok_response", outcome
        return Answer(200, told)
    assert outcome == "denied_response", outcome
    return Answer(response.denied_response.status.code, told)


async def answered(answer: bytes | Awaitable[bytes]) -> bytes:
    """Return an answer, having waited for it if need be."""
    return answer if isinstance(answer, bytes) else await answer


async def answer(state: State, asked: bytes) -> Answer:
    """Answer a Check from what is in force in this process."""
    return read(await answered(Authorization(state.snapshot).check(asked, ())))
