"""From timelines to verdicts: what was measured behind real proxies; no hop is blamed without proof."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.http.response import Ending, NoResponse
from streaming_operator.probe.judge.finding import Attempt, Finding, Needs
from streaming_operator.probe.judge.verdict import agree, judge, same_fault, streams
from streaming_operator.probe.stream.timeline import Timeline
from tests.draws import examples
from tests.unit.probe.streams import (
    DONE,
    HEAD,
    LAST,
    chunk,
    delta,
    event,
    healthy,
    held,
    paced,
    record,
    token,
    usage,
)

CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
POD = healthy(paced(64, 0.02), generation=1260.0)


def verdict(timeline: Timeline, **more: object) -> Verdict:
    return judge(Attempt(timeline), **more).verdict  # type: ignore[arg-type]


def answer(status: int, body: bytes, headers: bytes = b"", at: float = 0.1) -> Timeline:
    head = b"HTTP/1.1 %d X\r\n%scontent-length: %d\r\n\r\n" % (status, headers, len(body))
    return record([(at, head + body)])


# ---- pacing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.005, 0.02, 0.2])
def test_one_after_the_other_is_streaming(gap: float) -> None:
    """Tokens that arrive as they are made."""
    count = 64 if gap > 0.01 else 128
    assert verdict(healthy(paced(count, gap), generation=gap * (count - 1) * 1000)) is Verdict.STREAMING


def test_one_block_is_buffered() -> None:
    """All tokens together after a generation that took more than a second."""
    finding = judge(Attempt(healthy([1.36] * 64, generation=1260.0)))
    assert (finding.verdict, finding.symptom) == (Verdict.BUFFERED, Symptom.BLOCK)
    assert "64 tokens in 1 reads" in finding.evidence
    assert "pacing 0.00 of 1260 ms" in finding.evidence


def test_stored_by_the_server_one_read_an_event() -> None:
    """A server that logs answers sends 66 events in 12 ms: only pacing finds it, N/R is 1."""
    assert verdict(healthy(paced(64, 0.0002, 1.35), generation=1260.0)) is Verdict.BUFFERED


def test_corked_every_200_ms_is_coalesced() -> None:
    """HAProxy without http-no-delay: pacing .9, nine events a read, gaps above 200 ms; the pod streams."""
    corked = healthy(held(paced(64, 0.02), 0.2), generation=1260.0)
    assert (corked.pacing or 0) > 0.85
    first = judge(Attempt(corked))
    assert (first.verdict, first.symptom, first.needs) == (
        Verdict.INCONCLUSIVE,
        Symptom.BURSTS,
        Needs.CONTROL,
    )
    assert verdict(corked, innermost=True) is Verdict.ENGINE_BATCHED
    finding = judge(Attempt(corked), control=POD)
    assert (
        finding.verdict,
        finding.symptom,
        finding.needs,
    ) == (Verdict.COALESCED, Symptom.TIMED_BURSTS, Needs.NOTHING)


def test_corked_slow_model_needs_the_control() -> None:
    """At 60 ms a token a 200 ms timer bundles only three: beside the pod it shows all the same."""
    pod = healthy(paced(64, 0.06), generation=3780.0)
    corked = healthy(held(paced(64, 0.06), 0.2), generation=3780.0)
    first = judge(Attempt(corked))
    assert (first.verdict, first.needs) == (Verdict.INCONCLUSIVE, Needs.CONTROL)
    assert verdict(corked, control=pod) is Verdict.COALESCED


def test_buffer_that_fills_is_buffered() -> None:
    """nginx with an un-chunked upstream: bursts of 4 KiB, r .81."""
    size = len(token("x" * 200))
    times = [0.1 + 0.02 * (size * number // 4096 + 1) * (4096 // size) for number in range(64)]
    reads = []
    body = b"".join(token("x" * 200) for _ in times)
    for number in range(0, len(body) // 4096):
        reads.append((times[number * 4096 // size], body[number * 4096 : (number + 1) * 4096]))
    rest = body[len(body) // 4096 * 4096 :] + token(finish="length") + usage(65, 1280.0) + DONE
    t = record([(0.1, HEAD + b"\r\n"), *reads, (1.4, rest), (1.4, b"")])
    assert t.events_per_read > 4
    finding = judge(Attempt(t), control=POD)
    assert (finding.verdict, finding.symptom) == (Verdict.BUFFERED, Symptom.SIZED_BURSTS)


def test_prefix_held_back_is_coalesced() -> None:
    """Caddy's response_buffers: the first events together and late, then one after the other."""
    times = [max(at, 0.1 + 14 * 0.02) for at in paced(64, 0.02)]
    finding = judge(Attempt(healthy(times, generation=1260.0)))
    assert (finding.verdict, finding.symptom) == (Verdict.COALESCED, Symptom.HELD_HEAD)


