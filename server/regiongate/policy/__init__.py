"""What is decided.

Pure: nothing under here opens a file, reads a clock, or knows gRPC. `loading` makes a PolicySet of
a file's text, `decide` makes a Decision of a PolicySet, the facts and the time.
"""

from regiongate.policy.decide import Decision, Facts, Verdict, decide
from regiongate.policy.exemptions import Exemption
from regiongate.policy.loading import load
from regiongate.policy.model import PolicySet

__all__ = ["Decision", "Exemption", "Facts", "PolicySet", "Verdict", "decide", "load"]
