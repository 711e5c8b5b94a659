"""What goes wrong around RegionGate rather than in it: a busy port, no package index, no Envoy."""


class DemoError(Exception):
    """Stop the demonstration and say why in one line."""