def test_content_length_on_a_stream_needs_no_timing() -> None:
    """Somebody held all of it, however short it was."""
    body = token() + token(finish="length") + usage(2, 1.0) + DONE
    t = record([(0.1, HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)])
    assert judge(Attempt(t)).symptom == Symptom.CONTENT_LENGTH


def test_whole_json_answer_is_buffered() -> None:
    """A gateway that turned the stream into one answer."""
    t = answer(200, b'{"object": "chat.completion", "choices": []}', b"content-type: application/json\r\n")
    assert (judge(Attempt(t)).verdict, judge(Attempt(t)).symptom) == (Verdict.BUFFERED, Symptom.NOT_A_STREAM)


# ---- no hop is blamed without proof ----------------------------------------------------------------------


def test_too_short_asks_for_more_then_gives_up() -> None:
    """63 ms of generation prove nothing: more tokens, and inconclusive at the cap."""
    short = healthy([0.2] * 64, generation=63.0)
    assert judge(Attempt(short)).needs == Needs.MORE_TOKENS
    assert (
        judge(Attempt(short), capped=True).verdict,
        judge(Attempt(short), capped=True).needs,
    ) == (Verdict.INCONCLUSIVE, Needs.NOTHING)


def test_jittery_path_asks_for_more() -> None:
    """r of .8 over 630 ms says nothing where the path itself jitters by 30 ms."""
    uneven = healthy(paced(64, 0.008), generation=630.0)
    assert judge(Attempt(uneven), jitter=30.0).needs == Needs.MORE_TOKENS
    assert verdict(uneven, jitter=2.0) is Verdict.COALESCED


def test_very_fast_model_is_not_blamed() -> None:
    """0.2 ms a token at the cap: a reader merges events by itself, and 205 ms are enough to see them come."""
    times = [0.1 + 0.0002 * (number - number % 8) for number in range(1024)]
    assert verdict(healthy(times, generation=204.6), capped=True) is Verdict.STREAMING


@pytest.mark.parametrize(
    ("capped", "expected", "needs"),
    [
        (False, Verdict.INCONCLUSIVE, Needs.MORE_TOKENS),
        (True, Verdict.BUFFERED, Needs.NOTHING),
    ],
)
def test_two_bursts_of_a_fast_engine_are_not_called_a_block_at_once(
    capped: bool, expected: Verdict, needs: Needs
) -> None:
    """256 tokens in 343 ms, which a timer let go at two moments, 160 ms apart: more of them show its interval."""
    t = healthy([0.209] * 120 + [0.369] * 136, generation=343.0)
    finding = judge(Attempt(t), capped=capped)
    assert (finding.verdict, finding.needs) == (expected, needs), finding.evidence


@pytest.mark.parametrize(
    ("held_for", "capped", "expected", "needs"),
    [
        (0.09, False, Verdict.INCONCLUSIVE, Needs.MORE_TOKENS),
        (0.09, True, Verdict.COALESCED, Needs.NOTHING),
        (0.12, False, Verdict.COALESCED, Needs.NOTHING),
    ],
)
def test_a_beginning_that_is_held_for_less_than_people_notice_is_asked_for_in_more_tokens(
    held_for: float, capped: bool, expected: Verdict, needs: Needs
) -> None:
    """128 tokens of a busy engine in 344 ms, the first of them late by 90 ms: of more tokens that is a smaller part."""
    times = [max(at, 0.4 + held_for) for at in paced(128, 0.0027, 0.4)]
    finding = judge(Attempt(healthy(times, generation=344.0)), capped=capped)
    assert (finding.verdict, finding.needs) == (expected, needs), finding.evidence


