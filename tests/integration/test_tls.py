"""TLS and mutual TLS: who is answered, and certificates that are renewed under way."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from grpc import aio

from regiongate.documents import DocumentError
from regiongate.extauthz.evidence import Metadata
from regiongate.extauthz.service import METHOD, SERVICE
from regiongate.runtime import tls
from regiongate.runtime.config import Tls
from regiongate.runtime.engines import Server
from regiongate.runtime.engines.handler import Identity
from regiongate.runtime.files import Part
from tests.integration.deployment import deploy
from tests.integration.process import NO_PROXY, PATIENCE, serving, until
from tests.integration.workers.fleet import fleet

ONE_WAY = Tls(cert="server.pem", key="server.key")
MUTUAL = Tls(cert="server.pem", key="server.key", client_ca="clients.pem")


@dataclass(frozen=True, slots=True)
class Site:
    """A server's folder of certificates, and whom its clients trust."""

    folder: Path
    authority: trustme.CA
    clients: trustme.CA

    def issue(self, begins: datetime | None = None, ends: datetime | None = None) -> None:
        """Put a new certificate and its key in place."""
        put(self.folder, self.authority, begins, ends)


def put(
    folder: Path,
    authority: trustme.CA,
    begins: datetime | None = None,
    ends: datetime | None = None,
) -> None:
    """Put a certificate of an authority and its key in place."""
    issued = authority.issue_cert("127.0.0.1", not_before=begins, not_after=ends)
    issued.private_key_pem.write_to_path(str(folder / "server.key"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A server with a certificate, and an authority for its clients."""
    made = Site(tmp_path, trustme.CA(), trustme.CA())
    made.issue()
    made.clients.cert_pem.write_to_path(str(tmp_path / "clients.pem"))
    return made


def loaded(written: Tls, folder: Path) -> Part[tls.Loaded]:
    """Load the files of a folder, as a start does."""
    return tls.certificates(written, folder / "regiongate.yaml", lambda _name, _done: None)


@asynccontextmanager
async def served(written: Tls, site: Site) -> AsyncIterator[tuple[str, Part[tls.Loaded]]]:
    """Serve an echo, and lend the address and the certificates, to be renewed."""
    certificates = loaded(written, site.folder)
    server = Server("grpcio", echo, tls.credentials(certificates))
    (bound,) = await server.start(["127.0.0.1:0"])
    yield bound, certificates
    await server.stop(0)


def echo(data: bytes, _: Metadata, __: Identity) -> bytes:
    """Answer with what is asked."""
    return data


async def ask(address: str, trusted: trustme.CA, own: trustme.LeafCert | None = None) -> bytes:
    """Call over a new connection.

    Args:
        trusted: whose certificates the client takes for good.
        own: the client's certificate.
    """
    credentials = grpc.ssl_channel_credentials(
        trusted.cert_pem.bytes(),
        own.private_key_pem.bytes() if own else None,
        own.cert_chain_pems[0].bytes() if own else None,
    )
    # A channel takes a connection of another's if it can; this one is to be new.
    options = [*NO_PROXY, ("grpc.use_local_subchannel_pool", 1)]
    async with aio.secure_channel(address, credentials, options=options) as channel:
        method = channel.unary_unary(f"/{SERVICE}/{METHOD}", bytes, bytes)
        answer: bytes = await method(b"hello", timeout=PATIENCE)
        return answer


async def seen(address: str) -> bytes:
    """Return the certificate that a server shows, DER."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found


async def refused(address: str, trusted: trustme.CA, own: trustme.LeafCert | None = None) -> bool:
    """Say whether no connection comes about."""
    with pytest.raises(aio.AioRpcError) as error:
        await ask(address, trusted, own)
    return error.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_that_trusts_the_server_is_answered(site: Site) -> None:
    """TLS alone asks nothing of the client."""
    async with served(ONE_WAY, site) as (address, _):
        assert await ask(address, site.authority) == b"hello"


async def test_a_client_that_does_not_trust_the_server_goes_away(site: Site) -> None:
    """The server proves itself with the configured certificate and no other."""
    async with served(ONE_WAY, site) as (address, _):
        assert await refused(address, trustme.CA())


async def test_plaintext_is_not_answered_where_tls_is_asked_for(site: Site) -> None:
    """There is no second, unprotected way in."""
    async with served(ONE_WAY, site) as (address, _), aio.insecure_channel(address) as channel:
        with pytest.raises(aio.AioRpcError) as error:
            await channel.unary_unary(f"/{SERVICE}/{METHOD}", bytes, bytes)(b"", timeout=PATIENCE)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


async def closed(address: str, sent: bytes) -> bool:
    """Send this over a new connection and no more, and say whether it ends without an answer."""
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    found = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return found == b""


async def test_who_does_not_finish_a_handshake_is_not_waited_for(site: Site) -> None:
    """Not for the two minutes that are gRPC's own limit; a connection that is made stays."""
    credentials = grpc.ssl_channel_credentials(site.authority.cert_pem.bytes())
    async with (
        served(ONE_WAY, site) as (address, _),
        aio.secure_channel(address, credentials, options=NO_PROXY) as channel,
    ):
        await asyncio.wait_for(channel.channel_ready(), PATIENCE)
        begun = b"\x16\x03\x01\x02\x00\x01"
        assert all(await asyncio.gather(closed(address, b""), closed(address, begun)))
        assert channel.get_state() is grpc.ChannelConnectivity.READY


async def test_only_clients_of_the_authority_are_answered(site: Site) -> None:
    """With client_ca a client needs a certificate, and one of that authority."""
    async with served(MUTUAL, site) as (address, _):
        assert await ask(address, site.authority, site.clients.issue_cert("envoy")) == b"hello"
        assert await refused(address, site.authority)
        assert await refused(address, site.authority, trustme.CA().issue_cert("envoy"))


async def test_a_renewed_certificate_is_used_without_a_restart(site: Site) -> None:
    """The next connection is made with it, and the one of before is not used again."""
    async with served(ONE_WAY, site) as (address, certificates):
        assert await ask(address, site.authority) == b"hello"
        put(site.folder, renewed := trustme.CA())
        assert certificates.reload()
        assert await ask(address, renewed) == b"hello"
        assert await refused(address, site.authority)


async def test_a_changed_client_authority_is_used_without_a_restart(site: Site) -> None:
    """Clients of the authority of before are refused from then on."""
    async with served(MUTUAL, site) as (address, certificates):
        (renewed := trustme.CA()).cert_pem.write_to_path(str(site.folder / "clients.pem"))
        assert certificates.reload()
        assert await ask(address, site.authority, renewed.issue_cert("envoy")) == b"hello"
        assert await refused(address, site.authority, site.clients.issue_cert("envoy"))


SPOILT = {
    "no certificate": b"",
    "half of one": b"-----BEGIN CERTIFICATE-----\nMIIB",
    "another's": trustme.CA().issue_cert("127.0.0.1").cert_chain_pems[0].bytes(),
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("content", SPOILT.values(), ids=SPOILT)
async def test_a_certificate_that_cannot_be_used_leaves_the_old_one(
    content: bytes, site: Site
) -> None:
    """Between the two writes of a renewal, and after a bad one, connections are still made."""
    async with served(ONE_WAY, site) as (address, certificates):
        (site.folder / "server.pem").write_bytes(content)
        assert not certificates.reload()
        assert "server.pem" in certificates.problem
        assert await ask(address, site.authority) == b"hello"
        put(site.folder, renewed := trustme.CA())
        assert certificates.reload()
        assert await ask(address, renewed) == b"hello"


async def test_a_certificate_that_is_removed_leaves_the_old_one(site: Site) -> None:
    """A missing file is no reason to refuse connections."""
    async with served(ONE_WAY, site) as (address, certificates):
        (site.folder / "server.pem").unlink()
        assert not certificates.reload()
        assert await ask(address, site.authority) == b"hello"


def test_a_certificate_that_is_not_there_at_the_start_is_told(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(DocumentError, match=r"tls\.key: \S*/server\.key: expected a readable file"):
        loaded(ONE_WAY, tmp_path)


def test_a_rotation_is_told_like_a_change_of_any_other_file(site: Site) -> None:
    """The log, the page of problems and the metrics name the part, whatever comes of it."""
    cert = site.folder / "server.pem"
    kept, reloads, part = cert.read_bytes(), "regiongate_reloads_total", "certificates"
    with fleet(site.folder, {"grpc": ["127.0.0.1:0"]}, tls=ONE_WAY.model_dump()) as running:
        assert running.sample("regiongate_reload_failing", part=part) == 0
        cert.write_bytes(b"")
        until(lambda: running.sample(reloads, part=part, result="refused") == 1, "it is refused")
        (told,) = running.page("/readyz").json()["problems"]
        assert told.startswith("worker 0: the last reload of the certificates failed: ")
        assert "regiongate.yaml:18: tls.cert: " in told
        assert "the new certificates cannot be used, what is in force stays" in running.said()
        assert running.sample("regiongate_reload_failing", part=part) == 1

        cert.write_bytes(kept)
        until(lambda: running.sample(reloads, part=part, result="taken") == 1, "it is put back")
        assert running.page("/readyz").json()["problems"] == []
        back = "nothing is wrong with the certificates any more: what is in force stays"
        until(lambda: back in running.said(), "that is told")

        site.issue()
        until(lambda: running.sample(reloads, part=part, result="taken") == 2, "it is renewed")
        until(
            lambda: "in force from now on: the new certificates" in running.said(), "that is told"
        )
        assert running.sample("regiongate_reload_failing", part=part) == 0


def test_a_certificate_beside_another_key_is_waited_with(site: Site) -> None:
    """What is written one after the other is looked at when both have held still."""
    certificates = loaded(ONE_WAY, site.folder)
    before = certificates.value
    issued = site.authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(site.folder / "server.pem"))
    assert not certificates.poll()
    issued.private_key_pem.write_to_path(str(site.folder / "server.key"))
    assert [certificates.poll(), certificates.problem] == [False, ""]
    assert certificates.poll()
    assert certificates.value != before


Pair = tuple[bytes, bytes]
"""A certificate and its key, PEM."""

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | Ed25519PrivateKey | Ed448PrivateKey

TODAY, DAY = datetime.now(UTC), timedelta(days=1)


def signed(key: PrivateKey) -> Pair:
    """Return a certificate of a key, signed by itself, and the key."""
    digest = None if isinstance(key, Ed25519PrivateKey | Ed448PrivateKey) else hashes.SHA256()
    made = (
        x509.CertificateBuilder(NAME, NAME, key.public_key(), 1)
        .not_valid_before(TODAY - timedelta(days=1))
        .not_valid_after(TODAY + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("server")]), critical=False)
        .sign(key, digest)
    )
    return made.public_bytes(Encoding.PEM), key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
PLAIN = signed(ec.generate_private_key(ec.SECP256R1()))
BEGUN = "expected a certificate and a key that gRPC can use"
UNTAKEN = "expected a key that clients take"


def revoking() -> bytes:
    """Return a list of revoked certificates."""
    return (
        x509.CertificateRevocationListBuilder(NAME, TODAY, TODAY + timedelta(days=1))
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def relabelled(content: bytes, label: bytes) -> bytes:
    """Return a certificate's PEM under the label of something else."""
    return re.sub(rb"(BEGIN|END) CERTIFICATE", rb"\1 " + label, content)


TAKEN: Mapping[str, Pair] = {
    "P-256": PLAIN,
    "P-384": signed(ec.generate_private_key(ec.SECP384R1())),
    "RSA": signed(rsa.generate_private_key(65537, 2048)),
    "lines of Windows": (PLAIN[0].replace(b"\n", b"\r\n"), PLAIN[1]),
    "words around it": (b"of the server:\n" + PLAIN[0], PLAIN[1]),
    "an old label": (relabelled(PLAIN[0], b"X509 CERTIFICATE"), PLAIN[1]),
}

UNSERVABLE: Mapping[str, Pair] = {
    "Ed448": signed(Ed448PrivateKey.generate()),
    "secp256k1": signed(ec.generate_private_key(ec.SECP256K1())),
    "brainpool": signed(ec.generate_private_key(ec.BrainpoolP256R1())),
    "OpenSSL's own label": (relabelled(PLAIN[0], b"TRUSTED CERTIFICATE"), PLAIN[1]),
    "a byte-order mark": (b"\xef\xbb\xbf" + PLAIN[0], PLAIN[1]),
}

REFUSED_BY_CLIENTS: Mapping[str, Pair] = {
    "Ed25519": signed(Ed25519PrivateKey.generate()),
    "P-521": signed(ec.generate_private_key(ec.SECP521R1())),
}


def write(folder: Path, pair: Pair) -> None:
    """Put a certificate and its key in place."""
    for name, content in zip(("server.pem", "server.key"), pair, strict=True):
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("pair", TAKEN.values(), ids=TAKEN)
async def test_a_certificate_that_is_taken_is_the_one_that_clients_see(
    pair: Pair, site: Site
) -> None:
    """GRPC says nothing of one that it cannot use: it has to be tried before."""
    async with served(ONE_WAY, site) as (address, certificates):
        write(site.folder, pair)
        assert certificates.reload()
        assert certificates.value.objection(datetime.now(UTC)) == ""
        assert await seen(address) == x509.load_pem_x509_certificate(pair[0]).public_bytes(
            Encoding.DER
        )


@pytest.mark.parametrize("pair", UNSERVABLE.values(), ids=UNSERVABLE)
async def test_what_openssl_takes_and_grpc_does_not_leaves_the_old_one(
    pair: Pair, site: Site
) -> None:
    """The two have different minds, and it is gRPC that serves."""
    async with served(ONE_WAY, site) as (address, certificates):
        write(site.folder, pair)
        assert not certificates.reload()
        assert f"tls.cert: {site.folder}/server.pem: {BEGUN}" in certificates.problem
        assert await ask(address, site.authority) == b"hello"


@pytest.mark.parametrize("pair", UNSERVABLE.values(), ids=UNSERVABLE)
def test_a_start_names_the_file_that_grpc_cannot_use(pair: Pair, site: Site) -> None:
    """It is not the address that is wrong."""
    write(site.folder, pair)
    with pytest.raises(DocumentError, match=rf"tls\.cert: \S*/server\.pem: {BEGUN}"):
        loaded(ONE_WAY, site.folder)


def test_an_authority_that_grpc_cannot_use_is_told_by_its_own_key(site: Site) -> None:
    """OpenSSL takes a list of what is revoked for one."""
    (site.folder / "clients.pem").write_bytes(revoking())
    with pytest.raises(DocumentError, match=r"tls\.client_ca: \S*/clients\.pem: expected cert"):
        loaded(MUTUAL, site.folder)


@pytest.mark.parametrize("pair", REFUSED_BY_CLIENTS.values(), ids=REFUSED_BY_CLIENTS)
async def test_a_key_that_clients_do_not_take_leaves_the_one_that_they_do(
    pair: Pair, site: Site
) -> None:
    """A server would be happy with it, and every new connection would fail."""
    async with served(ONE_WAY, site) as (address, certificates):
        write(site.folder, pair)
        assert not certificates.reload()
        assert f"tls.cert: {site.folder}/server.pem: {UNTAKEN}" in certificates.problem
        assert await ask(address, site.authority) == b"hello"


@pytest.mark.parametrize("pair", REFUSED_BY_CLIENTS.values(), ids=REFUSED_BY_CLIENTS)
def test_a_start_goes_by_a_key_that_clients_may_be_told_to_take(pair: Pair, site: Site) -> None:
    """Such clients there are; whoever has others is told."""
    write(site.folder, pair)
    certificates = loaded(ONE_WAY, site.folder)
    assert certificates.value.objection(TODAY).startswith(UNTAKEN)
    write(site.folder, signed(Ed25519PrivateKey.generate()))
    assert certificates.reload()


OUT_OF_DATE: Mapping[str, tuple[tuple[datetime, datetime], str]] = {
    "one that has expired": (
        (TODAY - 9 * DAY, TODAY - DAY),
        "expected a certificate that is still valid (it has expired)",
    ),
    "one for later": (
        (TODAY + DAY, TODAY + 9 * DAY),
        "expected a certificate that is valid by now (it is not valid yet)",
    ),
}


@pytest.mark.parametrize(("dates", "why"), OUT_OF_DATE.values(), ids=OUT_OF_DATE)
async def test_a_certificate_that_is_not_valid_now_leaves_one_that_is(
    dates: tuple[datetime, datetime], why: str, site: Site
) -> None:
    """Every new connection would fail."""
    async with served(ONE_WAY, site) as (address, certificates):
        site.issue(*dates)
        assert not certificates.reload()
        assert f"tls.cert: {site.folder}/server.pem: {why}" in certificates.problem
        assert await ask(address, site.authority) == b"hello"


@pytest.mark.parametrize(("dates", "why"), OUT_OF_DATE.values(), ids=OUT_OF_DATE)
def test_a_start_goes_by_a_certificate_that_is_not_valid_now(
    dates: tuple[datetime, datetime], why: str, site: Site
) -> None:
    """It is told, and replaced by any other."""
    site.issue(*dates)
    certificates = loaded(ONE_WAY, site.folder)
    assert certificates.value.doubt(TODAY) == why
    site.issue(*dates)
    assert certificates.reload()
    site.issue()
    assert certificates.reload()
    assert certificates.value.doubt(TODAY) == ""


def test_a_certificate_that_came_too_early_is_in_force_once_it_is_valid(site: Site) -> None:
    """Whoever renews has a clock that is ahead of ours, and writes the files just once."""
    certificates = loaded(ONE_WAY, site.folder)
    begins = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    site.issue(begins=begins)
    assert not certificates.reload()
    until(certificates.poll, "it is in force")
    assert datetime.now(UTC) >= begins
    assert [certificates.problem, certificates.value.doubt(begins)] == ["", ""]


def test_a_certificate_that_ends_soon_is_told_for_as_long_as_it_is_in_force(site: Site) -> None:
    """By the log of a start, by the page of problems, and by a gauge that says when."""
    ends = datetime.now(UTC).replace(microsecond=0) + 2 * DAY
    site.issue(ends=ends)
    with fleet(site.folder, {"grpc": ["127.0.0.1:0"]}, tls=ONE_WAY.model_dump()) as running:
        (told,) = running.page("/readyz").json()["problems"]
        said = f"expected a certificate that is valid for longer (it ends at {ends.isoformat()})"
        assert told == f"worker 0: the certificate in force: {said}"
        assert said in running.said()
        gauge = "regiongate_certificate_ends_timestamp_seconds"
        assert running.sample(gauge) == ends.timestamp()
        site.issue(ends=ends + 90 * DAY)
        until(lambda: running.page("/readyz").json()["problems"] == [], "nothing is to be told")
        assert running.sample(gauge) == (ends + 90 * DAY).timestamp()


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(site: Site) -> None:
    """OpenSSL would ask for it where there is a terminal, and the start would wait."""
    key = ec.generate_private_key(ec.SECP256R1())
    protected = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    write(site.folder, (signed(key)[0], protected))
    with pytest.raises(DocumentError, match="a PEM certificate and its key, without a passphrase"):
        loaded(ONE_WAY, site.folder)


def test_validate_says_in_its_own_words_what_grpc_cannot_use(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GRPC's core would write to standard error as well, past Python."""
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    write(site.folder, UNSERVABLE["Ed448"])
    config = deploy(site.folder, tls=ONE_WAY.model_dump())
    command = [sys.executable, "-m", "regiongate", "validate", "-c", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.startswith(f"{config}:17: tls.cert: {site.folder}/server.pem: {BEGUN}")


VERBOSITY = {"nobody asks for it": (None, False), "an operator does": ("INFO", True)}


@pytest.mark.parametrize(("verbosity", "told"), VERBOSITY.values(), ids=VERBOSITY)
def test_a_handshake_that_fails_writes_nothing_between_the_lines_of_the_log(
    verbosity: str | None, site: Site, monkeypatch: pytest.MonkeyPatch, *, told: bool
) -> None:
    """GRPC's core writes to standard error past Python, in a form of its own: only if asked to."""
    if verbosity is None:
        monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    else:
        monkeypatch.setenv("GRPC_VERBOSITY", verbosity)
    tls = {"cert": "server.pem", "key": "server.key", "client_ca": "clients.pem"}
    with serving(deploy(site.folder, tls=tls)) as process:
        host, _, port = process.said().partition("serving on ")[2].partition(" ")[0].rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            # Until the server has done with it.
            while client.recv(4096):
                pass
        if told:
            until(lambda: "Handshake failed" in process.said(), "it is told")
        assert process.stop() == 0
        said = process.said().splitlines()
    ours = [line for line in said if line.startswith("{")]
    assert (len(ours) < len(said)) == told
    assert {json.loads(line)["level"] for line in ours} == {"info"}
