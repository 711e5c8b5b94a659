"""What README.md tells a newcomer to write is taken, and refuses what it should."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regiongate import policy
from regiongate.documents import check, parse
from regiongate.facts import Key, Source
from regiongate.keys.digest import Digester
from regiongate.keys.record import ABSENT, UNKNOWN
from regiongate.keys.stores import file
from regiongate.policy import Facts, decide
from regiongate.runtime.config import Settings

README = Path(__file__).parents[3] / "README.md"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEY = b"made-up-acme-production-key"


def block(name: str) -> str:
    """Return the YAML of README that begins with the comment `# name: ...`."""
    found = re.search(rf"```yaml\n( *)# {re.escape(name)}: .*?```", README.read_text(), re.DOTALL)
    assert found, name
    return re.sub(f"^{found[1]}", "", found[0][8:-3], flags=re.MULTILINE)


POLICIES = policy.load("policy.yaml", block("policy.yaml"), str)


def known(keys: str) -> Key:
    """Return what a policy sees of README's key by a key file."""
    store = file.load("keys.yaml", keys, Digester())
    return store.records[Digester().digest(KEY)].facts(NOW)


ACTIVE = known(block("keys.yaml"))
REVOKED = known(block("keys.yaml").replace("org: acme", "org: acme\n    status: revoked", 1))

CASES = {
    # country, key: the rule that refuses
    "a supported country without a key": ("FR", ABSENT, ""),
    "a key where it may be used": ("DE", ACTIVE, ""),
    "a key where it may not be used": ("FR", ACTIVE, "outside-the-contract"),
    "a revoked key": ("DE", REVOKED, "inactive-key"),
    "an unknown key": ("DE", UNKNOWN, "unknown-key"),
    "an unsupported country": ("BR", ABSENT, "unsupported-region"),
    "an unknown country": ("", ABSENT, "unsupported-region"),
}


def test_the_configuration_is_one() -> None:
    """Every key that README names is known."""
    assert check(parse("regiongate.yaml", block("regiongate.yaml")), Settings).keys.store


@pytest.mark.parametrize("name", CASES)
def test_the_policy_refuses_what_a_newcomer_expects(name: str) -> None:
    """Revoking a key or limiting its countries means something from the first policy on."""
    country, key, rule = CASES[name]
    source = Source(status="located" if country else "unknown", country=country)
    decision = decide(POLICIES, "", Facts(source, key), NOW)
    assert (decision.rule, decision.verdict) == (rule, "deny" if rule else "allow")
