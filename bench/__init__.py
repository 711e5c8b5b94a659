"""Measurements. Every figure is a ratio of two things timed in turns in one run.

`make bench` runs all of them; `python -m bench.NAME` runs one.
"""