def test_several_tokens_an_event_is_the_engine() -> None:
    """stream_interval, speculative decoding, overload: K above 1, one read an event."""
    finding = judge(Attempt(healthy(paced(17, 0.08), per_event=4, generation=1280.0)))
    assert (finding.verdict, streams(finding.verdict)) == (Verdict.ENGINE_BATCHED, True)


def test_same_bursts_without_the_proxy_are_the_engine() -> None:
    """A pod that writes in bursts itself."""
    bursty = healthy(held(paced(64, 0.02), 0.2), generation=1260.0)
    assert verdict(bursty, control=bursty) is Verdict.ENGINE_BATCHED


@settings(max_examples=examples(150), deadline=None)
@given(
    seed=st.integers(0, 2**32),
    gap=st.sampled_from([0.0002, 0.001, 0.005, 0.02, 0.2]),
    jitter=st.sampled_from([0.0, 0.0002, 0.002, 0.01]),
    count=st.sampled_from([64, 128, 256, 512, 1024]),
    per_event=st.sampled_from([1, 4]),
)
def test_jitter_alone_never_raises_an_alarm(
    seed: int, gap: float, jitter: float, count: int, per_event: int
) -> None:
    """Healthy streams over jittery paths, in order as TCP keeps them: fine, more tokens, or inconclusive."""
    dice = random.Random(seed)
    paces = paced(count // per_event, gap * per_event)
    generation = max(gap * per_event * (len(paces) - 1) * 1000, 0.01)
    pod = healthy(paces, per_event=per_event, generation=generation)

    def one_stream() -> Finding:
        times, last = [], 0.0
        for at in paces:
            last = max(last, at + (dice.expovariate(1 / jitter) if jitter else 0.0))
            times.append(last)
        t = healthy(times, per_event=per_event, generation=generation)
        return judge(Attempt(t), jitter=jitter * 1000, control=pod, capped=count == 1024)

    finding = one_stream()
    if not streams(finding.verdict):  # as a verification does: two of three decide
        finding = agree([finding, one_stream(), one_stream()])
    assert finding.verdict in (Verdict.STREAMING, Verdict.ENGINE_BATCHED, Verdict.INCONCLUSIVE)


@settings(max_examples=examples(60), deadline=None)
@given(
    gap=st.floats(0.005, 0.2),
    jitter=st.floats(0.0, 2.0),
    count=st.sampled_from([128, 256]),
)
def test_stored_and_forwarded_is_always_found(gap: float, jitter: float, count: int) -> None:
    """Whatever the pace, one block after a valid generation time is Buffered."""
    t = healthy([0.1 + gap * count] * count, generation=gap * (count - 1) * 1000)
    assert verdict(t, jitter=jitter) is Verdict.BUFFERED


@settings(max_examples=examples(100), deadline=None)
@given(
    shift=st.floats(0.0, 500.0),
    gap=st.sampled_from([0.005, 0.02, 0.2]),
    period=st.sampled_from([0.0, 0.2, 30.0]),
    with_metrics=st.booleans(),
)
def test_when_it_began_never_matters(shift: float, gap: float, period: float, with_metrics: bool) -> None:
    """The whole answer later by some time: the same verdict, hop and symptom."""
    times = paced(96, gap)
    times = held(times, period) if period else times
    generation = gap * 95 * 1000 if with_metrics else None

    def one(by: float) -> tuple[Verdict, Symptom]:
        finding = judge(Attempt(healthy([at + by for at in times], generation=generation)), control=POD)
        return finding.verdict, finding.symptom

    assert one(shift) == one(0.0)


# ---- what users are promised -----------------------------------------------------------------------------


def test_promised_first_token() -> None:
    """A first token after 2 s where 1 s is allowed; without a promise it streams."""
    late = healthy(paced(64, 0.02, ttft=2.0), generation=1260.0)
    assert verdict(late, max_ttft=3.0) is Verdict.STREAMING
    finding = judge(Attempt(late), max_ttft=1.0)
    assert (finding.verdict, finding.symptom) == (Verdict.TTFT_EXCEEDED, Symptom.LATE_FIRST)
    assert "first token came after 2.00 s, the limit is 1 s" in finding.evidence


def test_promised_gap() -> None:
    """A pause of the engine's own: the path is fine, the promise is not kept."""
    times = [at + (1.5 if number >= 32 else 0.0) for number, at in enumerate(paced(64, 0.02))]
    paused = healthy(times, generation=2760.0)
    assert verdict(paused, max_gap=2.0) is Verdict.STREAMING
    finding = judge(Attempt(paused), max_gap=1.0)
    assert (finding.verdict, finding.symptom) == (Verdict.CHUNK_GAP_EXCEEDED, Symptom.LONG_GAP)
    assert "a pause of 1.52 s between two tokens, the limit is 1 s" in finding.evidence


def test_what_holds_back_comes_before_what_is_late() -> None:
    """A buffered response is late as well; its cause is reported."""
    assert verdict(healthy([3.0] * 64, generation=1260.0), max_ttft=1.0, max_gap=0.1) is Verdict.BUFFERED


# ---- no server timing ------------------------------------------------------------------------------------


def test_without_metrics_arrivals_prove_streaming() -> None:
    """64 reads over more than a second need no server clock."""
    assert verdict(healthy(paced(64, 0.02))) is Verdict.STREAMING


def test_without_metrics_a_control_proves_buffering() -> None:
    """The pod spread its tokens over 1.2 s, the edge over nothing."""
    assert verdict(healthy(paced(64, 0.0001)), control=healthy(paced(64, 0.02))) is Verdict.BUFFERED


def test_a_short_answer_in_one_read_is_no_proof() -> None:
    """64 tokens of a fast engine within one interval of a timer: more tokens show the bursts."""
    first = judge(Attempt(healthy([0.167] * 22, per_event=3)))
    assert (first.verdict, first.needs) == (Verdict.INCONCLUSIVE, Needs.MORE_TOKENS)
    pod = healthy(paced(171, 0.008), per_event=3)
    corked = healthy(held(paced(171, 0.008), 0.2), per_event=3)
    assert judge(Attempt(corked), control=pod).verdict is Verdict.COALESCED


def test_without_metrics_and_control_only_the_impossible_is_alarmed() -> None:
    """No engine makes 50,000 tokens a second on one stream; 5,000 it might."""
    assert verdict(healthy([1.3] * 64)) is Verdict.BUFFERED
    assert verdict(healthy(paced(64, 0.0002)), capped=True) is Verdict.INCONCLUSIVE


# ---- completeness ----------------------------------------------------------------------------------------


def some(*more: bytes, count: int = 5) -> list[tuple[float, bytes]]:
    return [
        (0.0, CHUNKED),
        *((0.1 + 0.02 * n, chunk(token())) for n in range(count)),
        *((0.3, m) for m in more),
    ]


@pytest.mark.parametrize(
    ("reads", "ending", "ended_at", "expected"),
    [
        pytest.param(some(), Ending.CLOSED, 0.2, Verdict.TRUNCATED, id="closed"),
        pytest.param(some(), Ending.RESET, 0.2, Verdict.TRUNCATED, id="reset"),
        pytest.param(some(), Ending.STALLED, 75.0, Verdict.TRUNCATED, id="hangs"),
        pytest.param(some(), Ending.CLOSED, 60.2, Verdict.IDLE_TIMEOUT, id="cut after 60 s of silence"),
        pytest.param(some(LAST), Ending.COMPLETE, 0.3, Verdict.NO_DONE_MARKER, id="clean end without [DONE]"),
        pytest.param(
            some(chunk(event({"error": {"message": "m"}}) + DONE) + LAST),
            Ending.COMPLETE,
            0.3,
            Verdict.ERROR_IN_STREAM,
            id="error, then [DONE]",
        ),
        pytest.param(
            some(chunk(delta("abort", content="") + DONE) + LAST),
            Ending.COMPLETE,
            0.3,
            Verdict.ABORTED,
            id="abort",
        ),
        pytest.param(
            [(0.0, CHUNKED + chunk(DONE) + LAST)], Ending.COMPLETE, 0.3, Verdict.ABORTED, id="only [DONE]"
        ),
        pytest.param([(0.0, CHUNKED)], Ending.SILENT, 20.0, Verdict.TTFT_EXCEEDED, id="head, then silence"),
        pytest.param([], Ending.SILENT, 20.0, Verdict.TTFT_EXCEEDED, id="silence"),
        pytest.param([], Ending.CLOSED, 0.1, Verdict.UNREACHABLE, id="closed before an answer"),
        pytest.param(
            [(0.0, HEAD + b"\r\n" + token()), (0.3, b"")],
            Ending.CLOSED,
            0.3,
            Verdict.TRUNCATED,
            id="close-delimited, no end marker of any kind",
        ),
        pytest.param(some(), Ending.TOO_LONG, 600.0, Verdict.INCONCLUSIVE, id="still going on"),
    ],
)
def test_completeness(
    reads: list[tuple[float, bytes]], ending: Ending, ended_at: float, expected: Verdict
) -> None:
    """How a stream ended is judged before how it was paced."""
    assert verdict(record(reads, ending, ended_at)) is expected


# ---- refusals --------------------------------------------------------------------------------------------

NGINX = b"<html><center>nginx</center></html>"
ENGINE_404 = b'{"error":{"message":"The model `x` does not exist.","type":"NotFoundError"}}'


@pytest.mark.parametrize(
    ("timeline", "expected", "symptom"),
    [
        (answer(404, NGINX), Verdict.ROUTE_NOT_FOUND, Symptom.NO_ROUTE),
        (answer(404, b'{"detail":"Not Found"}'), Verdict.ROUTE_NOT_FOUND, Symptom.WRONG_PATH),
        (answer(404, ENGINE_404), Verdict.UPSTREAM_ERROR, Symptom.UNKNOWN_MODEL),
        (answer(308, b"", b"location: https://x/\r\n"), Verdict.ROUTE_NOT_FOUND, Symptom.REDIRECT),
        (answer(200, b"<html>", b"content-type: text/html\r\n"), Verdict.ROUTE_NOT_FOUND, Symptom.WRONG_PATH),
        (answer(401, b'{"error":"Unauthorized"}'), Verdict.AUTH_REJECTED, Symptom.KEY_REFUSED),
        (answer(403, NGINX), Verdict.AUTH_REJECTED, Symptom.KEY_REFUSED),
        (answer(502, NGINX), Verdict.UPSTREAM_ERROR, Symptom.BAD_GATEWAY),
        (answer(503, NGINX), Verdict.UPSTREAM_ERROR, Symptom.UNAVAILABLE),
        (answer(503, b'{"error":{"message":"queue full"}}'), Verdict.UPSTREAM_ERROR, Symptom.BUSY),
        (answer(504, NGINX, at=60.0), Verdict.UPSTREAM_ERROR, Symptom.GATEWAY_TIMEOUT),
        (answer(413, NGINX), Verdict.UPSTREAM_ERROR, Symptom.TOO_BIG),
    ],
)
def test_refusals(timeline: Timeline, expected: Verdict, symptom: Symptom) -> None:
    """An HTTP error is judged by its status and by its author."""
    finding = judge(Attempt(timeline, with_key=True))
    assert (finding.verdict, finding.symptom) == (expected, symptom)


def test_no_key_is_distinguished_from_a_wrong_one() -> None:
    """401 without a key: the remedy is another one."""
    assert judge(Attempt(answer(401, b"{}"))).symptom is Symptom.KEY_MISSING


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (NoResponse.DNS, Verdict.DNS_UNRESOLVED),
        (NoResponse.TLS, Verdict.TLS_ERROR),
        (NoResponse.CONNECT, Verdict.UNREACHABLE),
        (NoResponse.LOST, Verdict.UNREACHABLE),
        (NoResponse.REFUSED_BY_US, Verdict.UNREACHABLE),
    ],
)
def test_no_connection(cause: NoResponse, expected: Verdict) -> None:
    """Why there was nothing to measure."""
    assert judge(Attempt(cause=cause, detail="d")).verdict is expected


