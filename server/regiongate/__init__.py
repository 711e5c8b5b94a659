"""RegionGate: Envoy external authorization by country and API key."""

from importlib.metadata import version

__version__ = version("regiongate")
