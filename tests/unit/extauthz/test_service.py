"""The answer to a Check, from bytes to bytes, with everything around the service made up."""

from __future__ import annotations

import itertools
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from regiongate.address import ClientAddress, EnvoyMetadata
from regiongate.extauthz.judging import request as request_facts
from regiongate.extauthz.remembered import Memory
from regiongate.extauthz.service import Authorization, Event
from regiongate.facts import Located, Source
from regiongate.keys.record import KeyRecord, Profile, Status
from regiongate.keys.stores.file import FileStore
from regiongate.policy.exemptions import Exemption
from regiongate.telemetry.record import record
from tests.unit.extauthz.fakes import (
    BRAZIL,
    FRANCE,
    FRANCE_TOO,
    IRAN,
    JAPAN,
    NOW,
    NOWHERE,
    Service,
    at_once,
    bearer,
    check,
    service,
)
from tests.unit.extauthz.upstream import CAPTURED, Answer, read, settled

DAY = timedelta(days=1)

POLICY = """
version: 1
regions:
  supported: [FR, JP, US]
  embargoed: [IR]
policies:
  default:
    rules:
      - name: revoked-key
        when: key.found && key.status in ["revoked", "expired"]
        deny: {reason: invalid_api_key, status: 401}
      - name: embargoed-territory
        when: source.within("embargoed")
        deny: {reason: unsupported_country_region_territory, status: 451}
        exemptable: false
      - name: outside-the-contract
        when: key.found && !key.permits(source)
        deny: {reason: country_not_permitted_for_key}
      - name: unsupported-region
        when: '!source.within("supported")'
        deny: {reason: unsupported_country_region_territory}
    otherwise: allow
  internal: {rules: [], otherwise: allow}
  closed: {rules: [], otherwise: deny}
  shadow:
    mode: shadow
    rules: [{name: everyone, when: "true", deny: {reason: nobody}}]
    otherwise: deny
  announced:
    rules:
      - name: unsupported-region
        when: '!source.within("supported")'
        deny: {reason: unsupported_country_region_territory}
        phases:
          observe: 2024-06-01T00:00:00Z
          warn: 2024-06-25T00:00:00Z
          enforce: 2024-07-09T00:00:00Z
    otherwise: allow
  one-address:
    rules: [{name: it, when: source.address == "212.27.48.10", deny: {reason: it}}]
    otherwise: allow
  one-network:
    rules: [{name: it, when: source.network == "212.27.48.10/32", deny: {reason: it}}]
    otherwise: allow
  request:
    rules: [{name: teapot, when: request.path == "/teapot", deny: {reason: teapot, status: 418}}]
    otherwise: allow
"""


def exempt(rule: str = "*", **values: object) -> Profile:
    """Make a profile with one exemption."""
    given_ = {
        "id": "ex_1",
        "rule": rule,
        "why": "a contract",
        "ticket": "T-1",
        "approved_by": "legal",
        "ends": NOW + DAY,
    }
    return Profile(exemptions=(Exemption(**(given_ | values)),))  # type: ignore[arg-type]


KEYS = {
    "active": KeyRecord(id="key_active", org="acme"),
    "revoked": KeyRecord(id="key_revoked", status=Status.REVOKED),
    "expired": KeyRecord(id="key_expired", expires=NOW - DAY),
    "expires": KeyRecord(id="key_expires", expires=NOW + DAY),
    "french": KeyRecord(id="key_french", profile=Profile(allowed_countries=frozenset({"FR"}))),
    "exempt": KeyRecord(id="key_exempt", profile=exempt("unsupported-region")),
    "later": KeyRecord(id="key_later", not_before=NOW + DAY),
    "later-and-exempt": KeyRecord(
        id="key_later_exempt", not_before=NOW + DAY, profile=exempt(ends=NOW + 5 * DAY)
    ),
}


def ours(**options: object) -> Service:
    """Make the service that these tests ask."""
    return service(POLICY, KEYS, **options)  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------- outcomes

REGION = "unsupported_country_region_territory"

