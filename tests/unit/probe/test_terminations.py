"""Cuts: an accident, a silence that lasted too long, or a limit on the whole request."""

from dataclasses import replace

import pytest

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.http.response import Ending
from streaming_operator.probe.judge.finding import Attempt, Finding
from streaming_operator.probe.judge.remarks import RemarkKind
from streaming_operator.probe.judge.verdict import agree, is_certain, judge, same_fault
from streaming_operator.probe.stream.timeline import Timeline
from tests.unit.probe.streams import DONE, HEAD, LAST, chunk, delta, record, token, usage

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
    ("ages", "events", "expected"),
    [
        pytest.param((3.01, 3.02), (39, 39), Verdict.TOTAL_TIMEOUT, id="whole seconds and one more"),
        pytest.param((2.53, 2.55), (40, 41), Verdict.TOTAL_TIMEOUT, id="one age, other tokens"),
        pytest.param((2.53, 2.55), (40, 40), Verdict.IDLE_TIMEOUT, id="the same tokens: the engine paused"),
        pytest.param((2.5, 3.4), (40, 55), Verdict.IDLE_TIMEOUT, id="ages differ"),
    ],
)
def test_an_envoy_that_names_itself_nowhere_closes_a_second_late(
    ages: tuple[float, ...], events: tuple[int, ...], expected: Verdict
) -> None:
    """As behind Envoy Gateway: streams of one age were not idle, whatever the second of silence at their end."""

    def cut(age: float, count: int) -> Timeline:
        first = age - 1.0 - 0.02 * count
        reads = [(0.0, CHUNKED), *((first + 0.02 * number, chunk(token())) for number in range(count + 1))]
        return record(reads, Ending.CLOSED, age)

    finding = judged(*(cut(age, count) for age, count in zip(ages, events, strict=True)))
    assert finding.verdict is expected
    if expected is Verdict.TOTAL_TIMEOUT:
        assert finding.symptom is Symptom.TOTAL_CUT


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


def ended(reason: str | None, count: int, tokens: int | None = None) -> Attempt:
    """A stream of *count* tokens with this finish reason, where 64 were asked for."""
    last = delta(reason, content="")
    reads = [(0.001, HEAD + b"transfer-encoding: chunked\r\n\r\n")]
    reads += [(0.1 + 0.02 * n, chunk(token())) for n in range(count)]
    tail = last + (usage(tokens) if tokens is not None else b"") + DONE
    return Attempt(record([*reads, (0.1 + 0.02 * count, chunk(tail) + LAST)]), asked=64)


@pytest.mark.parametrize(
    "reason",
    [
        "abort",
        "insufficient_system_resource",
        "network_error",
        "cancelled",
        "timeout",
        "engine_overloaded",
        "server_busy",
        "rate_limit_exceeded",
        "evicted",
        "InsufficientSystemResource",
        "quotaExceeded",
        "quota",
        "OOM",
        "server_shutdown",
        "no_capacity",
        "no_quota",
        "not_busy_failed",
        "terminate",
        "terminated_by_server",
        "",
        "null",
        None,
    ],
)
def test_an_answer_that_was_given_up_never_passes(reason: str | None) -> None:
    """30 of 64 tokens and a word for failure, or none at all: aborted, whatever the provider calls it."""
    finding = judge(ended(reason, 30, 30))
    assert (finding.verdict, finding.symptom) == (Verdict.ABORTED, Symptom.ABORTED)
    assert "after 30 of 64 tokens" in finding.evidence


@pytest.mark.parametrize(
    "reason",
    [
        *(
            "terminator",
            "no_error",
            "no_errors",
            "without_failure",
            "not_interrupted",
            "no_timeout",
            "notTimedOut",
        ),
        *("uninterrupted", "quotation", "not-cancelled", "not_aborted"),
    ],
)
def test_words_that_only_resemble_a_failure_are_unknown(reason: str) -> None:
    """A token that terminates, an answer without an error: all tokens came, so it streams, with a remark."""
    finding = judge(ended(reason, 64, 64))
    assert (finding.verdict, [one.name for one in finding.remarks]) == (
        Verdict.STREAMING,
        [RemarkKind.UNKNOWN_REASON.value],
    )


