"""TLS between a cluster and RegionGate: spoken by both or by neither, and each proves itself.

Where one side does not take the other's certificate, no Check is answered. gRPC refuses TLS that
does not offer h2 by ALPN. What Envoy offers was measured (1.40): for Checks h2 of itself, as the
cluster speaks HTTP/2; for health checks what is written in alpn_protocols and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regiongate.doctor.cluster import reaches
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding
from regiongate.doctor.saying import careful, fine, otherwise, unknown, warning, wrong
from regiongate.doctor.tree import Node

_CONTEXT: Final = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_PLAIN: Final = ".RawBuffer"

_CERTIFICATES: Final = (
    "tls_certificates",
    "tls_certificate_sds_secret_configs",
    "tls_certificate_provider_instance",
    "tls_certificate_certificate_provider",
    "tls_certificate_certificate_provider_instance",
    "custom_tls_certificate_selector",
)
"""Where a CommonTlsContext may have a certificate of Envoy's own."""

_DISCOVERED: Final = (
    "validation_context_sds_secret_config",
    "validation_context_certificate_provider",
    "validation_context_certificate_provider_instance",
    "custom_validator_config",
)
"""What says elsewhere, or in its own way, whom Envoy believes."""

_PINS: Final = ("verify_certificate_spki", "verify_certificate_hash")
_AUTHORITIES: Final = ("trusted_ca", "ca_certificate_provider_instance", "system_root_certs")
_NAMES: Final = ("match_typed_subject_alt_names", "match_subject_alt_names")

_START: Final = f"""\
transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/{_CONTEXT}
    common_tls_context:
"""
_ALPN: Final = "      alpn_protocols: [h2]\n"
_OWN: Final = """\
      tls_certificates:
        - certificate_chain: {filename: /etc/envoy/envoy.pem}
          private_key: {filename: /etc/envoy/envoy.key}
"""
_SERVER: Final = """\
      validation_context:
        trusted_ca: {filename: /etc/envoy/regiongate-ca.pem}
        match_typed_subject_alt_names:
          - {san_type: DNS, matcher: {exact: regiongate.example}}
"""

_ANYBODY: Final = (
    "Envoy takes whoever answers for RegionGate: its certificate is not verified, and whoever gets"
    " in between may let every request pass"
)
_UNASKED: Final = """\
# regiongate.yaml, where the connection is to be protected:
tls: {cert: server.pem, key: server.key, client_ca: clients.pem}
# or the cluster without transport_socket"""


@careful
def examine(cluster: Node, expected: Expected) -> Iterator[Finding]:
    """Examine how a cluster's connections are protected.

    Args:
        cluster: that Checks are sent to.
        expected: what is relied on.
    """
    socket = cluster["transport_socket"]
    written = socket["typed_config"]
    if cluster["transport_socket_matches"]:
        yield unknown(
            "tls-not-known",
            cluster["transport_socket_matches"],
            "each endpoint's metadata says whether it is called over TLS: it could not be compared"
            " with tls in regiongate.yaml",
        )
    elif not socket or written.type.endswith(_PLAIN):
        yield _plain(cluster, expected)
    elif not written.type.endswith(_CONTEXT):
        yield unknown(
            "tls-not-known",
            socket,
            f"what the transport socket {socket['name'].text} does is not known here: it could not"
            " be compared with tls in regiongate.yaml",
        )
    elif not expected.tls:
        yield _unasked(cluster, expected)
    else:
        yield from _protected(cluster, written.message, expected)


def _plain(cluster: Node, expected: Expected) -> Finding:
    if not expected.tls:
        return fine("tls", cluster, "neither the cluster nor RegionGate asks for TLS")
    return wrong(
        "tls-missing",
        cluster["transport_socket"],
        "RegionGate asks for TLS (tls in regiongate.yaml), and the cluster speaks plaintext: no"
        " Check is answered",
        (_START + _ALPN + (_OWN if expected.client_certificate else "") + _SERVER).rstrip(),
    )


