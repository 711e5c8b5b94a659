"""What is measured: RegionGate as it would run, with everything on.

A decision log, metrics, a key store in SQLite, a country database, an allow-list of the size that a
provider has, and rules that look at the key.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from demo.address import Address, Tcp, reserved
from demo.database import obtain
from demo.process import Process, running
from demo.stack import serving
from regiongate._pb import ext_authz_pb2 as pb
from regiongate.countries import countries, subdivisions

DATABASES = Path(__file__).parent.parent / ".demo"
COMPILED = Path(__file__).parent.parent / "build" / "compiled"
"""What `make compiled` makes."""
CLIENT = "8.8.8.8"
"""In the demonstration's database, and in an allowed country."""
DENIED = ("CU", "IR", "KP", "RU", "SY")

POLICY = """
version: 1
regions:
  supported: [{supported}]
policies:
  default:
    rules:
      - name: revoked-key
        when: key.found && key.status in ["revoked", "expired"]
        deny: {{reason: invalid_api_key, status: 401}}
      - name: outside-the-contract
        when: key.found && !key.permits(source)
        deny: {{reason: country_not_permitted_for_key}}
      - name: unsupported-region
        when: '!source.within("supported")'
        deny: {{reason: unsupported_country_region_territory}}
    otherwise: allow
"""

HEADERS = {
    ":authority": "api.example",
    ":method": "POST",
    ":path": "/v1/chat/completions",
    ":scheme": "https",
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
    "content-length": "312",
    "content-type": "application/json",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "user-agent": "OpenAI/Python 1.40.0",
    "x-envoy-external-address": CLIENT,
    "x-forwarded-for": CLIENT,
    "x-forwarded-proto": "https",
    "x-request-id": "e1e44248-31ad-4e6b-bb1d-9935b8a0ed06",
    "x-stainless-arch": "x64",
    "x-stainless-lang": "python",
    "x-stainless-os": "Linux",
    "x-stainless-package-version": "1.40.0",
    "x-stainless-runtime": "CPython",
    "x-stainless-runtime-version": "3.11.7",
}
"""Of a request by a widespread client library, behind Envoy."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is to know.

    Attributes:
        keys: in the store.
        organisations: that they belong to.
        regions: entries of the allow-list: one country, then all the others and their parts.
    """

    keys: int = 100_000
    organisations: int = 1000
    regions: int = 240


def key(number: int) -> str:
    """Return a key that is in the store."""
    return f"key-{number}"


def question(number: int = 0, *, raw: bool = True) -> bytes:
    """Serialise the Check of a request with a key.

    Args:
        number: of the key.
        raw: with its headers one by one, as the shipped Envoy sends them (encode_raw_headers).
    """
    headers = {**HEADERS, "authorization": f"Bearer {key(number)}"}
    http = pb.AttributeContext.HttpRequest(
        id=b"14838204019487254327",
        method=b"POST",
        path=b"/v1/chat/completions",
        host=b"api.example",
        scheme=b"https",
        protocol=b"HTTP/1.1",
    )
    if raw:
        each = [
            pb.HeaderValue(key=name, raw_value=value.encode())
            for name, value in sorted(headers.items())
        ]
        http.header_map = pb.HeaderMap(headers=each).SerializeToString()
    else:
        for name, value in headers.items():
            http.headers[name] = value.encode()
    socket = pb.SocketAddress(address=CLIENT.encode(), port_value=40000)
    return pb.CheckRequest(
        attributes=pb.AttributeContext(
            source=pb.AttributeContext.Peer(address=pb.Address(socket_address=socket)),
            request=pb.AttributeContext.Request(http=http),
            context_extensions={"regiongate.policy": b"default"},
        )
    ).SerializeToString()


def configured(
    folder: Path,
    size: Size | None = None,
    *,
    engine: str = "auto",
    listen: Sequence[Address] = (Tcp(0),),
) -> Path:
    """Write a configuration and all it names; return the path of regiongate.yaml.

    Args:
        folder: for the files; keys that are already there are left as they are.
        size: how much there is to know.
        engine: that serves.
        listen: where, each address a worker's.
    """
    size = size or Size()
    codes = sorted(
        (countries() | subdivisions()) - {"US", *DENIED}, key=lambda one: (len(one), one)
    )
    supported = ", ".join(["US", *codes][: size.regions])
    (folder / "policy.yaml").write_text(POLICY.format(supported=supported))
    store = folder / "keys.db"
    if not store.exists():
        _import(folder / "keys.jsonl", f"sqlite:///{store}", size)
    settings = {
        "listen": {"grpc": [str(one) for one in listen], "admin": "127.0.0.1:0"},
        "engine": engine,
        "client_address": {"source": "envoy"},
        "geo": {"country": str(obtain(DATABASES))},
        "keys": {
            "extract": [{"header": "authorization", "scheme": "Bearer"}, {"header": "x-api-key"}],
            "store": f"sqlite:///{store}",
            # Turns keep the event loop waiting; what is remembered must not age meanwhile.
            "cache": {"ttl": "1h"},
        },
        "policy": "policy.yaml",
        "decision_log": {"path": "decisions.jsonl"},
        "shutdown": {"notice": "1ms", "grace": "5s"},
    }
    file = folder / "regiongate.yaml"
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    return file


def _import(lines: Path, url: str, size: Size) -> None:
    with lines.open("w") as file:
        for number in range(size.organisations):
            file.write(json.dumps({"organisation": f"org-{number}", "plan": "team"}) + "\n")
        for number in range(size.keys):
            digest = hashlib.sha256(key(number).encode()).hexdigest()
            organisation = f"org-{number % size.organisations}"
            one = {"id": f"id-{number}", "digest": f"sha256:{digest}", "org": organisation}
            file.write(json.dumps(one) + "\n")
    command = [sys.executable, "-m", "regiongate", "keys", "import", str(lines), "--store", url]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 ourselves


def ports(count: int) -> list[Tcp]:
    """Return ports that are free."""
    with ExitStack() as reservations:
        return [reservations.enter_context(reserved()) for _ in range(count)]


@contextmanager
def regiongate(
    folder: Path,
    listen: Sequence[Address],
    size: Size | None = None,
    *,
    engine: str = "auto",
    compiled: bool = False,
) -> Iterator[Process]:
    """Run RegionGate until the end of the with statement.

    Args:
        folder: for its files.
        listen: where, each address a worker's.
        size: how much there is to know.
        engine: that serves.
        compiled: from COMPILED.
    """
    config = configured(folder, size, engine=engine, listen=listen)
    command = [sys.executable, "-m", "regiongate", "serve", "--config", str(config)]
    if compiled:
        command = ["env", f"PYTHONPATH={COMPILED}", *command]
    name = f"regiongate-{engine}-{len(listen)}{'-compiled' * compiled}"
    with running(name, command, folder) as process:
        for address in listen:
            process.wait_until(partial(serving, address), "was not SERVING")
        yield process


@contextmanager
def floor(folder: Path, address: Address, *, engine: str) -> Iterator[None]:
    """Run what allows everything, until the end of the with statement; see bench.floor."""
    command = [sys.executable, "-m", "bench.floor", engine, str(address)]
    with running(f"floor-{engine}", command, folder) as process:
        process.wait_until(lambda: serving(address), "was not SERVING")
        yield