# ---- several streams, several hops -----------------------------------------------------------------------


def findings(*verdicts: Verdict) -> list[Finding]:
    return [Finding(one, Symptom.UNCLEAR, one.value) for one in verdicts]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((Verdict.BUFFERED,), Verdict.BUFFERED),
        ((Verdict.BUFFERED, Verdict.STREAMING, Verdict.STREAMING), Verdict.STREAMING),
        ((Verdict.TRUNCATED, Verdict.TRUNCATED), Verdict.TRUNCATED),
        ((Verdict.BUFFERED, Verdict.COALESCED, Verdict.STREAMING), Verdict.COALESCED),
        ((Verdict.ENGINE_BATCHED, Verdict.STREAMING, Verdict.TRUNCATED), Verdict.ENGINE_BATCHED),
        ((Verdict.BUFFERED, Verdict.TRUNCATED, Verdict.STREAMING), Verdict.INCONCLUSIVE),
    ],
)
def test_majority_decides(verdicts: tuple[Verdict, ...], expected: Verdict) -> None:
    """Two of three; where they differ in kind, nothing is claimed."""
    assert agree(findings(*verdicts)).verdict is expected


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        (Verdict.BUFFERED, Verdict.STREAMING, False),
        (Verdict.BUFFERED, Verdict.BUFFERED, True),
        (Verdict.COALESCED, Verdict.BUFFERED, True),
        (Verdict.AUTH_REJECTED, Verdict.AUTH_REJECTED, True),
        (Verdict.UPSTREAM_ERROR, Verdict.UNREACHABLE, True),
        (Verdict.UPSTREAM_ERROR, Verdict.ERROR_IN_STREAM, True),
        (Verdict.TLS_ERROR, Verdict.UNREACHABLE, False),
        (Verdict.BUFFERED, Verdict.UNREACHABLE, False),
        (Verdict.TRUNCATED, Verdict.BUFFERED, False),
    ],
)
def test_what_an_inner_hop_explains(outer: Verdict, inner: Verdict, expected: bool) -> None:
    """A fault belongs to an inner hop only if that hop shows the same kind of it."""
    assert same_fault(outer, inner) == expected


