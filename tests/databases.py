"""Builds the MaxMind DB files that tests and benchmarks read.

The records have the shape that each vendor publishes; who is where in them is invented, except that
COUNTRY repeats the networks of MaxMind's own GeoIP2-Country-Test file that matter to a policy.
"""

import gzip
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from mmdb_writer import MmdbF64, MmdbU32, MmdbU64, MmdbU128, MMDBWriter, SearchTreeNode, TreeChild
from netaddr import IPNetwork, IPSet

Tree = Literal["ipv4", "ipv6", "aliased"]
"""IPv4 alone; both, with IPv4 under ::/96; or also aliased to it from ::ffff:0:0/96 and 2002::/16,
which is how MaxMind builds a file and nobody else does."""

BUILT = datetime(2026, 11, 1, tzinfo=UTC)
"""When a database was built unless its test says otherwise."""

LANGUAGES = {
    "de": "Land",
    "en": "Country",
    "es": "País",
    "fr": "Pays",
    "ja": "カントリー",
    "pt-BR": "País do",
    "ru": "Страна",
    "zh-CN": "中华国家",
}
"""MaxMind gives every name in these eight languages."""

CONTINENTS = {
    "AU": "OC", "BT": "AS", "CN": "AS", "CU": "NA", "DE": "EU", "FR": "EU", "GB": "EU", "HK": "AS",
    "IR": "AS", "JP": "AS", "KP": "AS", "PH": "AS", "RO": "EU", "RU": "EU", "SE": "EU", "SY": "AS",
    "TW": "AS", "UA": "EU", "US": "NA", "XK": "EU", "ZA": "AF",
}  # fmt: skip


def names(text: str) -> dict[str, str]:
    """Return a name in eight languages."""
    return {language: f"{word} {text}" for language, word in LANGUAGES.items()}


def country(code: str, *, registered: str = "", **more: Any) -> dict[str, Any]:
    """Return a GeoIP2-Country record; `registered` defaults to the country itself."""
    return {
        "continent": {
            "code": CONTINENTS[code],
            "geoname_id": 6255148,
            "names": names(CONTINENTS[code]),
        },
        "country": {"geoname_id": 2661886, "iso_code": code, "names": names(code)},
        "registered_country": {
            "geoname_id": 2921044,
            "iso_code": registered or code,
            "names": names(registered or code),
        },
        **more,
    }


def city(code: str, *subdivisions: str) -> dict[str, Any]:
    """Return a GeoIP2-City record; subdivisions are bare, as in "43", largest first."""
    return country(
        code,
        city={"geoname_id": 2694762, "names": names("city")},
        location={"accuracy_radius": 76, "latitude": 58.4167, "longitude": 15.6167},
        subdivisions=[
            {"geoname_id": 2685867, "iso_code": part, "names": names(part)} for part in subdivisions
        ],
    )


def asn(number: int, organization: str) -> dict[str, Any]:
    """Return a GeoLite2-ASN record."""
    return {
        "autonomous_system_number": number,
        "autonomous_system_organization": organization,
    }


def anonymous(*flags: str) -> dict[str, Any]:
    """Return a GeoIP2-Anonymous-IP record, whose flags are present only when true."""
    return dict.fromkeys(flags, True)


COUNTRY: dict[str, object] = {
    "2.125.160.216/29": country("GB"),
    "67.43.156.0/24": country("BT", registered="RO"),
    "81.2.69.160/27": country("GB", registered="US"),
    "89.160.20.112/28": country("SE", registered="DE"),
    "111.235.160.0/22": country("CN"),
    "149.101.100.0/28": country("US", registered="GB"),
    "175.45.176.0/22": country("KP"),
    "202.196.224.0/20": country(
        "PH",
        represented_country={"geoname_id": 6252001, "iso_code": "US", "type": "military"},
    ),
    "214.1.1.0/24": {"traits": {"is_anycast": True}},
    "216.160.83.56/29": country("US", registered="GB"),
    "2001:218::/32": country("JP"),
    "2001:238::/32": country("TW"),
    "2001:250::/31": country("CN"),
    "2001:2e0::/32": country("HK"),
    "2a02:d0c0::/29": country("RU"),
    "2a02:d2c0::/29": country("IR"),
    "2a02:d300::/29": country("UA"),
    "2a02:d500::/29": {"continent": {"code": "EU", "geoname_id": 6255148, "names": names("EU")}},
}
CITY: dict[str, object] = {
    **COUNTRY,
    "5.133.64.0/24": city("UA", "43"),
    "31.40.128.0/24": city("UA", "40"),
    "37.57.0.0/17": city("UA", "30"),
    "91.245.80.0/24": city("UA"),
    "46.99.0.0/16": city("XK"),
}
ASN: dict[str, object] = {
    "1.128.0.0/11": asn(1221, "Telstra Pty Ltd"),
    "12.81.92.0/22": asn(7018, "AT&T Services"),
    "81.2.69.0/24": asn(20712, "Andrews & Arnold Ltd"),
    "2600:6000::/20": asn(237, "Merit Network Inc."),
}
ANONYMOUS: dict[str, object] = {
    "1.2.0.0/16": anonymous("is_anonymous", "is_anonymous_vpn"),
    "1.124.213.1/32": anonymous("is_anonymous", "is_anonymous_vpn", "is_tor_exit_node"),
    "65.0.0.0/13": anonymous("is_anonymous", "is_tor_exit_node"),
    "71.160.223.0/24": anonymous("is_anonymous", "is_hosting_provider"),
    "81.2.69.0/24": anonymous(
        "is_anonymous",
        "is_anonymous_vpn",
        "is_hosting_provider",
        "is_public_proxy",
        "is_residential_proxy",
        "is_tor_exit_node",
    ),
    "abcd:1000::/112": anonymous("is_anonymous", "is_public_proxy"),
}


