"""Files of address ranges: what is read of them, and what is said of each bad line."""

from ipaddress import ip_network

import orjson
import pytest

from regiongate.documents import DocumentError, shown
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


AWS = {
    "syncToken": "1700000000",
    "createDate": "2023-11-14-22-13-20",
    "prefixes": [
        {"ip_prefix": "192.0.2.0/24", "region": "GLOBAL", "service": "AMAZON"},
        {"ip_prefix": "192.0.2.0/25", "region": "GLOBAL", "service": "CLOUDFRONT"},
        {"ip_prefix": "198.51.100.0/24", "region": "eu-west-1", "service": "EC2"},
    ],
    "ipv6_prefixes": [
        {"ipv6_prefix": "2001:db8::/48", "region": "GLOBAL", "service": "CLOUDFRONT"},
        {"ipv6_prefix": "2001:db8:1::/48", "region": "eu-west-1", "service": "EC2"},
    ],
}
"""The form of https://ip-ranges.amazonaws.com/ip-ranges.json, with made-up ranges."""


@pytest.mark.parametrize("option", [None, orjson.OPT_INDENT_2], ids=["one line", "many lines"])
def test_a_service_of_aws(option: int | None) -> None:
    """Its ranges of both versions, and nobody else's."""
    text = orjson.dumps(AWS, option=option).decode()
    read = range_list.read("aws.json", text, "CLOUDFRONT")
    assert read == (ip_network("192.0.2.0/25"), ip_network("2001:db8::/48"))


def aws(*prefixes: object, **more: object) -> str:
    """Return a file of AWS's form with entries of CLOUDFRONT."""
    entries = [{"ip_prefix": one, "service": "CLOUDFRONT"} for one in prefixes]
    return orjson.dumps(
        {"prefixes": entries, "ipv6_prefixes": [], **more}, option=orjson.OPT_INDENT_2
    ).decode()


FORM = "aws.json:1: expected the form of AWS's ip-ranges.json (got another)"
OTHER = (
    "aws.json:1: expected AWS's ip-ranges.json, as a service is named for it (got something else)"
)
HOSTILE = "EC2\n\x1b[2J" + "x" * 10_000
NO_SERVICE = {
    "names that are no names": (
        orjson.dumps(
            {"prefixes": [{"service": HOSTILE, "ip_prefix": ""}], "ipv6_prefixes": []}
        ).decode(),
        None,
        [f"aws.json:1: expected a service of {shown(HOSTILE)} (none is named)"],
    ),
    "no service is named": (
        orjson.dumps(AWS).decode(),
        None,
        ["aws.json:1: expected a service of 'AMAZON', 'CLOUDFRONT', 'EC2' (none is named)"],
    ),
    "another service": (
        orjson.dumps(AWS).decode(),
        "CLOUDFORNT",
        ["aws.json:1: expected a service of 'AMAZON', 'CLOUDFRONT', 'EC2' (got 'CLOUDFORNT')"],
    ),
    "nothing in it": (
        aws(),
        "CLOUDFRONT",
        ["aws.json:1: expected a service of any name (got 'CLOUDFRONT')"],
    ),
    "bad ranges": (
        aws("192.0.2.0/24", "192.0.2.1/24", 7),
        "CLOUDFRONT",
        [
            f"aws.json:8: {RANGE} (192.0.2.1/24 has host bits set)",
            f"aws.json:12: {RANGE} ('7' does not appear to be an IPv4 or IPv6 network)",
        ],
    ),
    "one that breaks off": (
        aws("192.0.2.0/24")[:-3],
        "CLOUDFRONT",
        ["aws.json:8: expected JSON (unexpected end of data)"],
    ),
    "another form": ('{"addresses": ["192.0.2.0/24"]}', "CLOUDFRONT", [FORM]),
    "other things in it": (aws(prefixes=["192.0.2.0/24"]), "CLOUDFRONT", [FORM]),
    "a list of lines": ("192.0.2.0/24", "CLOUDFRONT", [OTHER]),
    "a JSON list": ('["192.0.2.0/24"]', "CLOUDFRONT", [OTHER]),
}


@pytest.mark.parametrize(("text", "service", "problems"), NO_SERVICE.values(), ids=NO_SERVICE)
def test_ranges_of_aws_are_those_of_a_service(
    text: str, service: str | None, problems: list[str]
) -> None:
    """All of them together are anybody's who rents a machine, and whom nobody means to trust."""
    with pytest.raises(DocumentError) as caught:
        range_list.read("aws.json", text, service)
    assert list(map(str, caught.value.problems)) == problems


@pytest.mark.parametrize("form", ["lines", "aws"])
def test_of_many_mistakes_some_are_told(form: str) -> None:
    """Each of the first by itself, and how many there are besides; and soon."""
    bad = [f"192.0.2.{number % 256}/24" for number in range(1, 30_001) if number % 256]
    text = aws(*bad) if form == "aws" else "\n".join(bad)
    with pytest.raises(DocumentError) as caught:
        range_list.read("list", text, "CLOUDFRONT" if form == "aws" else None)
    *told, last = map(str, caught.value.problems)
    assert len(told) == range_list.MOST
    assert last.endswith(f"{len(bad) - len(told)} further entries cannot be used either")