def test_unreadable_clock_changes_no_rule() -> None:
    """The clock is reported, not judged."""
    assert verdict(replace(POD, clock="monotonic")) is Verdict.STREAMING


# ---- bursts, and whose they are --------------------------------------------------------------------------


def uneven() -> list[float]:
    """60 events in ten bursts, 75 to 225 ms apart, as behind HAProxy's cork on a cluster."""
    pauses = [0.075, 0.15, 0.225, 0.09, 0.12, 0.2, 0.08, 0.11, 0.1]
    ends = [0.1 + sum(pauses[:number]) for number in range(len(pauses) + 1)]
    return [end for end in ends for _ in range(6)]


@pytest.mark.parametrize("generation", [1180.0, None])
def test_uneven_bursts_are_coalesced(generation: float | None) -> None:
    """The user sees stutter, whether or not the pauses are of one length; the pod streams."""
    t = healthy(uneven(), generation=generation)
    finding = judge(Attempt(t), control=POD)
    assert (finding.verdict, finding.symptom) == (Verdict.COALESCED, Symptom.TIMED_BURSTS)
    assert judge(Attempt(t)).symptom is Symptom.BURSTS


def groups(size: int, pause: float, writes: float = 0.0005) -> Timeline:
    """An engine that emits several tokens one right after the other."""
    return healthy([0.1 + pause * (n // size) + writes * (n % size) for n in range(64)])


@pytest.mark.parametrize(("size", "pause"), [(8, 0.2), (5, 0.25), (6, 0.12)])
@pytest.mark.parametrize("writes", [0.0, 0.0005])
def test_groups_of_tokens_are_told_from_a_timer_by_a_control_alone(
    size: int, pause: float, writes: float
) -> None:
    """In one write or in several: inconclusive, and the advice is to compare; no proxy is named."""
    t = groups(size, pause, writes)
    finding = judge(Attempt(t))
    assert (finding.verdict, finding.symptom, finding.needs, finding.fingerprint) == (
        Verdict.INCONCLUSIVE,
        Symptom.BURSTS,
        Needs.CONTROL,
        "",
    )
    assert verdict(t, control=t) is Verdict.ENGINE_BATCHED
    assert verdict(t, control=POD) is Verdict.COALESCED


# ---- text ------------------------------------------------------------------------------------------------


def test_events_without_text_prove_nothing() -> None:
    """Ten empty deltas, then all the text in one event: no number of tokens makes that a stream."""
    events = [(float(n), chunk(token(""))) for n in range(10)]
    text = chunk(token("seven " * 1024)) + chunk(token("", "length") + usage(1024) + DONE) + LAST
    t = record([(0.001, CHUNKED), *events, (10.0, text)])
    finding = judge(Attempt(t, asked=1024), capped=True)
    assert (finding.verdict, finding.symptom) == (Verdict.BUFFERED, Symptom.ONE_EVENT)
    assert "10 events without text" in finding.evidence
    assert judge(Attempt(t, asked=1024)).needs is Needs.MORE_TOKENS


def test_tokens_without_text_count_where_the_server_counts_them() -> None:
    """A model of many half characters: every event is a token, and they come evenly."""
    reads = [(0.1 + 0.02 * n, chunk(token("x" if n % 3 == 0 else ""))) for n in range(64)]
    t = record(
        [(0.001, CHUNKED), *reads, (1.4, chunk(token("", "length") + usage(64, 1260.0) + DONE) + LAST)]
    )
    assert (t.of_text.events, verdict(t)) == (64, Verdict.STREAMING)


def test_a_stream_without_any_text_is_not_called_streaming() -> None:
    """Events came evenly, but a user saw nothing."""
    reads = [(0.1 + 0.02 * n, chunk(token(""))) for n in range(64)]
    t = record(
        [(0.001, CHUNKED), *reads, (1.4, chunk(token("", "length") + usage(64, 1260.0) + DONE) + LAST)]
    )
    assert verdict(t, capped=True) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("generation", [1260.0, None])
def test_one_stall_early_in_a_stream_is_no_store(generation: float | None) -> None:
    """Eleven tokens, then nothing for 1.2 s, and what waited meanwhile at once: no verdict but that of its limit."""
    times = [0.1 + 0.02 * n for n in range(11)]
    t = healthy([*times, *[times[-1] + 1.2] * 53], generation=generation)
    assert judge(Attempt(t)).needs is Needs.MORE_TOKENS
    assert verdict(t, capped=True) is Verdict.INCONCLUSIVE
    assert verdict(t, control=POD, capped=True) is Verdict.INCONCLUSIVE
    assert judge(Attempt(t), max_gap=1.0).verdict is Verdict.CHUNK_GAP_EXCEEDED


def test_a_beginning_that_holds_little_of_the_text_is_left_out() -> None:
    """Nine spaces in nine seconds, then all the text at once; of an even stream nothing is left out."""
    signs = [(0.5 + n, chunk(token(" "))) for n in range(9)]
    text = b"".join(chunk(token("seven")) for _ in range(64)) + chunk(usage(64) + DONE) + LAST
    t = record([(0.001, CHUNKED), *signs, (9.9, text)])
    assert (t.of_text.ttft, t.of_text.spread) == (9.9, 0.0)
    even = record([(0.001, CHUNKED), *((0.1 + 0.02 * n, chunk(token("seven"))) for n in range(64))])
    assert even.of_text is even
