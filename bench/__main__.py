"""`python -m bench`: every layer of a Check beside its floor, as tables and as JSON.

Takes about fifteen minutes. `bench.keys` (memory and floods),
`bench.start` (from exec to ready), `bench.geo` and `bench.guard` also run alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from bench import engines, growth, layers, load, policy, proxy, scaling
from bench.deployment import COMPILED
from bench.report import Report, Section

NO_H2LOAD = "h2load is not on this machine (Debian: apt-get install nghttp2-client)"


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of: {', '.join(PARTS)}")
    parser.add_argument("--json", type=Path, default=Path("bench/results/latest.json"))
    parser.add_argument("--keys", type=int, default=1_000_000, help="in the largest store")
    options = parser.parse_args()
    parts = options.parts or list(PARTS)
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"expected parts of: {', '.join(PARTS)} (got {', '.join(sorted(unknown))})")
    report = Report({"parts": " ".join(parts), "most keys": f"{options.keys:,}"})
    for part in parts:
        if part in LOADED and not load.available():
            report.missing(f"{part}: {NO_H2LOAD}")
            continue
        for section in PARTS[part](options.keys):
            report.add(section)
    if not COMPILED.exists():
        report.missing("what is compiled: there is none (make compiled; needs a C compiler)")
    report.write(options.json)


def _growth(most_keys: int) -> Iterable[Section]:
    return (growth.measure(one) for one in growth.questions(most_keys))


PARTS: Mapping[str, Callable[[int], Iterable[Section]]] = {
    "layers": lambda _: [layers.measure()],
    "policy": lambda _: policy.measure(),
    "growth": _growth,
    "engines": lambda _: [engines.measure()],
    "envoy": lambda _: [proxy.rates()],
    "latency": lambda _: proxy.latencies(),
    "scaling": lambda _: [scaling.measure()],
}
LOADED = {"engines", "envoy", "latency", "scaling"}
"""What needs the load generator."""

if __name__ == "__main__":
    main()
