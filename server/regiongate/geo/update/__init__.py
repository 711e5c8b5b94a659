"""Keeps databases up to date from where they are published.

`renew.renew` updates one. What a configuration needs to know is in `catalogue` alone: the rest is
imported where something is fetched.
"""
