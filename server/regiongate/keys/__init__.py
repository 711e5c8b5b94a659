"""What is known about an API key: found in the request, looked up by its digest.

Nothing under here knows Envoy's messages or decides anything.
"""
