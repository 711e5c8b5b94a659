"""regiongate.yaml: what it means, and what an operator is told about one that cannot be used.

Each file in tests/data/config/bad holds one mistake, and on top of it what is said about it.
"""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from regiongate.address import (
    AddressSource,
    EnvoyMetadata,
    Forwarded,
    ForwardedFor,
    NamedHeader,
    Peer,
)
from regiongate.documents import DocumentError, check, parse
from regiongate.geo import Layout, Role
from regiongate.keys.extraction import Extractor, FromHeader, FromMetadata
from regiongate.runtime import config
from regiongate.runtime.config import Settings
from tests.expectations import expected_in

BAD = Path(__file__).parents[2] / "data" / "config" / "bad"
LEAST = "geo: {country: country.mmdb}\npolicy: policy.yaml\n"


def settings(text: str) -> Settings:
    """Read a configuration that is written after the least there must be."""
    return check(parse("regiongate.yaml", LEAST + text), Settings)


@pytest.mark.parametrize("file", sorted(BAD.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_mistake_is_told_with_its_line_and_its_place(file: Path) -> None:
    """File, line, path, what was expected and what was found, for all mistakes at once."""
    text = file.read_text(encoding="utf-8")
    with pytest.raises(DocumentError) as caught:
        check(parse(file.name, text), Settings)
    assert str(caught.value) == expected_in(text)


def test_little_has_to_be_said() -> None:
    """A database and a policy are enough; what is safe is what is silent."""
    read = settings("")
    assert (read.geo.country, read.policy, read.on_error) == ("country.mmdb", "policy.yaml", "deny")
    assert (read.listen.grpc, read.listen.admin) == (["127.0.0.1:9191"], None)
    assert (read.engine, read.tls, read.decision_log) == ("auto", None, None)
    assert read.client_address.resolver(()) == EnvoyMetadata()
    assert (read.keys.extract, read.keys.store, read.keys.on_store_error) == ([], None, "stale")
    assert (read.geo.on_stale, read.geo.max_age, read.geo.probes) == ("serve", None, {})


ADDRESSES: dict[str, AddressSource] = {
    "{}": EnvoyMetadata(),
    "{source: envoy, metadata: x-client}": EnvoyMetadata("x-client"),
    "{source: xff, trusted_hops: 1}": ForwardedFor(trusted_hops=1),
    "{source: xff, trusted_hops: 0, envoy_appends: false}": ForwardedFor(
        trusted_hops=0, envoy_appends=False
    ),
    "{source: xff, trusted_proxies: [10.0.0.0/8, '::1']}": ForwardedFor(
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("::1"))
    ),
    "{source: header, header: x-client, trusted_proxies: [10.1.1.1]}": NamedHeader(
        "x-client", (ip_network("10.1.1.1"),)
    ),
    "{source: header, header: x-client, trusted_proxies: [10.1.1.1], accept: [port]}": NamedHeader(
        "x-client", (ip_network("10.1.1.1"),), frozenset({"port"})
    ),
    "{source: xff, trusted_hops: 1, accept: [port, brackets, zone]}": ForwardedFor(
        trusted_hops=1, accept=frozenset({"port", "brackets", "zone"})
    ),
    "{source: xff, trusted_proxies: [10.0.0.0/8, {file: cdn.txt}]}": ForwardedFor(
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("192.0.2.0/24"))
    ),
    "{source: xff, trusted_proxies: [{file: cdn.txt}]}": ForwardedFor(
        trusted_proxies=(ip_network("192.0.2.0/24"),)
    ),
    "{source: forwarded, trusted_hops: 1}": Forwarded(trusted_hops=1),
    "{source: forwarded, trusted_proxies: [{file: cdn.txt}], accept: [zone]}": Forwarded(
        trusted_proxies=(ip_network("192.0.2.0/24"),), accept=frozenset({"zone"})
    ),
    "{source: envoy, trusted_proxies: [{file: cdn.txt}]}": EnvoyMetadata(
        trusted_proxies=(ip_network("192.0.2.0/24"),)
    ),
    "{source: peer}": Peer(),
}


@pytest.mark.parametrize(("text", "source"), ADDRESSES.items())
def test_one_thing_says_who_the_client_is(text: str, source: AddressSource) -> None:
    """The section is exactly one source of the address."""
    written = settings(f"client_address: {text}").client_address
    proxies = written.proxies(lambda _: [ip_network("192.0.2.0/24")])
    assert written.resolver(proxies) == source


