"""The three answers, read as Envoy reads them: with upstream's own classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate.extauthz import responses
from regiongate.extauthz.responses import Answer, Told
from regiongate.policy.model import Format, Response
from tests.unit.extauthz import upstream
from tests.unit.extauthz.upstream import CheckResponse, settled

ID = "0123456789abcdef0123456789abcdef"
DENIED = Told(outcome="deny", reason="unsupported_country_region_territory")
ALLOWED = Told(outcome="allow", policy_verdict="allow", reason="otherwise")
EVERYTHING = Told(
    outcome="allow",
    policy_verdict="deny",
    policy="default",
    rule="unsupported-region",
    reason="exempt",
    phase="warn",
    country="FR",
    key_id="key_1",
    org="acme",
    exemption="ex_1",
)
FORBIDDEN = Response(message="Country, region, or territory not supported")

BUILDERS: dict[str, Callable[[Told], Answer]] = {
    "allow": responses.allow,
    "allow with a notice": lambda told: responses.allow(told, "code=a"),
    "deny": lambda told: responses.deny(told, FORBIDDEN),
    "deny to gRPC": lambda told: responses.deny(told, FORBIDDEN, grpc=True),
    "error": lambda told: responses.error(told, defer=False),
    "error, deferred": lambda told: responses.error(told, defer=True),
    "error to gRPC": lambda told: responses.error(told, defer=False, grpc=True),
}
every_builder = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


def read(answer: Answer) -> upstream.Answer:
    """Read an answer as Envoy does, once it has its decision id."""
    return upstream.read(answer.render(ID))


def options(answer: Answer) -> list[Any]:
    """Return every header that an answer sets, wherever it sets it."""
    response = CheckResponse.FromString(answer.render(ID))
    said = getattr(response, response.WhichOneof("http_response"))
    return [*said.headers, *getattr(said, "response_headers_to_add", ())]


# ------------------------------------------------------------------------------ what all share


@every_builder
def test_every_header_overwrites(build: Callable[[Told], Answer]) -> None:
    """A header of ours replaces a client's in every release of Envoy, whichever field it heeds."""
    headers = options(build(EVERYTHING))
    assert headers
    assert all(one.HasField("append") and not one.append.value for one in headers)
    assert all(one.append_action == one.OVERWRITE_IF_EXISTS_OR_ADD for one in headers)


@every_builder
def test_every_answer_carries_its_metadata(build: Callable[[Told], Answer]) -> None:
    """Access logs, RBAC and rate limits read what was decided, whatever it was."""
    assert read(build(EVERYTHING)).metadata == {
        "decision_id": ID,
        "outcome": "allow",
        "policy_verdict": "deny",
        "policy": "default",
        "rule": "unsupported-region",
        "reason": "exempt",
        "phase": "warn",
        "country": "FR",
        "key_id": "key_1",
        "org": "acme",
        "exemption": "ex_1",
    }


@every_builder
def test_metadata_leave_out_what_is_empty(build: Callable[[Told], Answer]) -> None:
    """A field with nothing to say is absent rather than empty."""
    metadata = read(build(DENIED)).metadata
    assert metadata.keys() == {"decision_id", "outcome", "policy_verdict", "reason"}


@every_builder
def test_every_answer_names_its_decision(build: Callable[[Told], Answer]) -> None:
    """An answer that is given again names the decision it is then given for."""
    answer = build(DENIED)
    for decision_id in (ID, "f" * 32):
        said = upstream.read(answer.render(decision_id))
        assert said.headers["x-regiongate-decision-id"] == decision_id
        assert said.metadata["decision_id"] == decision_id


@pytest.mark.parametrize("decision_id", ["", "d1", "0" * 31, "0" * 33])
def test_a_decision_id_of_another_length_is_refused(decision_id: str) -> None:
    """An id of another length would falsify the lengths in the serialised message."""
    message = f"expected a decision id of 32 characters \\(got '{decision_id}'\\)"
    with pytest.raises(ValueError, match=message):
        responses.deny(DENIED, FORBIDDEN).render(decision_id)


@every_builder
def test_an_answer_remembers_what_it_says(build: Callable[[Told], Answer]) -> None:
    """The decision log is told what the answer tells."""
    assert build(EVERYTHING).told is EVERYTHING


