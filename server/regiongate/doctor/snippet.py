"""The part of Envoy's configuration that a configured source of the client's address needs."""

from __future__ import annotations

from typing import Final

from regiongate.doctor.calls import initial_metadata
from regiongate.doctor.expected import Expected

_FILTER: Final = """\
http_filters:
  - name: envoy.filters.http.ext_authz
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
      transport_api_version: V3
      failure_mode_allow: false
      status_on_error: {code: ServiceUnavailable}
      validate_mutations: true
      encode_raw_headers: true
"""
_CALLS: Final = """\
      grpc_service:
        timeout: 0.25s
        retry_policy: {retry_on: "unavailable,cancelled,reset", num_retries: 3}
        envoy_grpc: {cluster_name: regiongate}
"""


def snippet(expected: Expected, hops: int | None = None) -> str:
    """Write what belongs into the connection manager, with the filter.

    Args:
        expected: what is relied on.
        hops: xff_num_trusted_hops, where Envoy has it and it was not found wrong.
    """
    return (
        "\n".join(_manager(expected, hops))
        + "\n"
        + _FILTER
        + _sent(expected)
        + _CALLS
        + _last(expected)
    )


def _manager(expected: Expected, trusted: int | None) -> list[str]:
    number = "the number of your own proxies in front of this Envoy"
    match expected.source:
        case "envoy":
            hops = f"xff_num_trusted_hops: {trusted or 0}   # {number}"
            return ["use_remote_address: true", hops]
        case "xff" if expected.trusted_hops is not None:
            appends = str(expected.envoy_appends).lower()
            hops = f"xff_num_trusted_hops: {expected.trusted_hops}   # {number}"
            return [f"use_remote_address: {appends}", hops]
        case "xff":
            return [f"use_remote_address: {str(expected.envoy_appends).lower()}"]
        case "header" | "forwarded":
            return [
                "use_remote_address: true",
                f"# {expected.address_header} is believed of client_address.trusted_proxies only.",
            ]
    return ["use_remote_address: true", "# Clients connect directly, or by the PROXY protocol."]


def _sent(expected: Expected) -> str:
    sent = ""
    if expected.key_namespaces:
        sent += f"      metadata_context_namespaces: [{', '.join(expected.key_namespaces)}]\n"
    if "sni" in expected.reads:
        sent += "      include_tls_session: true\n"
    return sent


def _last(expected: Expected) -> str:
    if expected.source != "envoy":
        return ""
    return initial_metadata(expected.metadata, 8) + "\n"
