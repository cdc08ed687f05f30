"""
Exit codes of `streamctl probe` and `streamctl diagnose`, by verdict. Pure.
"""

from collections.abc import Iterable

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe.judge.verdict import streams

STREAMING, NOT_STREAMING, USAGE, INCONCLUSIVE, NO_CONNECTION, INTERRUPTED = 0, 1, 2, 3, 4, 130

_NO_CONNECTION = (Verdict.UNREACHABLE, Verdict.DNS_UNRESOLVED, Verdict.TLS_ERROR)
_BEST_FIRST = (STREAMING, INCONCLUSIVE, NO_CONNECTION, NOT_STREAMING)


def exit_code(verdict: str) -> int:
    """0 streaming, 1 not streaming (a workload that is not up too), 3 inconclusive, 4 could not connect."""
    if verdict not in set(Verdict):
        return NOT_STREAMING
    if streams(Verdict(verdict)):
        return STREAMING
    if verdict == Verdict.INCONCLUSIVE:
        return INCONCLUSIVE
    return NO_CONNECTION if verdict in _NO_CONNECTION else NOT_STREAMING


def worst(codes: Iterable[int]) -> int:
    """The exit code of several reports."""
    return max(codes, key=_BEST_FIRST.index)


def severity(verdict: str) -> int:
    """Rank of a verdict, the worst last: a proven fault is worse than a connection that was not made."""
    return _BEST_FIRST.index(exit_code(verdict))
