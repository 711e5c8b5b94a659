"""What a policy file becomes, and how a refusal is told."""

from typing import Any

import pytest

from regiongate.policy import PolicySet
from regiongate.policy.conditions import Language
from regiongate.policy.model import Format, Refusal, Response
from tests.policies import ENFORCED, OBSERVED, WARNED, allow, dated, deny, policies

DESCRIBED = policies(
    responses={
        "described": {"status": 451, "message": "Not here", "format": "problem"},
        "bare": {},
        "invalid_api_key": {"status": 403, "message": "Whose key is this?"},
    }
)

RESPONSES = [
    # refusal, response
    (
        Refusal("described"),
        Response(status=451, message="Not here", format=Format.PROBLEM),
    ),
    (
        Refusal("described", 403),
        Response(status=403, message="Not here", format=Format.PROBLEM),
    ),
    (
        Refusal("described", None, "No"),
        Response(status=451, message="No", format=Format.PROBLEM),
    ),
    (Refusal("described", 401, "No"), Response(status=401, message="No", format=Format.PROBLEM)),
    (Refusal("bare"), Response(status=403, message="Request not allowed")),
    (Refusal("never-described"), Response(status=403, message="Request not allowed")),
    (Refusal("never-described", 429), Response(status=429, message="Request not allowed")),
    (
        Refusal("unsupported_country_region_territory"),
        Response(status=403, message="Country, region, or territory not supported"),
    ),
    (Refusal("invalid_api_key"), Response(status=403, message="Whose key is this?")),
]


@pytest.mark.parametrize(("refusal", "response"), RESPONSES)
def test_a_refusal_is_told_as_its_reason_says_in_its_own_words(
    refusal: Refusal, response: Response
) -> None:
    """The rule's own status and message stand before the reason's."""
    assert DESCRIBED.response(refusal) == response


def test_well_known_reasons_need_no_description() -> None:
    """Without a word in the file the common reasons are told properly."""
    told = policies().response(Refusal("invalid_api_key"))
    assert told == Response(status=401, message="Invalid API key")


IN_PART: dict[str, tuple[dict[str, Any], Response]] = {
    "message": ({"message": "Whose?"}, Response(status=401, message="Whose?")),
    "no message": ({"message": ""}, Response(status=401, message="")),
    "status": ({"status": 403}, Response(status=403, message="Invalid API key")),
    "format": (
        {"format": "problem"},
        Response(status=401, message="Invalid API key", format=Format.PROBLEM),
    ),
    "nothing": ({}, Response(status=401, message="Invalid API key")),
}


@pytest.mark.parametrize(("written", "response"), IN_PART.values(), ids=IN_PART)
def test_a_well_known_reason_may_be_described_in_part(
    written: dict[str, Any], response: Response
) -> None:
    """What is not said is as it would be without a description: the 401 stays."""
    described = policies(responses={"invalid_api_key": written})
    assert described.response(Refusal("invalid_api_key")) == response


def test_a_policy_set_has_a_default() -> None:
    """There is always a policy for a route that names none."""
    with pytest.raises(ValueError, match=r"^expected a policy named default \(got none\)$"):
        PolicySet(policies={}, responses={}, regions={}, language=Language({}), digest="")


def test_a_policy_set_does_not_change() -> None:
    """What is in force cannot be edited in place."""
    with pytest.raises(TypeError, match="does not support item assignment"):
        DESCRIBED.policies["default"] = DESCRIBED.policies["default"]  # type: ignore[index] # to be refused


@pytest.mark.parametrize(
    ("when", "reads"),
    [
        ("key.found", False),
        ('request.path == "/"', True),
        ('"x" in request.headers', True),
        ("dyn(request) == dyn(key)", True),
    ],
)
def test_a_policy_knows_whether_it_looks_at_the_request(when: str, *, reads: bool) -> None:
    """One rule that looks at the request is enough, whatever phase it is in."""
    written = policies(allow(), deny(when, mode="shadow", phases=dated("warn")))
    assert written.policies["default"].reads_request is reads


def test_a_policy_changes_when_the_first_of_its_rules_does() -> None:
    """The next boundary of any phase is the policy's."""
    written = policies(
        deny(name="a", phases=dated("warn", "enforce")), deny(name="b", phases=dated("observe"))
    ).policies["default"]
    assert written.next_change(OBSERVED) == WARNED
    assert written.next_change(WARNED) == ENFORCED
    assert written.next_change(ENFORCED) is None