@every_builder
def test_text_that_is_no_unicode_is_still_read_by_upstream(build: Callable[[Told], Answer]) -> None:
    """A lone surrogate from some file costs the character and not the answer."""
    answer = read(build(DENIED._replace(reason="a\ud800b", policy="\udfff")))
    assert (answer.metadata["reason"], answer.metadata["policy"]) == ("a?b", "?")


# Each of these would end a header and begin another, or a body.
SMUGGLED = ["a\r\nset-cookie: x", "a\nb", "a\rb", "a\0b", "a\x7fb", "a\x1bb", "a\tb", "é", "\ud800"]


@pytest.mark.parametrize("field", ["country", "key_id", "org"])
@pytest.mark.parametrize("value", SMUGGLED)
def test_no_control_character_enters_an_allow(field: str, value: str) -> None:
    """What the upstream is told holds no control character either."""
    with pytest.raises(ValueError, match="expected an HTTP header"):
        responses.allow(EVERYTHING._replace(**{field: value}))


@pytest.mark.parametrize("value", SMUGGLED)
def test_no_control_character_enters_a_notice(value: str) -> None:
    """Nor does what the client is told beside the upstream's answer."""
    with pytest.raises(ValueError, match=r"expected an HTTP header \(got 'x-regiongate-notice'"):
        responses.allow(ALLOWED, value)


@pytest.mark.parametrize("value", SMUGGLED)
def test_no_control_character_enters_a_content_type(value: str) -> None:
    """Nor does the operator's own content type."""
    response = Response(format=Format.TEMPLATE, body="a", content_type=value)
    with pytest.raises(ValueError, match=r"expected an HTTP header \(got 'content-type'"):
        responses.deny(DENIED, response)


@pytest.mark.parametrize("name", ["", "X-Upper", "a b", "a:b", "a\r\n", "a\n", ":path", "é", "a,b"])
def test_a_header_name_is_a_token_in_lower_case(name: str) -> None:
    """A name that could be taken for anything else is refused."""
    with pytest.raises(ValueError, match="expected an HTTP header"):
        responses._header(name, "a")


# ------------------------------------------------------------------------------------- allow

ALLOWS = {
    "nothing known": (
        ALLOWED,
        {"x-regiongate-decision-id": ID},
        ("x-regiongate-country", "x-regiongate-key-id", "x-regiongate-org"),
    ),
    "a country": (
        ALLOWED._replace(country="FR"),
        {"x-regiongate-decision-id": ID, "x-regiongate-country": "FR"},
        ("x-regiongate-key-id", "x-regiongate-org"),
    ),
    "a key of nobody": (
        ALLOWED._replace(key_id="key_1"),
        {"x-regiongate-decision-id": ID, "x-regiongate-key-id": "key_1"},
        ("x-regiongate-country", "x-regiongate-org"),
    ),
    "everything": (
        EVERYTHING,
        {
            "x-regiongate-country": "FR",
            "x-regiongate-decision-id": ID,
            "x-regiongate-key-id": "key_1",
            "x-regiongate-org": "acme",
        },
        (),
    ),
}


@pytest.mark.parametrize(("told", "headers", "removed"), ALLOWS.values(), ids=ALLOWS)
def test_an_allow_leaves_no_header_to_forge(
    told: Told, headers: dict[str, str], removed: tuple[str, ...]
) -> None:
    """Each header of ours is either overwritten or removed, so that none is a client's."""
    answer = read(responses.allow(told))
    assert settled(answer) == "allow"
    assert (answer.headers, answer.removed, answer.added) == (headers, removed, {})


def test_an_allow_removes_what_else_is_forged() -> None:
    """Further headers of a client's are removed, but never one that is set: Envoy removes last."""
    forged = ["x-regiongate-plan", "x_regiongate_org", "x-regiongate-country", "x-regiongate-org"]
    answer = read(responses.allow(ALLOWED._replace(country="FR"), forged=forged))
    assert answer.headers.keys() == {"x-regiongate-country", "x-regiongate-decision-id"}
    assert answer.removed == (
        *("x-regiongate-key-id", "x-regiongate-org", "x-regiongate-plan", "x_regiongate_org"),
    )