DATABASES: dict[str, list[tuple[str, Layout | None]]] = {
    "a.mmdb": [("a.mmdb", None)],
    "[a.mmdb, b.mmdb]": [("a.mmdb", None), ("b.mmdb", None)],
    "{path: a.mmdb}": [("a.mmdb", None)],
    "{path: a.mmdb, layout: {}}": [("a.mmdb", None)],
    "[a.mmdb, {path: b.mmdb, layout: country_code}]": [
        ("a.mmdb", None),
        ("b.mmdb", {"country": ("country_code",)}),
    ],
    "{path: a.mmdb, layout: geo.code}": [("a.mmdb", {"country": ("geo", "code")})],
    "{path: a.mmdb, layout: [geo, 0, a.b]}": [("a.mmdb", {"country": ("geo", 0, "a.b")})],
    "{path: a.mmdb, layout: []}": [("a.mmdb", {"country": ()})],
    "{path: a.mmdb, layout: {country: cc, asn: as.number, as_org: [as, name]}}": [
        ("a.mmdb", {"country": ("cc",), "asn": ("as", "number"), "as_org": ("as", "name")})
    ],
}


@pytest.mark.parametrize(("text", "files"), DATABASES.items())
def test_a_database_is_a_path_or_more(text: str, files: list[tuple[str, Layout | None]]) -> None:
    """There may be several, each with a layout of its own."""
    read = check(parse("f", f"geo: {{country: {text}}}\npolicy: p"), Settings).geo
    assert [(one.path, one.layout_for("country")) for one in read.files("country")] == files
    assert (read.files("asn"), read.files("anonymous")) == ([], [])


def test_a_way_alone_leads_to_what_the_database_is_for() -> None:
    """The same text is another layout where AS numbers are looked for."""
    text = (
        "geo: {country: c, asn: {path: a, layout: x}, anonymous: {path: b, layout: y}}\npolicy: p"
    )
    read = check(parse("f", text), Settings).geo
    roles: list[Role] = ["asn", "anonymous"]
    layouts = [one.layout_for(role) for role in roles for one in read.files(role)]
    assert layouts == [{"asn": ("x",)}, {"anonymous": ("y",)}]


EXTRACTORS: dict[str, Extractor] = {
    "{header: x-api-key}": FromHeader("x-api-key"),
    "{header: authorization, scheme: Bearer}": FromHeader("authorization", "Bearer"),
    "{metadata: envoy.filters.http.jwt_authn, path: [payload, sub]}": FromMetadata(
        "envoy.filters.http.jwt_authn", ("payload", "sub")
    ),
}


@pytest.mark.parametrize(("text", "extractor"), EXTRACTORS.items())
def test_a_key_is_looked_for_in_one_place_after_another(text: str, extractor: Extractor) -> None:
    """Each entry is one place."""
    read = settings(f"keys: {{extract: [{text}]}}").keys.extract
    assert [one.extractor() for one in read] == [extractor]


LISTENERS = ["127.0.0.1:9191", "localhost:0", "[::1]:65535", "unix:/run/x.sock", "unix:x.sock"]


@pytest.mark.parametrize("text", LISTENERS)
def test_a_listener_is_a_host_with_a_port_or_a_socket(text: str) -> None:
    """Port 0 lets the system choose."""
    assert settings(f"listen: {{grpc: ['{text}']}}").listen.grpc == [text]
    assert settings(f"listen: {{admin: '{text}', grpc: [other:1]}}").listen.admin == text


def test_durations_have_units() -> None:
    """Thirty days are written as a person would."""
    read = check(
        parse("f", "geo: {country: c, max_age: 30d}\npolicy: p\nshutdown: {grace: 500ms}"), Settings
    )
    assert read.geo.max_age == timedelta(days=30)
    assert read.shutdown.grace == timedelta(milliseconds=500)


def test_probes_are_addresses_with_countries() -> None:
    """Norway is one of them, and an address is known by one spelling."""
    text = "geo: {country: c, probes: {77.40.0.1: NO, '2001:DB8:0::1': XK}}\npolicy: p"
    probes = check(parse("f", text), Settings).geo.probes
    assert probes == {"77.40.0.1": "NO", "2001:db8::1": "XK"}


def test_a_file_is_read(tmp_path: Path) -> None:
    """The file as it stands on the disk, whatever its line ends."""
    file = tmp_path / "regiongate.yaml"
    file.write_bytes(LEAST.replace("\n", "\r\n").encode("utf-8-sig"))
    assert config.read(file) == settings("")


UNREADABLE = {
    # content, message
    "empty": (
        b"",
        "\n".join(
            f"{{file}}:1: {key}: expected this key, got nothing" for key in ("geo", "policy")
        ),
    ),
    "latin-1": (b"policy: caf\xe9.yaml\n", "{file}:1: expected UTF-8 (invalid continuation byte)"),
    "utf-16": ("policy: p\n".encode("utf-16"), "{file}:1: expected UTF-8 (invalid start byte)"),
    "not there": (None, "{file}:1: expected a readable file (No such file or directory)"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read_is_told_as_any_mistake(name: str, tmp_path: Path) -> None:
    """The file, a line and the reason, without a traceback."""
    content, message = UNREADABLE[name]
    file = tmp_path / "regiongate.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        config.read(file)
    assert str(caught.value) == message.format(file=file)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A path that leads to something else is told as such."""
    with pytest.raises(DocumentError) as caught:
        config.read(tmp_path)
    assert str(caught.value) == f"{tmp_path}:1: expected a readable file (Is a directory)"