# client, key, policy: verdict, HTTP status, rule, reason
OUTCOMES: dict[str, tuple[str, str, str, str, int, str, str]] = {
    "no key": (FRANCE, "", "", "allow", 0, "", "otherwise"),
    "IPv6": (JAPAN, "", "", "allow", 0, "", "otherwise"),
    "a key": (FRANCE, "active", "", "allow", 0, "", "otherwise"),
    "an unknown key": (FRANCE, "nobody's", "", "allow", 0, "", "otherwise"),
    "elsewhere": (BRAZIL, "active", "", "deny", 403, "unsupported-region", REGION),
    "embargoed": (IRAN, "active", "", "deny", 451, "embargoed-territory", REGION),
    "unknown country": (NOWHERE, "", "", "deny", 403, "unsupported-region", REGION),
    "no address": ("", "", "", "deny", 403, "unsupported-region", REGION),
    "no address at all": ("unknown", "", "", "deny", 403, "unsupported-region", REGION),
    "revoked": (FRANCE, "revoked", "", "deny", 401, "revoked-key", "invalid_api_key"),
    "expired": (FRANCE, "expired", "", "deny", 401, "revoked-key", "invalid_api_key"),
    "not expired yet": (FRANCE, "expires", "", "allow", 0, "", "otherwise"),
    "permitted": (FRANCE, "french", "", "allow", 0, "", "otherwise"),
    "not permitted": (
        JAPAN, "french", "", "deny", 403, "outside-the-contract", "country_not_permitted_for_key",
    ),
    "exempt": (BRAZIL, "exempt", "", "allow", 0, "unsupported-region", "exempt"),
    "not exemptable": (IRAN, "exempt", "", "deny", 451, "embargoed-territory", REGION),
    "before its time": (BRAZIL, "later", "", "deny", 403, "unsupported-region", REGION),
    "two keys": (FRANCE, "a,b", "", "deny", 401, "malformed-key", "invalid_api_key"),
    "two keys where all may": (FRANCE, "a,b", "internal", "deny", 401, "malformed-key",
        "invalid_api_key"),
    "another policy": (IRAN, "", "internal", "allow", 0, "", "otherwise"),
    "a closed policy": (FRANCE, "active", "closed", "deny", 403, "", "otherwise"),
    "an unknown policy": (FRANCE, "active", "internl", "deny", 403, "", "unknown_policy"),
    "a policy in capitals": (FRANCE, "active", "Internal", "deny", 403, "", "unknown_policy"),
    "a shadow": (FRANCE, "active", "shadow", "allow", 0, "everyone", "nobody"),
}  # fmt: skip


@pytest.mark.parametrize("memory", [Memory(), Memory(0)], ids=["remembering", "forgetting"])
@pytest.mark.parametrize(
    ("client", "key", "policy", "verdict", "status", "rule", "reason"),
    OUTCOMES.values(),
    ids=OUTCOMES,
)
def test_outcomes(  # noqa: PLR0913 the columns of the table
    *,
    client: str,
    key: str,
    policy: str,
    verdict: str,
    status: int,
    rule: str,
    reason: str,
    memory: Memory,
) -> None:
    """Each question has its answer, the first time and the second."""
    asked = ours(memory=memory)
    for _ in range(2):
        answer = asked.answer(check(client, bearer(key) if key else (), policy=policy))
        assert (settled(answer), answer.status) == (verdict, status)
        assert (answer.metadata.get("rule", ""), answer.metadata["reason"]) == (rule, reason)


IDENTITY = {"x-regiongate-country", "x-regiongate-key-id", "x-regiongate-org"}
IDENTITIES = {
    "nobody": (FRANCE, "", {"x-regiongate-country": "FR"}),
    "a key": (
        JAPAN,
        "active",
        {
            "x-regiongate-country": "JP",
            "x-regiongate-key-id": "key_active",
            "x-regiongate-org": "acme",
        },
    ),
    "a key of nobody": (
        FRANCE,
        "expires",
        {"x-regiongate-country": "FR", "x-regiongate-key-id": "key_expires"},
    ),
    "nowhere": (NOWHERE, "", {}),
}


@pytest.mark.parametrize(("client", "key", "expected"), IDENTITIES.values(), ids=IDENTITIES)
def test_what_the_upstream_is_told(client: str, key: str, expected: dict[str, str]) -> None:
    """The upstream is told the country and the key's id; what there is none of is removed."""
    answer = ours().answer(check(client, bearer(key) if key else (), policy="internal"))
    told = dict(answer.headers)
    assert told.pop("x-regiongate-decision-id") == answer.metadata["decision_id"]
    assert (told, {*answer.removed}) == (expected, IDENTITY - expected.keys())


FORGED = ["x-regiongate-country", "x-regiongate-org", "x-regiongate-plan", "x_regiongate_key_id"]