def write(
    path: Path,
    records: Mapping[str, object],
    *,
    tree: Tree = "ipv6",
    database_type: str = "Test-Country",
    built: datetime | int = BUILT,
) -> Path:
    """Write a database and return its path.

    Args:
        path: The file to write; replaced in place if it is there.
        records: A record for each network in CIDR form; a more specific network wins.
        tree: Which addresses there are.
        database_type: The type stated in the metadata.
        built: The build time, or any number of seconds to state instead.
    """
    writer = _Writer(4 if tree == "ipv4" else 6, database_type, built)
    for network in sorted(records, key=lambda network: -int(IPNetwork(network).size)):
        writer.insert_network(IPSet([IPNetwork(network)]), _encodable(records[network]))
    if tree == "aliased":
        writer.alias_ipv4()
    writer.to_db_file(str(path))
    return path


def country_database(path: Path, **options: Any) -> Path:
    """Write COUNTRY as MaxMind would; the options are those of `write`."""
    return write(path, COUNTRY, **{"database_type": "GeoIP2-Country", "tree": "aliased", **options})


def city_database(path: Path, **options: Any) -> Path:
    """Write CITY as MaxMind would; the options are those of `write`."""
    return write(path, CITY, **{"database_type": "GeoIP2-City", "tree": "aliased", **options})


def asn_database(path: Path, **options: Any) -> Path:
    """Write ASN as MaxMind would; the options are those of `write`."""
    return write(path, ASN, **{"database_type": "GeoLite2-ASN", "tree": "aliased", **options})


def anonymous_database(path: Path, **options: Any) -> Path:
    """Write ANONYMOUS as MaxMind would; the options are those of `write`."""
    return write(
        path, ANONYMOUS, **{"database_type": "GeoIP2-Anonymous-IP", "tree": "aliased", **options}
    )


def damaged(content: bytes) -> dict[str, bytes]:
    """Return files that are no database, each made from a good one's content, by what they are."""
    return {
        "empty": b"",
        "text": b"8.8.8.8,US\n" * 100,
        "HTML": b"<!doctype html><title>429 Too Many Requests</title>",
        "gzip": gzip.compress(content),
        "zeros": bytes(len(content)),
        "first half": content[: len(content) // 2],
        "second half of zeros": content[: len(content) // 2] + bytes(len(content) // 2),
        "marker only": b"\xab\xcd\xefMaxMind.com",
        "metadata without a tree": content[content.rindex(b"\xab\xcd\xefMaxMind.com") :],
    }


def _encodable(value: object) -> Any:
    """Give each number a type of its own: mmdb_writer takes 1, 1.0 and True for one value."""
    match value:
        case dict():
            return {key: _encodable(item) for key, item in value.items()}
        case list():
            return [_encodable(item) for item in value]
        case float():
            return _double(value)
        case int() if not isinstance(value, bool) and value >= 0:
            return _unsigned(value)
        case _:
            return value


@cache  # The same object for the same number, or equal records would not be written once.
def _unsigned(value: int) -> object:
    types: list[tuple[int, Callable[[int], object]]] = [(32, MmdbU32), (64, MmdbU64)]
    return next((kind(value) for bits, kind in types if value < 1 << bits), MmdbU128(value))


@cache
def _double(value: float) -> MmdbF64:
    return MmdbF64(value)


class _Writer(MMDBWriter):
    """A writer that states any build time and can alias IPv4 the way MaxMind does."""

    def __init__(self, ip_version: int, database_type: str, built: datetime | int) -> None:
        super().__init__(
            ip_version,
            database_type,
            languages=["en"],
            description="invented for a test",
            ipv4_compatible=ip_version == 6,
        )
        self._built = int(built.timestamp()) if isinstance(built, datetime) else built

    def alias_ipv4(self) -> None:
        """Point ::ffff:0:0/96 and 2002::/16 at the IPv4 networks."""
        ipv4: TreeChild = self.tree
        for _ in range(96):
            ipv4 = ipv4[0] if isinstance(ipv4, SearchTreeNode) else ipv4
        for alias in (IPNetwork("::ffff:0:0/96"), IPNetwork("2002::/16")):
            self._point(alias, ipv4)

    def _point(self, network: IPNetwork, target: TreeChild) -> None:
        bits = f"{network.value:0128b}"[: network.prefixlen]
        node: TreeChild = self.tree
        for bit in bits[:-1]:
            assert isinstance(node, SearchTreeNode)
            node = node.get_or_create(int(bit))
        assert isinstance(node, SearchTreeNode)
        node[int(bits[-1])] = target

    def _build_meta(self) -> dict[str, Any]:
        return {**super()._build_meta(), "build_epoch": self._built}
