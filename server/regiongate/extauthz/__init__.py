"""Envoy's protocol: what it asks, how it is answered, and the service between the two."""