OURS = {
    "x-regiongate-country": True,
    "x-regiongate-anything": True,
    "x-regiongate-": True,
    "x_regiongate_org": True,
    "x-regiongate_org": True,
    "x-regiongate": False,
    "x-regiongates-org": False,
    "my-x-regiongate-org": False,
    "": False,
}


@pytest.mark.parametrize(("name", "expected"), OURS.items())
def test_whose_header_it_is(name: str, expected: bool) -> None:  # noqa: FBT001 a case of the table
    """A name that an upstream could take for one of ours is ours."""
    assert responses.is_ours(name) is expected


def test_a_notice_goes_to_the_client() -> None:
    """What the client is to be told is added to the upstream's answer, not to the request."""
    answer = read(responses.allow(ALLOWED, responses.notice("a", "2024-07-09T00:00:00Z")))
    assert answer.added == {"x-regiongate-notice": 'code=a; effective="2024-07-09T00:00:00Z"'}
    assert "x-regiongate-notice" not in answer.headers


def test_a_notice_without_a_date() -> None:
    """A rule that will be enforced on no date yet has none to tell."""
    assert responses.notice("a", "") == "code=a"


# ------------------------------------------------------------------------------ deny and error

OPENAI = {
    "message": "Country, region, or territory not supported",
    "type": "request_forbidden",
    "param": None,
    "code": "unsupported_country_region_territory",
    "decision_id": ID,
}
STATUSES = {
    400: (7, "request_forbidden"),
    401: (16, "invalid_request_error"),
    403: (7, "request_forbidden"),
    429: (7, "request_forbidden"),
    451: (7, "request_forbidden"),
    503: (7, "server_error"),
    599: (7, "server_error"),
}


def test_a_denial() -> None:
    """A denial is the JSON error that OpenAI-compatible client libraries read, and is not kept."""
    answer = read(responses.deny(DENIED, FORBIDDEN))
    assert (settled(answer), answer.code, answer.status) == ("deny", 7, 403)
    assert json.loads(answer.body) == {"error": OPENAI}
    assert answer.message == "unsupported_country_region_territory"
    assert answer.headers == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-regiongate-decision-id": ID,
    }


@pytest.mark.parametrize(("status", "expected"), STATUSES.items())
def test_statuses(status: int, expected: tuple[int, str]) -> None:
    """A denial has its HTTP status, a code that is never 0, and the type that goes with both."""
    answer = read(responses.deny(DENIED, replace(FORBIDDEN, status=status)))
    assert (settled(answer), answer.status) == ("deny", status)
    assert (answer.code, json.loads(answer.body)["error"]["type"]) == expected


GRPC = {
    "forbidden": (Response(), "7", "Request not allowed"),
    "unauthorized": (Response(status=401, message="Invalid API key"), "16", "Invalid API key"),
    "451, which Envoy would make UNKNOWN": (
        Response(status=451, message="Country, region"),
        "7",
        "Country, region",
    ),
    "text beyond ASCII": (Response(message="né € 100%\r\n"), "7", "n%C3%A9 %E2%82%AC 100%25%0D%0A"),
}


@pytest.mark.parametrize(("response", "status", "message"), GRPC.values(), ids=GRPC)
def test_a_grpc_client_is_told_as_grpc_has_it(
    response: Response, status: str, message: str
) -> None:
    """gRPC's status and message are set, since Envoy's own reading of HTTP's would differ."""
    answer = read(responses.deny(DENIED, response, grpc=True))
    assert (answer.headers["grpc-status"], answer.headers["grpc-message"]) == (status, message)
    assert (str(answer.code), answer.body) == (status, "")


def test_no_other_client_is() -> None:
    """A client that does not speak gRPC gets no header of gRPC's."""
    assert (
        not {"grpc-status", "grpc-message"} & read(responses.deny(DENIED, FORBIDDEN)).headers.keys()
    )


ERRORS = {False: "denied_response", True: "error_response"}


