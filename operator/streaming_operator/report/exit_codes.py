"""
Exit codes: what a pipeline sees of a verdict. Pure.
"""

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe.judge.verdict import streams

STREAMING, NOT_STREAMING, USAGE, INCONCLUSIVE, NO_CONNECTION, INTERRUPTED = 0, 1, 2, 3, 4, 130

_NO_CONNECTION = (Verdict.UNREACHABLE, Verdict.DNS_UNRESOLVED, Verdict.TLS_ERROR)
_BEST_FIRST = (STREAMING, INCONCLUSIVE, NO_CONNECTION, NOT_STREAMING)


def exit_code(verdict: str) -> int:
    """0 streaming, 1 not streaming, 3 inconclusive, 4 could not connect; a workload that is not up is 1."""
    if verdict not in set(Verdict):
        return NOT_STREAMING
    known = Verdict(verdict)
    if streams(known):
        return STREAMING
    if known is Verdict.INCONCLUSIVE:
        return INCONCLUSIVE
    return NO_CONNECTION if known in _NO_CONNECTION else NOT_STREAMING


def badness(verdict: str) -> int:
    """Order of verdicts, the worst last: proof of a fault says more than a connection that was not made."""
    return _BEST_FIRST.index(exit_code(verdict))
