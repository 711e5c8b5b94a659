"""TLS between Envoy and RegionGate: one broken wiring for each finding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding, Severity
from tests.unit.doctor.wirings import (
    EXPECTED,
    MUTUAL,
    SOCKET,
    Change,
    Wiring,
    bad,
    changed,
    found,
    protected,
)

WRONG, WARNING, UNKNOWN, FINE = Severity

PLAIN = replace(EXPECTED, listen=("127.0.0.1:9191",))
ONE_WAY = replace(MUTUAL, client_certificate=False)
BEHIND = replace(EXPECTED, listen=("0.0.0.0:9999",))

SECRET = {"name": "regiongate", "sds_config": {"ads": {}}}
ONE_SIDED = {"trusted_ca": {"filename": "ca.pem"}}


def common(**fields: Any) -> Change:
    """Protect the cluster as documented, but for fields of its CommonTlsContext."""

    def change(wiring: Wiring) -> None:
        protected(wiring)
        context = wiring.cluster["transport_socket"]["typed_config"]["common_tls_context"]
        context.update(fields)
        for name in [name for name, value in context.items() if value is None]:
            del context[name]

    return change


def context(**fields: Any) -> Change:
    """Protect the cluster as documented, without names, with fields of its UpstreamTlsContext."""

    def change(wiring: Wiring) -> None:
        common(validation_context=ONE_SIDED)(wiring)
        wiring.cluster["transport_socket"]["typed_config"].update(fields)

    return change


def socket(name: str, kind: str) -> Change:
    """Give the cluster another transport socket."""
    typed = {"@type": f"type.googleapis.com/envoy.extensions.transport_sockets.{kind}"}
    return lambda wiring: wiring.cluster.update(
        transport_socket={"name": name, "typed_config": typed}
    )


def health(*protocols: str, **fields: Any) -> Change:
    """Protect the cluster, and have health checks offer protocols of their own."""

    def change(wiring: Wiring) -> None:
        common(**fields)(wiring)
        wiring.cluster["health_checks"][0]["tls_options"] = {"alpn_protocols": [*protocols]}

    return change


def matches(wiring: Wiring) -> None:
    protected(wiring)
    socket = wiring.cluster.pop("transport_socket")
    wiring.cluster["transport_socket_matches"] = [
        {"name": "tls", "match": {"tls": "yes"}, "transport_socket": socket}
    ]


def unchecked(wiring: Wiring) -> None:
    common(alpn_protocols=None)(wiring)
    del wiring.cluster["health_checks"]


def nothing(_: Wiring) -> None:
    pass


def validation(**fields: Any) -> Change:
    return common(validation_context=fields)


RAW = socket("plain", "raw_buffer.v3.RawBuffer")
PROXY = socket("proxy", "proxy_protocol.v3.ProxyProtocolUpstreamTransport")
H1 = ["http/1.1"]
COMBINED = {
    "default_validation_context": ONE_SIDED,
    "validation_context_sds_secret_config": SECRET,
}

WIRINGS: dict[str, tuple[Change, Expected, dict[str, Severity]]] = {
    # Whether both speak it.
    "neither": (nothing, PLAIN, {"tls": FINE}),
    "neither, and Envoy says so": (RAW, PLAIN, {"tls": FINE}),
    "both": (protected, MUTUAL, {"tls": FINE}),
    "RegionGate alone": (nothing, MUTUAL, {"tls-missing": WRONG}),
    "RegionGate alone, and Envoy says so": (RAW, ONE_WAY, {"tls-missing": WRONG}),
    "Envoy alone": (protected, PLAIN, {"tls-unasked": WRONG}),
    # A sidecar of a mesh may take it off before RegionGate.
    "Envoy, and not straight to RegionGate": (protected, BEHIND, {"tls-unasked": WARNING}),
    # Whether Envoy proves itself.
    "no certificate": (
        common(tls_certificates=None),
        MUTUAL,
        {"client-certificate-missing": WRONG},
    ),
    "an empty list of them": (
        common(tls_certificates=[]),
        MUTUAL,
        {"client-certificate-missing": WRONG},
    ),
    "none, and none is asked for": (common(tls_certificates=None), ONE_WAY, {"tls": FINE}),
    "one that is discovered": (
        common(tls_certificates=None, tls_certificate_sds_secret_configs=[SECRET]),
        MUTUAL,
        {"tls": FINE},
    ),
    # Whether RegionGate does.
    "anybody": (common(validation_context=None), MUTUAL, {"server-not-verified": WARNING}),
    "a name, and no authority": (
        validation(match_typed_subject_alt_names=[{"san_type": "DNS"}]),
        MUTUAL,
        {"server-not-verified": WARNING},
    ),
    "the untrusted, too": (
        validation(**ONE_SIDED, trust_chain_verification="ACCEPT_UNTRUSTED"),
        MUTUAL,
        {"server-not-verified": WARNING},
    ),
    "anybody of an authority's": (
        validation(**ONE_SIDED),
        MUTUAL,
        {"server-name-not-verified": WARNING},
    ),
    "anybody whom the system trusts": (
        validation(system_root_certs={}),
        MUTUAL,
        {"server-name-not-verified": WARNING},
    ),
    "by the name that is asked for": (context(auto_sni_san_validation=True), MUTUAL, {"tls": FINE}),
    "one certificate": (validation(verify_certificate_hash=["DF:6F"]), MUTUAL, {"tls": FINE}),
    "whom a secret names": (
        common(validation_context=None, validation_context_sds_secret_config=SECRET),
        MUTUAL,
        {"server-verification-not-given": UNKNOWN},
    ),
    "whom a secret names as well": (
        common(validation_context=None, combined_validation_context=COMBINED),
        MUTUAL,
        {"server-verification-not-given": UNKNOWN},
    ),
    "by a validator of its own": (
        validation(custom_validator_config={"name": "envoy.tls.cert_validator.spiffe"}),
        MUTUAL,
        {"server-verification-not-given": UNKNOWN},
    ),
    # What connections offer.
    "no h2 in health checks": (
        common(alpn_protocols=None),
        MUTUAL,
        {"health-check-alpn": WRONG},
    ),
    "none, without health checks": (unchecked, MUTUAL, {"tls": FINE}),
    "h2 in health checks alone": (health("h2", alpn_protocols=None), MUTUAL, {"tls": FINE}),
    "no h2": (common(alpn_protocols=H1), MUTUAL, {"tls-alpn": WRONG}),
    "no h2 but in health checks": (health("h2", alpn_protocols=H1), MUTUAL, {"tls-alpn": WRONG}),
    "h2 but in health checks": (health("http/1.1"), MUTUAL, {"health-check-alpn": WRONG}),
    "h2 after another": (common(alpn_protocols=[*H1, "h2"]), MUTUAL, {"tls": FINE}),
    # What is not known.
    "by the endpoint": (matches, MUTUAL, {"tls-not-known": UNKNOWN}),
    "another transport": (PROXY, MUTUAL, {"tls-not-known": UNKNOWN}),
    "protocols that are no list": (
        common(alpn_protocols="h2"),
        MUTUAL,
        {"not-understood": UNKNOWN},
    ),
}


def of_tls(findings: list[Finding]) -> dict[str, Severity]:
    """Return what is said of TLS, by name."""
    other = {one.name for one in found(Wiring().yaml(), EXPECTED)} - {"tls"}
    other |= {"health-check", "cluster-elsewhere"}
    return {one.name: one.severity for one in findings if one.name not in other}


@pytest.mark.parametrize(("change", "expected", "wanted"), WIRINGS.values(), ids=WIRINGS)
def test_what_is_said_of_tls(
    change: Change, expected: Expected, wanted: dict[str, Severity]
) -> None:
    """That and nothing else, in each form that Envoy's configuration has."""
    for given in changed(change).forms():
        findings = found(given, expected)
        assert of_tls(findings) == wanted, given.file
        told = [one for one in findings if one.name in wanted]
        assert all(one.place and "clusters" in one.place.path for one in told)


