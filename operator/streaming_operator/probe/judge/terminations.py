"""
How streams ended: complete, with an error, or cut off, and what cut them. Pure.

One cut can be an accident or an idle timeout; only several at the same age show a limit on the whole request.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.http.response import Ending, readable
from streaming_operator.probe.judge.finding import Cut, Finding
from streaming_operator.probe.judge.fingerprint import (
    DELAYED_CLOSE,
    EARLY,
    REQUEST_TIMEOUTS,
    Proxy,
    ProxyMatch,
)
from streaming_operator.probe.stream.timeline import Timeline

IDLE_CUT = 5.0
"""Seconds of silence before a cut from which on it is an idle timeout."""
ON_TIME = 0.1
"""
Seconds by which a timer may be late. Timeouts are configured in whole seconds: from one second on, a silence or an age
within this of whole seconds is taken for a timer's.
"""
SAME_AGE = 0.06
"""Seconds by which the cuts of one timer may differ; cuts after a number of bytes vary with the engine's pace."""


ENDS = frozenset(
    {
        # OpenAI, vLLM, SGLang, llama.cpp
        *("stop", "length", "tool_calls", "function_call", "content_filter"),
        *("eos", "eos_token", "stop_sequence"),  # TGI, Together
        *("end_turn", "max_tokens", "tool_use"),  # Anthropic's words, and Gemini's in lower case
        *("model_length", "complete"),  # Mistral, Cohere
    }
)
"""Finish reasons of an answer that is whole, in lower case."""
NEEDED = ("capacity", "quota(?![a-z])")
"""Patterns of how words begin that name what an answer lacked, so that a `no` before one denies nothing."""
GIVEN_UP = (
    *NEEDED,
    *("abort", "cancel", "interrupt", "disconnect", "preempt", "shutdown", "shut_down"),
    *("error", "fail", "timeout", "timed_out", "time_out", "unavailable"),
    *("insufficient", "overload", "exhausted", "throttl", "busy", "rate_limit"),
    *("terminate", "evict", "kill", "expired", "deadline", "crash", "out_of_memory", "oom", "lost"),
)
"""
Patterns of how words begin in finish reasons of an answer that was given up, such as DeepSeek's
insufficient_system_resource.
"""
_FAILURE = re.compile(rf"(?:^|(?<!no)(?<!not)(?<!without)_)(?:{'|'.join(GIVEN_UP)})|_(?:{'|'.join(NEEDED)})")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def says_given_up(reason: str) -> bool:
    """Whether a word of this finish reason means a failure; `terminator`, `no_error` and `uninterrupted` have none."""
    return _FAILURE.search("_".join(_WORDS.findall(reason)).lower()) is not None


def incomplete(t: Timeline, proxy: ProxyMatch | None, asked: int | None = None) -> Finding | None:
    """
    The finding of a stream that is not complete; judged before its timing. None where it is complete.

    *asked* is the number of tokens that were requested; None if unknown.
    """
    if t.error is not None:
        evidence = f"after {t.events} token events the stream carried an error: {t.error}"
        return Finding(Verdict.ERROR_IN_STREAM, Symptom.IN_STREAM, evidence)
    if not t.done:
        return _unfinished(t, proxy)
    return _given_up(t, asked)


def _given_up(t: Timeline, asked: int | None) -> Finding | None:
    """The finding of a stream that has its end marker, by its finish reason and by how much of it came."""
    reason, came = (t.finish_reason or "").lower(), t.tokens or t.events
    how_much = f"after {came} of {asked} tokens" if asked else f"after {t.events} token events"
    whole = asked is not None and came >= asked
    if reason in ENDS:
        return None
    if reason == "error":
        return Finding(Verdict.ERROR_IN_STREAM, Symptom.IN_STREAM, f"finish reason error {how_much}")
    if not reason and whole:
        evidence = f"the stream ended without a finish reason {how_much}"
        return Finding(Verdict.ABORTED, Symptom.NO_REASON, evidence)
    if not reason or says_given_up(t.finish_reason or ""):
        how = t.finish_reason or "no finish reason"
        return Finding(Verdict.ABORTED, Symptom.ABORTED, f"the stream was ended with {how} {how_much}")
    if whole:
        return None
    evidence = f"the stream ended with the unknown finish reason {t.finish_reason} {how_much}"
    return Finding(Verdict.INCONCLUSIVE, Symptom.UNKNOWN_REASON, evidence)


def _unfinished(t: Timeline, proxy: ProxyMatch | None) -> Finding:
    if t.ttft is None and t.ending in (Ending.SILENT, Ending.TOO_LONG):
        return _no_token(t)
    if t.ending is Ending.TOO_LARGE:
        why = f": {t.broken}" if t.broken else ""
        evidence = f"the response is larger than what is read of one, after {t.events} token events{why}"
        return Finding(Verdict.INCONCLUSIVE, Symptom.TOO_LARGE, evidence)
    if t.ending is Ending.TOO_LONG:
        evidence = f"the stream was still going on after {t.ended_at:.0f} s and {t.events} token events"
        return Finding(Verdict.INCONCLUSIVE, Symptom.UNCLEAR, evidence)
    if t.unread and not t.events:
        what = f"{t.unread} events or lines came{_under_a_coding(t)}, none in the format of an API"
        evidence = f"{what}; the first: {t.first_unread[:120]}"
        return Finding(Verdict.UPSTREAM_ERROR, Symptom.UNREADABLE, evidence)
    so_far = f"after {t.events} token events"
    if t.ending is Ending.STALLED:
        evidence = f"{so_far} nothing came for {t.silence:.0f} s, and no end"
        return Finding(Verdict.TRUNCATED, Symptom.HANGS, evidence)
    if t.ending is Ending.BROKEN and t.broken:
        evidence = f"{so_far} the body could not be read: {t.broken}"
        return Finding(Verdict.UPSTREAM_ERROR, Symptom.UNREADABLE, evidence)
    framed = t.is_chunked or t.has_content_length or _is_http2(t)
    if t.ending is Ending.COMPLETE and (framed or t.finish_reason):
        evidence = f"the stream ended {so_far} without [DONE], finish reason {t.finish_reason or 'missing'}"
        return Finding(Verdict.NO_DONE_MARKER, Symptom.NO_DONE, evidence)
    return _cut(t, proxy, so_far)


