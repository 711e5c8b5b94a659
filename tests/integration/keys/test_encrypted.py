"""`rediss:`: a store is reached over TLS, and only one that proves who it is."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from regiongate.keys.cache import CachedStore
from regiongate.keys.register import change_key
from regiongate.keys.stores import StoreError, opening
from tests.integration.keys.encrypted import encrypted
from tests.integration.keys.made_up import NOTE, adding, digest, following, key, until
from tests.integration.keys.servers import BINARIES, Server


@dataclass(frozen=True, slots=True)
class Site:
    """A server over TLS whose certificate is for `localhost` alone.

    Attributes:
        trusted, stranger: PEM files: the authority that has signed it, and another one.
    """

    server: Server
    port: int
    trusted: Path
    stranger: Path

    def url(self, *, host: str = "localhost", authority: Path | None = None) -> str:
        """Return what a store is configured with."""
        return f"rediss://{host}:{self.port}/0?ssl_ca_certs={authority or self.trusted}"


@pytest.fixture(params=BINARIES)
def site(request: pytest.FixtureRequest, short: Path) -> Iterator[Site]:
    """Run a server over TLS."""
    authority, stranger = trustme.CA(), trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(short / "server.key"))
    issued.cert_chain_pems[0].write_to_path(str(short / "server.pem"))
    authority.cert_pem.write_to_path(str(short / "ca.pem"))
    stranger.cert_pem.write_to_path(str(short / "stranger.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(context)
    with encrypted(BINARIES[request.param], short, context) as (server, port):
        yield Site(server, port, short / "ca.pem", short / "stranger.pem")


async def test_a_store_over_tls(site: Site) -> None:
    """Commands and Checks reach it, and a change takes effect, as without TLS."""
    register = opening.register(site.url(), Path("/"))
    register.commit([adding("a", key("a"))], NOTE)
    async with following(site.url()) as store:
        await until(lambda: _has(store, plan=""))
        change_key(register, "a", lambda one: one.model_copy(update={"plan": "gold"}), NOTE)
        await until(lambda: _has(store, plan="gold"), 1.0)
    register.close()


async def _has(store: CachedStore, plan: str) -> bool:
    record = await store.find(digest("a"))
    return record is not None and record.profile.plan == plan


REFUSED = ("another authority", "another host name", "nobody vouches for it")


def _url(site: Site, which: str) -> str:
    return {
        "another authority": site.url(authority=site.stranger),
        "another host name": site.url(host="127.0.0.1"),
        "nobody vouches for it": f"rediss://localhost:{site.port}/0",
    }[which]


@pytest.mark.parametrize("which", REFUSED)
def test_commands_refuse_a_server_that_is_not_the_one(site: Site, which: str) -> None:
    """Nothing is told to a server whose certificate is not for it, or by nobody who is trusted."""
    register = opening.register(_url(site, which), Path("/"))
    with pytest.raises(StoreError, match="certificate verify failed"):
        register.commit([adding("a", key("a"))], NOTE)
    register.close()
    plain = opening.register(site.server.url, Path("/"))
    assert list(plain.every_key()) == []
    plain.close()


@pytest.mark.parametrize("which", REFUSED)
async def test_checks_refuse_a_server_that_is_not_the_one(site: Site, which: str) -> None:
    """It is a store that is away: nothing it says is believed."""
    plain = opening.register(site.server.url, Path("/"))
    plain.commit([adding("a", key("a"))], NOTE)
    plain.close()
    source = opening.source(_url(site, which), Path("/"))
    assert "certificate verify failed" in await _refusal(source.changes)
    assert "certificate verify failed" in await _refusal(lambda: source.find([digest("a")]))
    await source.close()


async def _refusal(ask: Callable[[], Awaitable[object]]) -> str:
    """Return why a server is refused; a busy machine may take longer to say so than is waited."""
    while True:
        with pytest.raises(StoreError) as refused:
            await ask()
        if "Timeout" not in str(refused.value):
            return str(refused.value)
