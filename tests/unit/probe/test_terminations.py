"""Cuts: an accident, a silence that lasted too long, or a limit on the whole request."""

from dataclasses import replace

import pytest

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe.http.response import Ending
from streaming_operator.probe.judge.finding import Attempt, Finding, Symptom
from streaming_operator.probe.judge.verdict import agree, is_certain, judge, same_fault
from streaming_operator.probe.stream.timeline import Timeline
from tests.unit.probe.streams import HEAD, chunk, record, token

CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
ENVOY = HEAD + b"server: envoy\r\ntransfer-encoding: chunked\r\n\r\n"


def cut_at(age: float, *, events: int = 40, gap: float = 0.02, head: bytes = CHUNKED) -> Timeline:
    """A stream whose last event came right before it was cut."""
    first = age - gap * events
    reads = [(0.0, head), *((first + gap * number, chunk(token())) for number in range(events))]
    return record(reads, Ending.CLOSED, age)


def judged(*timelines: Timeline) -> Finding:
    return agree([judge(Attempt(timeline)) for timeline in timelines])


@pytest.mark.parametrize(
    ("ages", "events", "expected"),
    [
        pytest.param((2.01, 2.03), (40, 40), Verdict.TOTAL_TIMEOUT, id="whole seconds"),
        pytest.param((1.53, 1.55), (40, 41), Verdict.TOTAL_TIMEOUT, id="one age, other tokens"),
        pytest.param((1.53, 1.55), (40, 40), Verdict.TRUNCATED, id="the same tokens: not a timer's mark"),
        pytest.param((1.5, 2.4), (40, 55), Verdict.TRUNCATED, id="ages differ"),
        pytest.param((0.4, 0.4), (10, 11), Verdict.TRUNCATED, id="too early for a timer"),
    ],
)
def test_one_age_is_a_limit_on_the_whole_request(
    ages: tuple[float, ...], events: tuple[int, ...], expected: Verdict
) -> None:
    """Only several streams show it, and only an age that a timer would have."""
    finding = judged(*(cut_at(age, events=count) for age, count in zip(ages, events, strict=True)))
    assert finding.verdict is expected, finding.evidence


def test_one_stream_never_shows_a_total_timeout() -> None:
    """Cut at exactly two seconds: once is an accident."""
    assert judged(cut_at(2.0)).verdict is Verdict.TRUNCATED


def test_known_default_needs_no_second_stream() -> None:
    """Envoy says who it is, and 15 s are its default for a whole request."""
    finding = judge(Attempt(cut_at(15.02, events=200, head=ENVOY)))
    assert (finding.verdict, finding.fingerprint, is_certain(finding)) == (
        Verdict.TOTAL_TIMEOUT,
        "Envoy",
        True,
    )
    assert "15 s is the default" in finding.evidence


@pytest.mark.parametrize(
    ("silence", "expected"),
    [
        (1.02, Verdict.IDLE_TIMEOUT),
        (2.6, Verdict.TRUNCATED),
        (1.8, Verdict.TRUNCATED),
        (60.0, Verdict.IDLE_TIMEOUT),
        (7.3, Verdict.IDLE_TIMEOUT),
    ],
)
def test_silence_before_a_cut(silence: float, expected: Verdict) -> None:
    """Whole seconds, or more than five: a read timeout; else a server that went away."""
    reads = [(0.0, CHUNKED), *((0.1 + 0.02 * number, chunk(token())) for number in range(20))]
    t = record(reads, Ending.CLOSED, 0.1 + 0.02 * 19 + silence)
    assert judge(Attempt(t)).verdict is expected


def test_short_silence_is_not_certain() -> None:
    """One stream that paused for a second before it broke is tried again before it is reported."""
    reads = [(0.0, CHUNKED), (0.1, chunk(token()))]
    assert not is_certain(judge(Attempt(record(reads, Ending.CLOSED, 1.1))))
    assert is_certain(judge(Attempt(record(reads, Ending.CLOSED, 60.1))))


@pytest.mark.parametrize("inner", [Verdict.TRUNCATED, Verdict.TOTAL_TIMEOUT])
def test_cuts_of_an_inner_hop_explain_a_total_timeout(inner: Verdict) -> None:
    """One stream at the inner hop is only truncated."""
    assert same_fault(Verdict.TOTAL_TIMEOUT, inner)


def test_http2_ends_without_chunks() -> None:
    """A stream that HTTP/2 ended cleanly has no end marker: the server's, not a cut."""
    t = record([(0.0, HEAD + b"\r\n" + token())], Ending.COMPLETE, 0.3)
    assert t.head is not None
    t = replace(t, head=replace(t.head, version="HTTP/2"), ending=Ending.COMPLETE)
    assert (judge(Attempt(t)).verdict, judge(Attempt(t)).symptom) == (Verdict.NO_DONE_MARKER, Symptom.NO_DONE)