def _under_a_coding(t: Timeline) -> str:
    """A clause on the coding that they were decoded from; empty where it was asked for."""
    coding = (t.head.header("content-encoding") or "identity").strip().lower() if t.head else ""
    asked_for = coding in ("", "identity", "gzip", "x-gzip")
    return "" if asked_for else f" under Content-Encoding {readable(coding)[:32]}, which was not asked for"


def _no_token(t: Timeline) -> Finding:
    """Nothing to read came in time: from a server that keeps its client waiting, or from one that is silent."""
    evidence = f"no first token within {t.ended_at:.0f} s"
    signs = [f"{t.comments} comments"] if t.comments else []
    signs += [f"{t.events} events without text"] if t.events else []
    if not signs:
        return Finding(Verdict.TTFT_EXCEEDED, Symptom.NO_TOKEN, evidence)
    evidence = f"{evidence}, although the connection was alive: {' and '.join(signs)} came"
    return Finding(Verdict.TTFT_EXCEEDED, Symptom.KEPT_WAITING, evidence)


def _cut(t: Timeline, proxy: ProxyMatch | None, so_far: str) -> Finding:
    """A stream that was cut: after a silence, at a known age, or for no reason that one stream shows."""
    delay = DELAYED_CLOSE.get(proxy.proxy, 0.0) if proxy else 0.0
    if t.silence < delay - ON_TIME:
        delay = 0.0
    longest = max(t.gaps, default=0.0)
    silence = t.silence - delay
    cut = Cut(t.ended_at - delay, silence, t.events, silence <= max(5 * longest, ON_TIME))
    how = "reset" if t.ending is Ending.RESET else "closed"
    at = f"the stream was {how} {so_far}, {cut.age:.1f} s after the request"
    by = f"; it came through {proxy.proxy} ({proxy.mark})" if proxy else ""
    early = EARLY.get(proxy.proxy, 0.0) if proxy else 0.0
    long = cut.silence >= IDLE_CUT or _on_time(cut.silence, early if t.events else 0.0)
    if long and not cut.flowing:
        evidence = f"{at}, after {cut.silence:.1f} s without a byte{by}"
        return Finding(Verdict.IDLE_TIMEOUT, Symptom.IDLE_CUT, evidence, cut=cut)
    limit = REQUEST_TIMEOUTS.get(proxy.proxy) if proxy else None
    if limit is not None and -ON_TIME <= cut.age - limit <= 3 * ON_TIME:
        evidence = f"{at}, while it flowed; {limit:.0f} s is the default for a whole request{by}"
        return Finding(Verdict.TOTAL_TIMEOUT, Symptom.TOTAL_CUT, evidence, cut=cut)
    return Finding(Verdict.TRUNCATED, Symptom.CUT, f"{at}, without the end of the body{by}", cut=cut)


def _is_http2(t: Timeline) -> bool:
    """Whether HTTP/2 itself marks the end of the body."""
    return t.head is not None and t.head.version.startswith("HTTP/2")


def _on_time(seconds: float, early: float = 0.0) -> bool:
    """Whether a time looks like a timer of whole seconds that may fire *early*."""
    whole = math.floor(seconds + early + ON_TIME / 3)
    return whole >= 1 and seconds - whole <= ON_TIME


def closed_late(finding: Finding) -> Finding | None:
    """
    A silence before a cut read anew: as the second for which Envoy keeps a connection open that it has ended.

    Behind a gateway Envoy may name itself nowhere, and a limit on the whole request then looks like one on a silence.
    None where it can be no other than that.
    """
    cut, delay = finding.cut, DELAYED_CLOSE[Proxy.ENVOY]
    if finding.fingerprint or finding.symptom is not Symptom.IDLE_CUT or cut is None or not cut.events:
        return None
    if abs(cut.silence - delay) > ON_TIME:
        return None
    return replace(finding, cut=Cut(cut.age - delay, cut.silence - delay, cut.events, True))


def one_age(findings: Sequence[Finding]) -> Finding | None:
    """
    A total timeout, if these streams were cut at the same age: whole seconds, or equal to the hundredths although they
    had reached different tokens.
    """
    cuts = [finding.cut for finding in findings if finding.cut is not None]
    ages = [cut.age for cut in cuts]
    if len(cuts) < 2 or min(ages) < 1 - ON_TIME or max(ages) - min(ages) > max(SAME_AGE, max(ages) / 100):
        return None
    if not all(cut.flowing for cut in cuts):
        return None
    differ = len({cut.events for cut in cuts}) > 1
    if not (differ or all(_on_time(age) for age in ages)):
        return None
    counts = " and ".join(str(cut.events) for cut in cuts)
    evidence = (
        f"{len(cuts)} streams were cut {min(ages):.2f} to {max(ages):.2f} s after their requests while they flowed, "
        f"after {counts} token events"
    )
    return replace(findings[0], verdict=Verdict.TOTAL_TIMEOUT, symptom=Symptom.TOTAL_CUT, evidence=evidence)
