"""What a worker imports, and what each part of it adds: `python -m bench.imports`.

In an order in which each has only itself to pay for; nothing else is imported before.
"""

import gc
import os
import sys
import time

GROUPS = (
    ("asyncio", "uvloop"),
    ("grpc.aio",),
    ("grpc_health.v1.health", "grpc_reflection.v1alpha.reflection"),
    ("pygrpc_native",),
    ("pydantic", "yaml"),
    ("maxminddb", "pycountry"),
    ("cel_expr_python",),
    ("click",),
    ("sqlite3",),
    ("regiongate.runtime.worker",),
    ("regiongate.runtime.admin",),
)
"""The last is imported where there is one worker only, as its admin address needs it."""


def main() -> None:
    """Import, measure and print."""
    gc.disable()  # as regiongate.cli.lazy does
    for group in GROUPS:
        before, started = resident(), time.perf_counter()
        for name in group:
            __import__(name)
        took, grown = time.perf_counter() - started, resident() - before
        line = f"  {', '.join(group):55} {1000 * took:5.0f} ms {grown / 1e6:5.1f} MB\n"
        sys.stdout.write(line)


def resident() -> int:
    """Return how many bytes this process has in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 pathlib is imported
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