@pytest.mark.parametrize("tokens", [64, None])
def test_an_unknown_reason_is_judged_by_how_much_came(tokens: int | None) -> None:
    """All that was asked for: it streams, with a remark. Less: nobody can tell why it ended."""
    whole = judge(ended("completed", 64, tokens))
    assert (whole.verdict, [one.name for one in whole.remarks]) == (
        Verdict.STREAMING,
        [RemarkKind.UNKNOWN_REASON.value],
    )
    less = judge(ended("completed", 30, None if tokens is None else 30))
    assert (less.verdict, less.symptom) == (Verdict.INCONCLUSIVE, Symptom.UNKNOWN_REASON)


def test_all_tokens_without_a_reason_are_no_abort_of_the_engine() -> None:
    """The server leaves the reason out: a fault of its own, with its own advice."""
    finding = judge(ended(None, 64, 64))
    assert (finding.verdict, finding.symptom) == (Verdict.ABORTED, Symptom.NO_REASON)
    assert "without a finish reason after 64 of 64 tokens" in finding.evidence


@pytest.mark.parametrize("reason", ["stop", "eos_token", "STOP", "tool_calls"])
def test_a_model_may_end_early(reason: str) -> None:
    """A reason for a whole answer is one, whoever wrote it."""
    assert judge(ended(reason, 64, 64)).verdict is Verdict.STREAMING


def test_reasons_without_words_do_not_replace_a_real_one() -> None:
    """An empty finish reason in every chunk but one."""
    reads = [(0.001, HEAD + b"transfer-encoding: chunked\r\n\r\n")]
    reads += [(0.1 + 0.02 * n, chunk(delta("", content="x"))) for n in range(64)]
    t = record([*reads, (1.4, chunk(delta("length", content="") + delta("", content="") + DONE) + LAST)])
    assert t.finish_reason == "length"
    assert judge(Attempt(t, asked=64)).verdict is Verdict.STREAMING


def test_a_server_that_keeps_its_client_waiting_is_told_from_a_dead_path() -> None:
    """Comments, or events without text, and no token until the patience ends."""
    head = (0.0, HEAD + b"transfer-encoding: chunked\r\n\r\n")
    comments = [(0.5 * n, chunk(b": keep-alive\n\n")) for n in range(12)]
    finding = judge(Attempt(record([head, *comments], Ending.SILENT, 6.0)))
    assert (finding.verdict, finding.symptom) == (Verdict.TTFT_EXCEEDED, Symptom.KEPT_WAITING)
    assert "the connection was alive: 12 comments came" in finding.evidence
    empty = [(0.5 * n, chunk(token(""))) for n in range(12)]
    finding = judge(Attempt(record([head, *empty], Ending.SILENT, 6.0)))
    assert (finding.verdict, finding.symptom) == (Verdict.TTFT_EXCEEDED, Symptom.KEPT_WAITING)


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        (Ending.CLOSED, RemarkKind.NO_LAST_CHUNK),
        (Ending.RESET, RemarkKind.NO_LAST_CHUNK),
        (Ending.LEFT_OPEN, RemarkKind.LEFT_OPEN),
    ],
)
def test_a_whole_answer_with_a_broken_end_is_remarked(ending: Ending, kind: RemarkKind) -> None:
    """[DONE] came: it streams; but clients that read to the end fail or wait."""
    reads = [(0.001, HEAD + b"transfer-encoding: chunked\r\n\r\n")]
    reads += [(0.1 + 0.02 * n, chunk(token())) for n in range(64)]
    reads += [(1.4, chunk(token("", "length") + usage(64) + DONE))]
    finding = judge(Attempt(record(reads, ending, 3.4), asked=64))
    assert (finding.verdict, [one.name for one in finding.remarks]) == (Verdict.STREAMING, [kind.value])
