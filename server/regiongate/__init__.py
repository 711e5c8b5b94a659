"""RegionGate: Envoy external authorization by country and API key."""

__version__: str


def __getattr__(name: str) -> str:
    """Return the version; it is asked for seldom, and what tells it takes 40 ms to import."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # noqa: PLC0415

    return version("regiongate")