@pytest.mark.parametrize(("defer", "outcome"), ERRORS.items())
def test_an_error(defer: bool, outcome: str) -> None:  # noqa: FBT001 a case of the table
    """A fault of ours refuses with 503, and is an error to Envoy only where it is to decide."""
    answer = read(responses.error(DENIED, defer=defer))
    assert (answer.outcome, answer.code, answer.status) == (outcome, 14, 503)
    assert json.loads(answer.body)["error"]["type"] == "server_error"


@pytest.mark.parametrize("defer", ERRORS)
def test_an_error_to_grpc(defer: bool) -> None:  # noqa: FBT001 a case of the table
    """A gRPC client is told of a fault of ours as UNAVAILABLE."""
    answer = read(responses.error(DENIED, defer=defer, grpc=True))
    assert (answer.headers["grpc-status"], answer.body) == ("14", "")


def test_a_denial_with_the_code_of_an_allow_is_not_built() -> None:
    """Envoy lets a request pass for code 0 whatever else is said, so none is ever said with it."""
    with pytest.raises(
        ValueError, match=r"^expected a code other than 0, which Envoy takes for an"
    ):
        responses._denial(0, DENIED, FORBIDDEN, grpc=False)


# -------------------------------------------------------------------------------------- bodies

HOSTILE = 'a "quoted" \\ line\r\n</script>\u2028é\0'


def test_problem_details() -> None:
    """The shape of RFC 9457, with the code and the decision beside it."""
    response = Response(status=451, message="Not here", format=Format.PROBLEM)
    answer = read(responses.deny(DENIED, response))
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": "Not here",
        "status": 451,
        "code": "unsupported_country_region_territory",
        "decision_id": ID,
    }


@pytest.mark.parametrize("form", [Format.OPENAI, Format.PROBLEM])
def test_json_stays_json_whatever_is_said(form: Format) -> None:
    """No message breaks out of the JSON it is put into."""
    answer = read(responses.deny(DENIED, Response(message=HOSTILE, format=form)))
    body = json.loads(answer.body)
    assert body.get("title", body.get("error", {}).get("message")) == HOSTILE


TEMPLATES = {
    "text": ("text/plain", "${message}|${reason}|$decision_id|$$", f"{HOSTILE}|{HOSTILE}|{ID}|$"),
    "no name": ("text/plain", "Go away", "Go away"),
    "not filled in twice": ("text/plain", "${country}", "${reason}"),
}


@pytest.mark.parametrize(("kind", "body", "expected"), TEMPLATES.values(), ids=TEMPLATES)
def test_templates(kind: str, body: str, expected: str) -> None:
    """The operator's own text is filled in once."""
    response = Response(format=Format.TEMPLATE, body=body, content_type=kind, message=HOSTILE)
    told = DENIED._replace(reason=HOSTILE, country="${reason}")
    answer = read(responses.deny(told, response))
    assert (answer.headers["content-type"], answer.body) == (kind, expected)


JSON_TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "APPLICATION/JSON",
    "application/vnd.error+json",
]


@pytest.mark.parametrize("kind", JSON_TYPES)
def test_templates_of_json_are_escaped(kind: str) -> None:
    """What is filled into JSON is escaped as JSON's strings are."""
    body = '{"m": "${message}", "r": "${reason}", "c": "${country}"}'
    response = Response(format=Format.TEMPLATE, body=body, content_type=kind, message=HOSTILE)
    answer = read(responses.deny(DENIED._replace(reason=HOSTILE, country='"'), response))
    assert json.loads(answer.body) == {"m": HOSTILE, "r": HOSTILE, "c": '"'}


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    message=st.text(max_size=40),
    reason=st.text(max_size=40),
    status=st.integers(400, 599),
    form=st.sampled_from([Format.OPENAI, Format.PROBLEM]),
    grpc=st.booleans(),
)
def test_every_denial_is_one(
    message: str, reason: str, status: int, form: Format, *, grpc: bool
) -> None:
    """Whatever an operator writes, what comes out is an explicit denial that upstream can read."""
    response = Response(status=status, message=message, format=form)
    answer = read(responses.deny(DENIED._replace(reason=reason), response, grpc=grpc))
    assert (settled(answer), answer.status) == ("deny", status)
    assert not answer.body if grpc else json.loads(answer.body)
