"""Policies, facts and moments that tests share: written shortly, and generated."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from regiongate import policy
from regiongate.facts import Key, Request, Source
from regiongate.policy import Decision, Exemption, Facts, PolicySet
from regiongate.policy.regions import RegionList

OBSERVED = datetime(2024, 6, 1, tzinfo=UTC)
WARNED = datetime(2024, 6, 25, tzinfo=UTC)
ENFORCED = datetime(2024, 7, 9, tzinfo=UTC)
NOW = datetime(2024, 8, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)

REGIONS = {"supported": ["US", "FR", "NO", "UA"], "embargoed": ["IR", "UA-43"], "none": []}

US = Source(address="8.8.8.8", status="located", country="US")
NORWAY = Source(address="77.40.0.1", status="located", country="NO")
IRAN = Source(address="2.144.0.1", status="located", country="IR")
CRIMEA = Source(address="91.207.56.1", status="located", country="UA", regions=["UA-43"])
UNKNOWN = Source(address="1.2.3.4", status="unknown")

Mutable = dict[str, Any]


def no_files(name: str) -> str:
    """Read no file: none of the lists is kept in one."""
    raise FileNotFoundError(2, f"No such file or directory: {name}")


def load(text: str, read: Callable[[str], str] = no_files) -> PolicySet:
    """Load a policy file that is written in full."""
    return policy.load("policy.yaml", text, read)


def deny(when: str = "true", *, name: str = "refuse", **more: Any) -> Mutable:
    """Write a rule that refuses."""
    return {"name": name, "when": when, "deny": {"reason": f"{name}-reason"}, **more}


def allow(when: str = "true", *, name: str = "pass", **more: Any) -> Mutable:
    """Write a rule that lets requests pass."""
    return {"name": name, "when": when, "allow": {"reason": f"{name}-reason"}, **more}


def dated(*phases: str) -> Mutable:
    """Write the phases of those names, at their moments."""
    moments = {"observe": OBSERVED, "warn": WARNED, "enforce": ENFORCED}
    return {phase: moments[phase].isoformat() for phase in phases}


def policies(
    *rules: Mapping[str, Any], otherwise: Any = "allow", mode: str = "enforce", **more: Any
) -> PolicySet:
    """Load a file whose default policy has these rules; JSON is YAML."""
    default = {"mode": mode, "rules": rules, "otherwise": otherwise}
    file = {"version": 1, "regions": REGIONS, "policies": {"default": default}, **more}
    return load(json.dumps(file, ensure_ascii=False))


def decide(
    policies: PolicySet,
    source: Source = US,
    key: Key | None = None,
    *,
    exemptions: Sequence[Exemption] = (),
    now: datetime = NOW,
) -> Decision:
    """Decide by the default policy."""
    facts = Facts(source, key or Key(), Request(), exemptions)
    return policy.decide(policies, "", facts, now)


def exemption(rule: str = "*", **more: Any) -> Exemption:
    """Make an exemption that is in force."""
    told = {"id": "ex-1", "why": "contract", "ticket": "T-1", "approved_by": "legal"}
    return Exemption(rule=rule, **{**told, "ends": NOW + timedelta(days=1), **more})


# --- generated ---------------------------------------------------------------------------------

CODES = ["US", "FR", "NO", "UA", "IR", "XK", "UA-43", "UA-14", "US-CA"]
COUNTRIES = ["", "US", "FR", "NO", "UA", "IR", "XK"]

CONDITIONS = [
    "true",
    "false",
    'source.within("supported")',
    '!source.within("supported")',
    'source.within("embargoed")',
    'source.within("none")',
    'source.address == "8.8.8.8"',
    'source.address.startsWith("2001:")',
    'source.status == "located"',
    'source.status in ["unknown", "private", "unresolved"]',
    'source.country == "NO"',
    'source.country != source.registered_country && source.registered_country != ""',
    'source.regions.exists(region, region.startsWith("UA-"))',
    'source.regions[0] == "UA-43"',
    'source.continent in ["EU", "NA"]',
    'source.network.endsWith("/24")',
    "source.asn == 64496 || source.asn > 65535",
    'source.as_org.contains("Example")',
    "source.anonymous || source.vpn || source.tor",
    "source.hosting && !source.proxy",
    "key.presented && !key.found",
    'key.found && key.status in ["revoked", "expired"]',
    "key.found && !key.permits(source)",
    'key.id == "k1" || key.org.matches("^org-[0-9]+$")',
    'key.plan == "gold"',
    "key.home_country == source.country",
    'key.billing_country == "US" && key.hq_country != ""',
    "key.ownership_countries.all(country, country != source.country)",
    "source.country in key.allowed_countries",
    "source.country in key.denied_countries",
    'key.labels["tier"] == "gold"',
    "has(key.labels.tier) && size(key.labels) < 3",
    'has(key.expires) && key.expires < now + duration("720h")',
    "key.created < now",
    "key.restricted",
    'key.problem != ""',
    'request.method in ["POST", "PUT"]',
    'request.host == "api.example.com"',
    'request.path.startsWith("/v1/") && size(request.query) > 0',
    'request.scheme == "https" && request.protocol == "HTTP/2"',
    'request.headers["user-agent"].contains("bot")',
    'request.headers.exists(name, name == "x-debug")',
    '"beta" in request.route && request.route["beta"] == "on"',
    'request.principal == "spiffe://a" || request.sni == "api.example.com"',
    "now.getFullYear() == 2024",
    'now >= timestamp("2024-07-09T00:00:00Z")',
    'now.getDayOfWeek("Europe/Paris") == 0',
    "source.asn / size(key.id) == 1",
    "1 / 0 == 1",
    "int(request.path) > 5",
]
"""Conditions over every fact there is; some of them fail for some facts."""

TIMELESS = [text for text in CONDITIONS if "now" not in text]

MOMENTS = st.one_of(
    st.sampled_from([OBSERVED, WARNED, ENFORCED, NOW]),
    st.sampled_from([OBSERVED - SECOND, WARNED - SECOND, ENFORCED - SECOND]),
    st.datetimes(datetime(2024, 5, 1), datetime(2024, 9, 1), timezones=st.just(UTC)),  # noqa: DTZ001 the zone is given beside
    st.datetimes(timezones=st.just(UTC)),
)

_WORDS = st.sampled_from(["", "k1", "org-7", "gold", "Example Ltd", "/v1/chat", "5", "\u00e9\0"])
_COUNTRY = st.sampled_from(COUNTRIES)
_LIST = st.lists(st.sampled_from(CODES), max_size=3, unique=True)
_MAP = st.dictionaries(
    st.sampled_from(["tier", "user-agent", "x-debug", "beta"]),
    st.sampled_from(["", "gold", "a bot", "on"]),
    max_size=3,
)
_FLAG = st.booleans()
_PAST_AND_FUTURE = st.none() | st.datetimes(
    datetime(1990, 1, 1),  # noqa: DTZ001 the zone is given beside
    datetime(2090, 1, 1),  # noqa: DTZ001 the zone is given beside
    timezones=st.just(UTC),
)

SOURCES = st.builds(
    Source,
    address=st.sampled_from(["", "8.8.8.8", "2001:db8::1"]),
    status=st.sampled_from(["located", "unknown", "private", "unresolved"]),
    country=_COUNTRY,
    regions=_LIST,
    continent=st.sampled_from(["", "EU", "NA", "AN"]),
    registered_country=_COUNTRY,
    network=st.sampled_from(["", "8.8.8.0/24", "2001:db8::/32"]),
    asn=st.integers(0, 2**32 - 1),
    as_org=_WORDS,
    anonymous=_FLAG,
    vpn=_FLAG,
    tor=_FLAG,
    hosting=_FLAG,
    proxy=_FLAG,
)
KEYS = st.builds(
    Key,
    found=_FLAG,
    presented=_FLAG,
    id=_WORDS,
    org=_WORDS,
    status=st.sampled_from(["", "active", "suspended", "revoked", "expired"]),
    plan=_WORDS,
    home_country=_COUNTRY,
    billing_country=_COUNTRY,
    hq_country=_COUNTRY,
    ownership_countries=_LIST,
    allowed_countries=_LIST,
    denied_countries=_LIST,
    labels=_MAP,
    created=_PAST_AND_FUTURE,
    expires=_PAST_AND_FUTURE,
    restricted=_FLAG,
    problem=st.sampled_from(["", "", "", "the key is empty"]),
)
REQUESTS = st.builds(
    Request,
    method=st.sampled_from(["", "GET", "POST"]),
    host=st.sampled_from(["", "api.example.com"]),
    path=_WORDS,
    query=_WORDS,
    scheme=st.sampled_from(["", "https"]),
    protocol=st.sampled_from(["", "HTTP/2"]),
    headers=_MAP,
    route=_MAP,
    principal=st.sampled_from(["", "spiffe://a"]),
    sni=_WORDS,
)

RULE_NAMES = ["r0", "r1", "r2", "r3", "r4"]

EXEMPTIONS = st.builds(
    exemption,
    rule=st.sampled_from(["*", *RULE_NAMES]),
    begins=st.none() | MOMENTS,
    ends=MOMENTS,
    countries=st.none() | _LIST.map(lambda codes: RegionList(frozenset(codes))),
)
FACTS = st.builds(Facts, SOURCES, KEYS, REQUESTS, st.lists(EXEMPTIONS, max_size=3))

_PHASES = st.sets(st.sampled_from(["observe", "warn", "enforce"]), min_size=1).map(
    lambda phases: dated(*phases)
)


@st.composite
def rules(draw: st.DrawFn, conditions: Sequence[str] = CONDITIONS) -> list[Mutable]:
    """Write rules of every kind."""
    written = []
    for name in RULE_NAMES[: draw(st.integers(0, len(RULE_NAMES)))]:
        make = draw(st.sampled_from([deny, deny, allow]))
        rule = make(draw(st.sampled_from(conditions)), name=name)
        rule |= {"exemptable": draw(_FLAG), "mode": draw(st.sampled_from(["enforce", "shadow"]))}
        if draw(_FLAG):
            rule["phases"] = draw(_PHASES)
        written.append(rule)
    return written


OTHERWISE = st.sampled_from(["allow", "deny", {"deny": {"reason": "closed", "status": 451}}])
POLICIES = st.builds(
    lambda rules, otherwise, mode: policies(*rules, otherwise=otherwise, mode=mode),
    rules(),
    OTHERWISE,
    st.sampled_from(["enforce", "enforce", "shadow"]),
)
