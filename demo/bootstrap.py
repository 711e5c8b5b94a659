"""envoy/envoy.yaml with other addresses and more patience in it, and nothing else changed.

What is demonstrated and tested is thereby what an operator copies.
"""

from collections.abc import Mapping
from pathlib import Path

import yaml

from demo.address import Address, Tcp

PATIENCE = "5s"
"""How long Envoy waits for an answer. The shipped timeout is for a machine that has nothing else to
do; where a demonstration or a test runs, a compiler may be running beside it."""

SHIPPED = Path(__file__).parent.parent / "envoy" / "envoy.yaml"


def render(*, admin: Tcp, listeners: Mapping[str, Tcp], clusters: Mapping[str, Address]) -> str:
    """Return the shipped configuration with its addresses replaced.

    Args:
        admin: of the admin interface.
        listeners: by the listener's name; every listener of the file must be there.
        clusters: by the cluster's name, likewise.
    """
    bootstrap = yaml.safe_load(SHIPPED.read_text())
    bootstrap["admin"]["address"] = admin.for_envoy()
    for listener in bootstrap["static_resources"]["listeners"]:
        listener["address"] = listeners[listener["name"]].for_envoy()
        for filters in listener["filter_chains"]:
            (manager,) = filters["filters"]
            authorization = manager["typed_config"]["http_filters"][0]["typed_config"]
            authorization["grpc_service"]["timeout"] = PATIENCE
    for cluster in bootstrap["static_resources"]["clusters"]:
        (locality,) = cluster["load_assignment"]["endpoints"]
        (endpoint,) = locality["lb_endpoints"]
        endpoint["endpoint"]["address"] = clusters[cluster["name"]].for_envoy()
    return yaml.safe_dump(bootstrap, sort_keys=False)
