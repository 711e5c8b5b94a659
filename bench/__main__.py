"""`python -m bench` takes every measurement that is done in a minute; each also runs alone.

`python -m bench.keys`, with a million keys, takes longer and is left to be asked for.
"""

from bench import geo, policy

if __name__ == "__main__":
    policy.main()
    geo.main()