@pytest.mark.parametrize("order", [(FORGED, []), ([], FORGED)], ids=["first", "then"])
def test_what_a_client_forges_is_gone(order: tuple[list[str], list[str]]) -> None:
    """A header that only we may send reaches the upstream from nobody else."""
    asked = ours()
    for forged in order:
        answer = asked.answer(check(FRANCE, [(name, "forged") for name in forged]))
        left = {name.lower() for name in forged} | IDENTITY
        assert {*answer.removed} == left - {"x-regiongate-country"}
        assert answer.headers["x-regiongate-country"] == "FR"


@pytest.mark.parametrize("key", ["sk-unknown", "sk-known"])
def test_the_key_goes_no_further(key: str) -> None:
    """Neither the answer nor the decision record carries the key that was presented."""
    asked = service(POLICY, {"sk-known": KeyRecord(id="key_1")})
    answer = asked.answer(check(BRAZIL, bearer(key)))
    assert key not in repr((answer, record(asked.events[0])))


def test_a_grpc_client_is_answered_as_one() -> None:
    """The same refusal is told to a gRPC client in gRPC's words, whoever asked before."""
    asked, grpc = ours(), [("content-type", "application/grpc")]
    assert "grpc-status" not in asked.answer(check(IRAN)).headers
    assert asked.answer(check(IRAN, grpc)).headers["grpc-status"] == "7"
    assert asked.answer(check(FRANCE, [*grpc, *bearer("revoked")])).headers["grpc-status"] == "16"


def test_the_address_is_what_the_source_says() -> None:
    """The address comes from the configured source and from nowhere else."""
    asked = ours(address=EnvoyMetadata())
    name = "x-regiongate-client-address"
    data = check(FRANCE, [(name, FRANCE), ("x-forwarded-for", FRANCE)])
    assert settled(asked.answer(data, [(name, JAPAN)])) == "allow"
    assert settled(asked.answer(data, [(name, BRAZIL)])) == "deny"
    assert settled(asked.answer(data, [(name, FRANCE), (name, FRANCE)])) == "deny"
    assert settled(asked.answer(data, [(f"{name}-bin", FRANCE.encode())])) == "deny"
    assert settled(asked.answer(data)) == "deny"


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_messages_are_decided(name: str) -> None:
    """Whatever Envoy was seen to send, a decision is the answer."""
    asked = ours()
    assert settled(asked.answer(CAPTURED[name])) == "deny"
    assert asked.events[0].judged is not None


# ------------------------------------------------------------------------------------- faults

MALFORMED = {
    "text": b"GET / HTTP/1.1",
    "truncated": CAPTURED["default_ura"][:-1],
    "too many headers": check(headers=[(f"a{number}", "b") for number in range(1001)]),
}


