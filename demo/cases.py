"""What the demonstration asks, and what policy.yaml says to each.

The addresses were chosen by looking them up in the demonstration's database; the keys are made up
and open nothing. keys.yaml holds their digests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

ACME_PRODUCTION = "made-up-acme-production-key"
ACME_EUROPE = "made-up-acme-europe-key"
GLOBEX_UNPAID = "made-up-globex-unpaid-key"
GLOBEX_LEAKED = "made-up-globex-leaked-key"
NOBODYS = "made-up-key-that-nobody-has"

UNSUPPORTED = "unsupported_country_region_territory"
NOT_PERMITTED = "country_not_permitted_for_key"
INVALID = "invalid_api_key"
SUSPENDED = "api_key_suspended"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request.

    Attributes:
        status: the HTTP status the client got.
        country: the client's, as decided; empty where it is not known.
        rule: the rule that refused; empty where none did.
        reason: the code the client was told, or the policy's word for why it was let through.
    """

    status: int
    country: str
    rule: str = ""
    reason: str = "otherwise"


@dataclass(frozen=True, slots=True)
class Case:
    """A request and what must become of it.

    Attributes:
        client: the address the load balancer saw, or the whole X-Forwarded-For where it is forged.
        key: what is said about the key.
        expected: what the policy says.
        headers: beside X-Forwarded-For.
        path: what is asked for.
    """

    client: str
    key: str
    expected: Outcome
    headers: Sequence[tuple[str, str]] = ()
    path: str = "/v1/models"


def bearer(key: str) -> list[tuple[str, str]]:
    """Return the headers that carry a key as OpenAI-compatible clients send it."""
    return [("authorization", f"Bearer {key}")]


def api_key(*keys: str) -> list[tuple[str, str]]:
    """Return the headers that carry keys as x-api-key, one header each."""
    return [("x-api-key", key) for key in keys]


FORGED = [("x-regiongate-country", "US"), ("x-regiongate-org", "acme")]

CASES = [
    Case("8.8.8.8", "none", Outcome(200, "US")),
    Case("2001:4860:4860::8888", "valid", Outcome(200, "US"), bearer(ACME_PRODUCTION)),
    Case("24.48.0.1", "valid", Outcome(200, "CA"), api_key(ACME_PRODUCTION)),
    Case("2804::1", "none", Outcome(200, "BR")),
    Case("2001:200::1", "valid", Outcome(200, "JP"), bearer(ACME_PRODUCTION)),
    Case("168.126.63.1", "none", Outcome(200, "KR")),
    Case("117.192.0.1", "valid", Outcome(200, "IN"), bearer(ACME_PRODUCTION)),
    Case("2001:4200::1", "none", Outcome(200, "ZA")),
    Case("102.89.0.1", "none", Outcome(200, "NG")),
    Case("85.214.132.117", "valid, DE and FR only", Outcome(200, "DE"), bearer(ACME_EUROPE)),
    Case("2001:860::1", "valid, DE and FR only", Outcome(200, "FR"), api_key(ACME_EUROPE)),
    Case(
        "81.2.69.142",
        "valid, DE and FR only",
        Outcome(403, "GB", "outside-the-contract", NOT_PERMITTED),
        bearer(ACME_EUROPE),
    ),
    Case(
        "2001:4860:4860::8888",
        "valid, DE and FR only",
        Outcome(403, "US", "outside-the-contract", NOT_PERMITTED),
        bearer(ACME_EUROPE),
    ),
    Case("193.0.6.139", "unknown", Outcome(401, "NL", "unknown-key", INVALID), bearer(NOBODYS)),
    Case(
        "2001:67c:2e8:22::c100:68b",
        "suspended",
        Outcome(403, "NL", "suspended-key", SUSPENDED),
        bearer(GLOBEX_UNPAID),
    ),
    Case(
        "189.203.0.1",
        "revoked",
        Outcome(401, "MX", "revoked-key", INVALID),
        api_key(GLOBEX_LEAKED),
    ),
    # This rule stands before the first of every policy: two keys are never a guess.
    Case(
        "139.130.4.5",
        "two keys",
        Outcome(401, "AU", "malformed-key", INVALID),
        api_key(ACME_PRODUCTION, NOBODYS),
    ),
    Case("5.160.0.1", "none", Outcome(403, "IR", "embargoed-territory", UNSUPPORTED)),
    Case(
        "2001:14e8:100::1",
        "valid",
        Outcome(403, "IR", "embargoed-territory", UNSUPPORTED),
        bearer(ACME_PRODUCTION),
    ),
    Case("175.45.176.1", "none", Outcome(403, "KP", "embargoed-territory", UNSUPPORTED)),
    # Who has no valid key learns nothing about geography.
    Case("200.55.128.1", "unknown", Outcome(401, "CU", "unknown-key", INVALID), bearer(NOBODYS)),
    Case("195.19.220.1", "none", Outcome(403, "RU", "unsupported-region", UNSUPPORTED)),
    Case(
        "2001:250::1",
        "valid",
        Outcome(403, "CN", "unsupported-region", UNSUPPORTED),
        bearer(ACME_PRODUCTION),
    ),
    # In the database, but without a country.
    Case("91.198.174.192", "none", Outcome(403, "", "unsupported-region", UNSUPPORTED)),
    Case("10.1.2.3", "none", Outcome(403, "", "unsupported-region", UNSUPPORTED)),
    # The client wrote 8.8.8.8 itself; the load balancer appended where it really is.
    Case("8.8.8.8, 195.19.220.1", "none", Outcome(403, "RU", "unsupported-region", UNSUPPORTED)),
    Case("212.27.48.10", "none, forged x-regiongate-*", Outcome(200, "FR"), FORGED),
    Case("2001:640::1", "none, /internal", Outcome(200, "RU"), path="/internal/status"),
]
