"""What the configuration and the policies rely on Envoy for, in doctor's words."""

from __future__ import annotations

from typing import Final

from regiongate.doctor.expected import Expected
from regiongate.policy import PolicySet
from regiongate.runtime.config import Settings

_PARTS: Final = ("path", "headers", "sni")
"""What of a request arrives in one form or another, or not at all, by how Envoy is wired."""


def configured(settings: Settings) -> str:
    """Return where the running service can be asked; empty where the configuration does not say."""
    admin = settings.listen.admin or ""
    return "" if admin.endswith(":0") else admin


def expected(settings: Settings, policies: PolicySet) -> Expected:
    """Return what is relied on.

    Args:
        settings: regiongate.yaml.
        policies: the policy file that it names.
    """
    written, keys = settings.client_address, settings.keys
    conditions = [rule.condition for one in policies.policies.values() for rule in one.rules]
    remote = keys.store is not None and not keys.store.startswith("file:")
    return Expected(
        source=written.source,
        metadata=written.metadata,
        header=written.header or "",
        trusted_hops=written.trusted_hops,
        envoy_appends=written.envoy_appends,
        key_headers=tuple(dict.fromkeys(one.header for one in keys.extract if one.header)),
        key_namespaces=tuple(dict.fromkeys(one.metadata for one in keys.extract if one.metadata)),
        key_deadline=keys.lookup.deadline.total_seconds() if remote else 0.0,
        policies=frozenset(policies.policies),
        reads=frozenset(
            part for part in _PARTS if any(one.may_read(f"request.{part}") for one in conditions)
        ),
        listen=tuple(settings.listen.grpc),
        tls=settings.tls is not None,
        client_certificate=settings.tls is not None and settings.tls.client_ca is not None,
        admin=configured(settings),
    )
