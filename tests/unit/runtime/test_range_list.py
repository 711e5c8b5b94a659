"""Files of address ranges: what is read of them, and what is said of each bad line."""

from ipaddress import ip_network

import pytest

from regiongate.documents import DocumentError
from regiongate.runtime.config import range_list

GOOD = {
    "a range a line": ("10.0.0.0/8\n192.0.2.0/24\n", ["10.0.0.0/8", "192.0.2.0/24"]),
    "no line end": ("10.0.0.0/8", ["10.0.0.0/8"]),
    "other line ends": ("10.0.0.0/8\r\n192.0.2.0/24\r\n", ["10.0.0.0/8", "192.0.2.0/24"]),
    "comments": ("# of the CDN\n\n 10.0.0.0/8 # all\n#192.0.2.0/24\n", ["10.0.0.0/8"]),
    "addresses": ("192.0.2.1\n2001:db8::1\n", ["192.0.2.1/32", "2001:db8::1/128"]),
    "both versions": ("2400:cb00::/32\n10.0.0.0/8\n", ["2400:cb00::/32", "10.0.0.0/8"]),
    "a byte order mark": ("\ufeff10.0.0.0/8\n", ["10.0.0.0/8"]),
    "twice": ("10.0.0.0/8\n10.0.0.0/8\n", ["10.0.0.0/8", "10.0.0.0/8"]),
    "a JSON list": ('["10.0.0.0/8", "2400:cb00::/32"]', ["10.0.0.0/8", "2400:cb00::/32"]),
    "a JSON list of many lines": ('\n[\n  "10.0.0.0/8",\n  "::1"\n]\n', ["10.0.0.0/8", "::1/128"]),
}

RANGE = "expected an address range such as 10.0.0.0/8"
MAPPED = (
    "ranges of IPv4 addresses must be written as such, since IPv4-mapped addresses are unwrapped"
)
NONE = "cdn.txt:1: expected an address range a line (got none)"
BAD = {
    "nothing": ("", [NONE]),
    "white space": (" \n\t\n", [NONE]),
    "comments alone": ("# nothing yet\n", [NONE]),
    "an empty JSON list": ("[]", [NONE]),
    "bad lines among good ones": (
        "10.0.0.0/8\n10.0.0.1/8\n\n# no\nexample.com\n10.0.0.0/8,\n",
        [
            f"cdn.txt:2: {RANGE} (10.0.0.1/8 has host bits set)",
            f"cdn.txt:5: {RANGE} ('example.com' does not appear to be an IPv4 or IPv6 network)",
            f"cdn.txt:6: {RANGE} ('10.0.0.0/8,' does not appear to be an IPv4 or IPv6 network)",
        ],
    ),
    "IPv4-mapped": (
        "::ffff:10.0.0.0/104\n",
        [
            f"cdn.txt:1: {RANGE} ({MAPPED} (got ::ffff:a00:0/104))",
        ],
    ),
    "an error page": (
        "<html>\n" + "x" * 1000,
        [
            f"cdn.txt:1: {RANGE} ('<html>' does not appear to be an IPv4 or IPv6 network)",
            f"cdn.txt:2: {RANGE} (got '{'x' * 59}…)",
        ],
    ),
    "other things in a JSON list": (
        '[\n  "10.0.0.0/8",\n  10,\n  {"cidr": "10.0.0.0/8"},\n  "10.0.0.1/8"\n]',
        [
            f"cdn.txt:3: [1]: {RANGE} (got 10)",
            f"cdn.txt:4: [2]: {RANGE} (got {{'cidr': '10.0.0.0/8'}})",
            f"cdn.txt:5: [3]: {RANGE} (10.0.0.1/8 has host bits set)",
        ],
    ),
    "a JSON list that breaks off": (
        '["10.0.0.0/8",\n',
        ["cdn.txt:2: expected YAML (did not find expected node content)"],
    ),
}


@pytest.mark.parametrize(("text", "ranges"), GOOD.values(), ids=GOOD)
def test_a_list_is_read(text: str, ranges: list[str]) -> None:
    """Each range in its order, however the file is laid out."""
    assert range_list.read("cdn.txt", text) == tuple(map(ip_network, ranges))


@pytest.mark.parametrize(("text", "problems"), BAD.values(), ids=BAD)
def test_every_bad_line_is_told_with_its_number(text: str, problems: list[str]) -> None:
    """All of them at once, cut to what a person reads; and a list of nobody is one, too."""
    with pytest.raises(DocumentError) as caught:
        range_list.read("cdn.txt", text)
    assert list(map(str, caught.value.problems)) == problems
