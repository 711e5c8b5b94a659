"""What is written of a client's address under each form of privacy."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate.telemetry import privacy

SOURCE = {"address": "5.39.77.88", "status": "located", "country": "FR", "network": "5.39.77.88/32"}
V6 = {"address": "2001:db8:1:2:3::4", "network": "2001:db8:1:2::/64"}
WIDE = {"address": "5.39.77.88", "network": "5.39.0.0/16"}

TRUNCATED = {
    "IPv4": (SOURCE, {**SOURCE, "address": "5.39.77.0", "network": "5.39.77.0/24"}),
    "IPv6": (V6, {"address": "2001:db8:1::", "network": "2001:db8:1::/48"}),
    "a wide network": (WIDE, {"address": "5.39.77.0", "network": "5.39.0.0/16"}),
    "nothing to hide": ({"status": "unresolved"}, {"status": "unresolved"}),
}


@pytest.mark.parametrize(("source", "written"), TRUNCATED.values(), ids=TRUNCATED)
def test_a_truncated_address_is_that_of_a_site(
    source: dict[str, str], written: dict[str, str]
) -> None:
    """/24 and /48 are left of the address and of the network; the rest is as it was."""
    assert privacy.truncated(source) == written


def test_a_keyed_code_is_the_same_for_the_same_address_and_secret() -> None:
    """So that one client's decisions are found together; a network of few addresses goes."""
    first, second = privacy.keyed(b"a" * 32), privacy.keyed(b"b" * 32)
    written = first(SOURCE)
    assert written["address"].startswith("hmac:")
    assert (first(WIDE)["address"], first(WIDE)["network"]) == (written["address"], "5.39.0.0/16")
    assert second(SOURCE)["address"] != written["address"]
    assert "network" not in written
    assert (written["status"], written["country"]) == ("located", "FR")


@given(st.ip_addresses(), st.integers(0, 128), st.sampled_from(["truncated", "hmac"]))
def test_no_form_but_full_tells_the_address(address: object, length: int, form: str) -> None:
    """Whatever the network of the record, what is written contains more than one site's width."""
    found = ip_address(str(address))
    most = 32 if found.version == 4 else 128
    network = ip_network(f"{found}/{min(length, most)}", strict=False)
    source = {"address": str(found), "network": str(network)}
    assert form in ("truncated", "hmac")
    chosen = privacy.truncated if form == "truncated" else privacy.keyed(b"secret" * 6)
    written = chosen(source)
    site = ip_network(f"{found}/{privacy.PREFIX[found.version]}", strict=False)
    told = {written["address"], written.get("network", "")}
    if found != site.network_address:
        assert str(found) not in told
    if "network" in written:
        assert ip_network(written["network"]).prefixlen <= site.prefixlen


def test_full_is_everything() -> None:
    """As it is asked for."""
    assert privacy.chosen("full")(SOURCE) == SOURCE


PROBLEMS = {
    "an address": ("knows none beyond the proxy 10.1.2.3", "knows none beyond the proxy …"),
    "one of IPv6": ("knows none beyond the proxy 2001:db8::7", "knows none beyond the proxy …"),
    "what was sent": (
        "must be a bare IP address (got '1.2.3.4:5 (got 1)')",
        "must be a bare IP address",
    ),
    "a number": ("must have one value (got 0)", "must have one value (got 0)"),
    "nothing to hide": ("RFC 7239 has no face: be added", "RFC 7239 has no face: be added"),
}


@pytest.mark.parametrize(("problem", "written"), PROBLEMS.values(), ids=PROBLEMS)
def test_why_there_is_no_address_is_written_without_one(problem: str, written: str) -> None:
    """Whatever decision_log.address says: neither an address nor what a client sent is in it."""
    assert privacy.without_addresses(problem) == written