@pytest.mark.parametrize("defer", [False, True])
@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_cannot_be_read_is_denied(
    data: bytes, *, defer: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes may be a client's doing, so they are denied even where errors are left to Envoy."""
    asked = ours(defer_errors=defer)
    answer = asked.answer(data)
    assert (settled(answer), answer.status, answer.code) == ("deny", 403, 7)
    assert answer.metadata["reason"] == "malformed_check"
    assert caplog.messages[0].startswith("denied a Check that could not be read: expected ")
    assert [event.judged for event in asked.events] == [None]


class NoPlaces:
    """A locator that fails."""

    def locate(self, client: ClientAddress) -> Located:
        raise RuntimeError(f"no locating {client}")


class NoStore(FileStore):
    """A store that fails."""

    def recall(self, digest: bytes) -> KeyRecord | None:
        raise OSError(f"no store for {len(digest)} bytes")


FAULTS = {
    "locator": service(POLICY, KEYS, locator=NoPlaces()),
    "store": service(POLICY, NoStore("v1", {})),
}


@pytest.mark.parametrize("defer", [False, True])
@pytest.mark.parametrize("asked", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_ours(asked: Service, *, defer: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A fault is answered with 503, as a denial or, where that is asked for, as an error."""
    failing = Service(replace(asked.snapshot, defer_errors=defer))
    answer = failing.answer(check(headers=bearer("active")))
    assert answer.outcome == ("error_response" if defer else "denied_response")
    assert (answer.code, answer.status, answer.metadata["outcome"]) == (14, 503, "error")
    assert answer.metadata["reason"] == failing.events[0].told.reason == "internal_error"
    assert caplog.record_tuples == [
        ("regiongate.extauthz.service", logging.ERROR, "a Check could not be judged")
    ]


def test_an_answer_stands_though_it_cannot_be_recorded(caplog: pytest.LogCaptureFixture) -> None:
    """An exception would be an RPC error, and failure_mode_allow make an allow of it."""

    def fail(event: Event) -> None:
        raise RuntimeError(f"no recording of {event.call.decision_id}")

    snapshot = ours().snapshot
    failing = Authorization(lambda: snapshot, fail, lambda: NOW)
    answer = read(at_once(failing.check(check(IRAN), ())))
    assert settled(answer) == "deny"
    assert caplog.messages == ["a Check could not be recorded"]


def test_of_a_policy_s_name_some_is_told() -> None:
    """Who may call the service can name a policy that fills a log."""
    asked = ours()
    answer = asked.answer(check(policy="p" * 100_000))
    assert (settled(answer), answer.metadata["policy"]) == ("deny", "p" * 256)
    assert asked.events[0].told.policy == "p" * 256


def test_a_country_that_no_header_may_hold_is_a_fault() -> None:
    """A line break in a database is no header, and no way out of a decision either."""
    asked = ours(
        locator=type("Odd", (), {"locate": lambda *_: Located.of(Source(country="F\r\nR"))})()
    )
    answer = asked.answer(check(policy="internal"))
    assert (settled(answer), answer.status) == ("deny", 503)


# --------------------------------------------------------------------------------- request facts


def test_conditions_see_the_request_without_its_credentials() -> None:
    """A condition sees the headers but for those that keys are read from."""
    asked = ours()
    headers = [*bearer("active"), ("x-api-key", "active"), ("x-a", "1,2")]
    asked.answer(check(headers=headers, policy="request", path="/v1/é?a=1"))
    judged = asked.events[0].judged
    assert judged is not None
    request = request_facts(asked.snapshot, judged.check)
    assert dict(request.headers) == {
        ":method": "GET",
        ":path": "/v1/é?a=1",
        ":authority": "api.example",
        "x-a": "1,2",
    }
    assert (request.method, request.host, request.path) == ("GET", "api.example", "/v1/é")
    assert (request.query, request.scheme, request.protocol) == ("a=1", "https", "HTTP/2")
    assert dict(request.route) == {"regiongate.policy": "request"}


def test_a_decision_on_the_request_is_never_remembered() -> None:
    """What one request was refused for is no matter of the next."""
    asked = ours()
    for path, verdict in (("/teapot", "deny"), ("/", "allow"), ("/teapot?x", "deny")):
        assert settled(asked.answer(check(policy="request", path=path))) == verdict


# -------------------------------------------------------------------------------- decision ids


def ids(answer: Answer) -> set[object]:
    """Return the decision ids in an answer."""
    body = [json.loads(answer.body)["error"]["decision_id"]] if answer.body else []
    header = answer.headers["x-regiongate-decision-id"]
    return {header, answer.metadata["decision_id"], *body}


ANSWERS = {
    "allow": check(FRANCE),
    "deny": check(IRAN),
    "malformed key": check(FRANCE, bearer("a,b")),
    "unreadable": b"\xff",
}


@pytest.mark.parametrize("data", ANSWERS.values(), ids=ANSWERS)
def test_decision_ids(data: bytes) -> None:
    """Header, body, metadata and event name one decision, and no two decisions share a name."""
    asked = ours()
    seen = [ids(asked.answer(data)) for _ in range(3)]
    assert seen == [{event.call.decision_id} for event in asked.events]
    assert len(set.union(*seen)) == 3
    assert all(len(event.call.decision_id) == 32 for event in asked.events)


def test_a_fault_has_a_decision_id_too() -> None:
    """Also what could not be judged can be found in the log."""
    asked = ours(locator=NoPlaces())
    assert ids(asked.answer(check())) == {asked.events[0].call.decision_id}


# ------------------------------------------------------------------------------------- phases

NOTICE = f'code={REGION}; effective="2024-07-09T00:00:00Z"'

# What the policy will do is told from `observe` on.
PHASES = {
    "before": ("2024-05-31", "allow", "allow", {}),
    "observe": ("2024-06-01", "allow", "deny", {}),
    "warn": ("2024-06-25", "allow", "deny", {"x-regiongate-notice": NOTICE}),
    "enforce": ("2024-07-09", "deny", "deny", {}),
}


@pytest.mark.parametrize(("day", "verdict", "policy_verdict", "added"), PHASES.values(), ids=PHASES)
def test_phases(day: str, verdict: str, policy_verdict: str, added: dict[str, str]) -> None:
    """A rule is recorded, then told to the client, then enforced, each from its moment on."""
    asked = ours()
    asked.now = datetime.fromisoformat(day).replace(tzinfo=UTC)
    answer = asked.answer(check(BRAZIL, policy="announced"))
    assert (settled(answer), answer.metadata["policy_verdict"]) == (verdict, policy_verdict)
    assert answer.added == added


def test_phases_begin_while_decisions_are_remembered() -> None:
    """One client that asks again and again is told and refused from the very moment."""
    asked, seen = ours(), []
    for day, *_ in PHASES.values():
        begins = datetime.fromisoformat(day).replace(tzinfo=UTC)
        for asked.now in (begins - timedelta(microseconds=1), begins):
            answer = asked.answer(check(BRAZIL, policy="announced"))
            seen.append((settled(answer), bool(answer.added), answer.metadata.get("phase", "")))
    allow = ("allow", False)
    assert seen == [
        (*allow, ""), (*allow, ""), (*allow, ""), (*allow, "observe"),
        (*allow, "observe"), ("allow", True, "warn"), ("allow", True, "warn"),
        ("deny", False, "enforce"),
    ]  # fmt: skip


def test_who_is_not_concerned_is_not_warned() -> None:
    """A client that the rule will not refuse gets no notice."""
    assert ours().answer(check(FRANCE, policy="announced")).added == {}


# ------------------------------------------------------------------------- what is remembered


def test_a_key_before_its_time_lifts_no_rule() -> None:
    """A key that is not valid yet is unknown, and its exemptions are not valid either."""
    answer = ours().answer(check(BRAZIL, bearer("later-and-exempt")))
    assert (settled(answer), answer.metadata.get("rule")) == ("deny", "unsupported-region")


def test_unknown_keys_do_not_profit_from_another_s_exemption() -> None:
    """What was decided for one key that is not known does not hold for the others."""
    asked = ours()
    asked.answer(check(BRAZIL, bearer("later-and-exempt")))
    assert settled(asked.answer(check(BRAZIL, bearer("made-up")))) == "deny"


@pytest.mark.parametrize("policy", ["one-address", "one-network"])
def test_what_a_rule_names_is_told_from_its_neighbour(policy: str) -> None:
    """Two clients of one country are not one where a rule looks at the address or the network."""
    asked = ours()
    for client, verdict in ((FRANCE, "deny"), (FRANCE_TOO, "allow"), (FRANCE, "deny")):
        assert settled(asked.answer(check(client, policy=policy))) == verdict


def test_clients_of_one_country_share_a_decision() -> None:
    """Where no rule tells them apart, what was decided for one network holds for the next."""
    asked = ours()
    for client in (FRANCE, FRANCE_TOO):
        asked.answer(check(client))
    assert len(asked.snapshot.memory) == 1


def test_a_clock_that_is_set_back() -> None:
    """A decision of the future does not hold today."""
    asked = ours()
    for asked.now, verdict in ((NOW + 30 * DAY, "deny"), (NOW, "allow")):
        assert settled(asked.answer(check(BRAZIL, policy="announced"))) == verdict


QUESTIONS = tuple(
    itertools.product(
        [NOW - 30 * DAY, NOW, NOW + DAY, NOW + 30 * DAY],
        ["", "internal", "shadow", "announced", "one-address", "one-network", "request", "typo"],
        [FRANCE, FRANCE_TOO, BRAZIL, IRAN, NOWHERE, ""],
        ["", "nobodys", "a,b", *KEYS],
    )
)


@pytest.mark.parametrize("order", [1, -1], ids=["forward", "backward"])
def test_memory_changes_no_answer(order: int) -> None:
    """Whatever was asked before, the answer is that of a service that remembers nothing."""
    remembering, forgetting = ours(), ours(memory=Memory(0))
    for now, policy, client, key in QUESTIONS[::order]:
        data = check(client, bearer(key) if key else (), policy=policy)
        for asked in (remembering, forgetting):
            asked.now = now
            at_once(asked.authorization.check(data, ()))
        told = remembering.events[-1].told
        assert told == forgetting.events[-1].told, (now, policy, client, key)


def test_the_answer_waits_for_nothing() -> None:
    """With keys at hand, a Check is answered without giving way to anything else."""
    assert at_once(ours().authorization.check(check(), ()))