def _unasked(cluster: Node, expected: Expected) -> Finding:
    what = "the cluster speaks TLS, and RegionGate plaintext (no tls in regiongate.yaml)"
    socket = cluster["transport_socket"]
    if reaches(cluster, expected):
        return wrong("tls-unasked", socket, f"{what}: no Check is answered", _UNASKED)
    instead = "something in front of RegionGate, such as a mesh's sidecar, takes TLS off"
    return warning(
        "tls-unasked", socket, f"{what}: no Check is answered, unless {instead}", _UNASKED
    )


@careful
def _protected(cluster: Node, context: Node, expected: Expected) -> Iterator[Finding]:
    told = "Envoy and RegionGate speak TLS, and Envoy verifies that it is RegionGate"
    mutual = ", which verifies Envoy" if expected.client_certificate else ""
    found = [
        *_offered(cluster, context["common_tls_context"]),
        *_own(context["common_tls_context"], expected),
        *_server(context),
    ]
    yield from otherwise(found, fine("tls", cluster["transport_socket"], told + mutual))


@careful
def _offered(cluster: Node, common: Node) -> Iterator[Finding]:
    """Look for connections that do not offer HTTP/2 by ALPN."""
    offered, instead = common["alpn_protocols"], f"common_tls_context:\n{_ALPN[4:].rstrip()}"
    refused = "gRPC refuses TLS without h2 in ALPN"
    if _any(offered) and not _h2(offered):
        yield wrong("tls-alpn", offered, f"{refused}: no Check is answered", instead)
        return
    for one in cluster["health_checks"]:
        own = one.at("tls_options", "alpn_protocols")
        if one["grpc_health_check"] and not _h2(own if _any(own) else offered):
            yield wrong(
                "health-check-alpn",
                own if _any(own) else offered,
                f"{refused}, and Envoy's health checks offer what is written and nothing else:"
                " RegionGate is unhealthy to Envoy",
                f"{instead}   # and no alpn_protocols in tls_options" if _any(own) else instead,
            )


@careful
def _own(common: Node, expected: Expected) -> Iterator[Finding]:
    if expected.client_certificate and not any(_any(common[name]) for name in _CERTIFICATES):
        yield wrong(
            "client-certificate-missing",
            common["tls_certificates"],
            "RegionGate asks for a certificate of Envoy's (tls.client_ca), and Envoy has none: no"
            " Check is answered",
            f"common_tls_context:\n{_indented(_OWN)}",
        )


@careful
def _server(context: Node) -> Iterator[Finding]:
    """Look for what lets somebody else pass for RegionGate."""
    common = context["common_tls_context"]
    combined = common["combined_validation_context"]
    own, default = common["validation_context"], combined["default_validation_context"]
    written = default if combined else own
    trust = written["trust_chain_verification"]
    instead = f"common_tls_context:\n{_indented(_SERVER)}"
    elsewhere = [one[name] for one in (common, combined, written) for name in _DISCOVERED]
    if trust.choice("VERIFY_TRUST_CHAIN", "ACCEPT_UNTRUSTED") == "ACCEPT_UNTRUSTED":
        yield warning("server-not-verified", trust, _ANYBODY, instead)
    elif any(elsewhere):
        yield unknown(
            "server-verification-not-given",
            next(one for one in elsewhere if one),
            "whom Envoy takes for RegionGate is said in what was not given",
        )
    elif any(_any(written[name]) for name in _PINS):
        return
    elif not any(_any(written[name]) for name in _AUTHORITIES):
        yield warning("server-not-verified", written, _ANYBODY, instead)
    elif not (context["auto_sni_san_validation"].on or any(_any(written[name]) for name in _NAMES)):
        yield warning(
            "server-name-not-verified",
            written,
            "Envoy takes whoever has a certificate of the authority's for RegionGate, whatever name"
            " is in it",
            instead,
        )


def _any(node: Node) -> bool:
    """Say whether a message is there, or a list that is not empty."""
    return bool(node) and (node.has_fields or any(node))


def _h2(protocols: Node) -> bool:
    return "h2" in [one.text for one in protocols]


def _indented(lines: str) -> str:
    """Move lines of the snippet to where they stand below `common_tls_context`."""
    return "\n".join(line[4:] for line in lines.rstrip().split("\n"))
