"""A demonstration of RegionGate behind a real Envoy: `python -m demo`, or `make demo`.

The end-to-end tests start the same stack. Nothing here is installed with the package.
"""