def test_what_the_documentation_has_is_what_is_to_be_written() -> None:
    """With mutual TLS all of it; without, all but the certificate of Envoy's own."""
    for expected in (MUTUAL, ONE_WAY):
        (finding,) = (one for one in found(Wiring().yaml(), expected) if one.name == "tls-missing")
        wanted = yaml.safe_load(yaml.safe_dump(SOCKET))
        if expected is ONE_WAY:
            del wanted["typed_config"]["common_tls_context"]["tls_certificates"]
        assert yaml.safe_load(finding.instead) == {"transport_socket": wanted}


PARTS = {
    "client-certificate-missing": ("tls_certificates", common(tls_certificates=None)),
    "server-not-verified": ("validation_context", common(validation_context=None)),
    "health-check-alpn": ("alpn_protocols", common(alpn_protocols=None)),
}


@pytest.mark.parametrize(("name", "part"), PARTS.items(), ids=PARTS)
def test_a_part_that_lacks_is_told_as_the_documentation_has_it(
    name: str, part: tuple[str, Change]
) -> None:
    """Below common_tls_context, where it belongs."""
    field, change = part
    (finding,) = (one for one in found(changed(change).yaml(), MUTUAL) if one.name == name)
    documented = SOCKET["typed_config"]["common_tls_context"]
    assert yaml.safe_load(finding.instead) == {"common_tls_context": {field: documented[field]}}


def test_calls_over_google_grpc_are_not_compared() -> None:
    """They know no clusters, and that is said where TLS is asked for."""

    def change(wiring: Wiring) -> None:
        del wiring.calls["envoy_grpc"]
        wiring.calls["google_grpc"] = {"target_uri": "regiongate:9191", "stat_prefix": "x"}

    for expected, wanted in (MUTUAL, {"tls-not-known": UNKNOWN}), (PLAIN, {}):
        told = {one.name: one.severity for one in found(changed(change).yaml(), expected)}
        assert {name: how for name, how in told.items() if name.startswith("tls")} == wanted
    assert bad(found(changed(change).yaml(), MUTUAL)) == {}
