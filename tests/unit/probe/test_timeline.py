"""What is measured from reads and their arrival times."""

import gzip
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming_operator.probe.http.response import Ending
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.timeline import quantile
from tests.unit.probe.streams import (
    DONE,
    HEAD,
    LAST,
    chunk,
    compress,
    delta,
    event,
    healthy,
    paced,
    record,
    token,
    usage,
)

CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


def test_definitions_of_one_healthy_stream() -> None:
    """TTFT, gaps, spread, events per read, tokens per event and pacing are what their docstrings say."""
    t = healthy(paced(11, 0.02), generation=200.0)
    assert (t.head_at, t.status, t.is_event_stream, t.is_chunked) == (0.001, 200, True, True)
    assert t.ttft == pytest.approx(0.1)
    assert list(t.gaps) == [pytest.approx(0.02)] * 10
    assert t.spread == pytest.approx(0.2)
    assert (
        t.events,
        t.token_reads,
        t.token_frames,
        t.events_per_read,
        t.tokens_per_event,
    ) == (11, 11, 11, 1.0, 1.0)
    assert t.pacing == pytest.approx(1.0)
    assert (
        t.done,
        t.finish_reason,
        t.tokens,
        t.ending,
        t.error,
    ) == (True, "length", 11, Ending.COMPLETE, None)


def test_quantiles_of_gaps() -> None:
    """Median, 99th percentile and longest gap; the time a token by usage."""
    times = [0.1, 0.12, 0.14, 0.16, 0.66, 0.68]
    t = healthy(times, per_event=2)
    assert tuple(round(gap or 0, 9) for gap in (t.gap_p50, t.gap_p99, t.gap_max)) == (0.02, 0.5, 0.5)
    assert t.tpot == pytest.approx(0.58 / 11)
    none = healthy([0.1])
    assert (none.gap_p50, none.gap_max, none.tpot) == (None, None, None)


def test_first_thought_first_word_first_of_any() -> None:
    """Thinking is what a user sees first; the answer's own first token has a time of its own."""
    events = [delta(content=""), delta(reasoning="hm"), delta(reasoning="so"), token("Yes"), DONE]
    t = record([(0.0, CHUNKED), *((1.0 + i, chunk(data)) for i, data in enumerate(events)), (9.0, LAST)])
    assert (t.ttft, t.ttft_reasoning, t.ttft_content) == (2.0, 2.0, 4.0)
    assert [arrival.kind for arrival in t.arrivals] == ["empty", "reasoning", "reasoning", "content"]
    assert healthy(paced(3, 0.1)).ttft_reasoning is None


def test_completions_are_measured_alike() -> None:
    """Text chunks count as chat's do; the timeline has their API."""
    events = [event({"choices": [{"text": "x", "finish_reason": None}]}) for _ in range(3)]
    t = record(
        [(0.0, CHUNKED), *((1.0 + i, chunk(data)) for i, data in enumerate(events)), (4.0, chunk(DONE))]
    )
    assert (t.api, t.events, t.ttft, t.done) == ("completions", 3, 1.0, True)


def test_responses_end_with_their_last_event() -> None:
    """A response is complete by its terminal event, which also brings tokens and timing; no [DONE] is missed."""

    def named(kind: str, **more: object) -> bytes:
        return f"event: {kind}\n".encode() + event({"type": kind, **more})

    ended = {
        "incomplete_details": {"reason": "max_output_tokens"},
        "usage": {"output_tokens": 3},
        "metrics": {"generation_time_ms": 2000.0},
    }
    events = [
        named("response.created", response={"status": "in_progress"}),
        *[named("response.output_text.delta", delta="x")] * 3,
        named("response.output_text.done", text="xxx"),
        named("response.completed", response=ended),
    ]
    t = record([(0.0, CHUNKED), *((1.0 + i, chunk(data)) for i, data in enumerate(events)), (9.0, LAST)])
    assert (t.api, t.events, t.ttft, t.pacing) == ("responses", 3, 2.0, 1.0)
    assert (t.done, t.finish_reason, t.tokens, t.ending) == (True, "length", 3, Ending.COMPLETE)
    assert not record([(0.0, CHUNKED + b"".join(chunk(data) for data in events[:-1]) + LAST)]).done


def test_reads_are_reported_as_they_come() -> None:
    """The callback gets each read, headers and framing included, but not the close."""
    heard: list[tuple[float, int]] = []
    recorder = Recorder(on_read=lambda at, size: heard.append((at, size)))
    for at, data in ((0.1, HEAD), (0.2, b"\r\n"), (0.3, token()), (0.4, b"")):
        recorder.read(at, data)
    assert heard == [(0.1, len(HEAD)), (0.2, 2), (0.3, len(token()))]


def test_segments_beyond_the_reads_are_merged() -> None:
    """The kernel counts segments; what it joined before we read has lost its stamp."""
    recorder = Recorder()
    recorder.read(0.1, CHUNKED + chunk(token()) + chunk(token()))
    recorder.read(0.2, chunk(token()))
    assert recorder.timeline(Ending.CLOSED, 1.0, "kernel", 4).merged == 2
    assert recorder.timeline(Ending.CLOSED, 1.0, "monotonic").merged is None


def test_only_events_with_a_token_count() -> None:
    """Role, usage, comments and [DONE] are no tokens; text, reasoning, tool calls and empty deltas are."""
    events = [
        delta(role="assistant", content=""),
        b": keep-alive\n\n",
        delta(reasoning="hm"),
        delta(reasoning_content="hm"),
        delta(content=""),
        delta(tool_calls=[{"index": 0}]),
        token("x"),
        delta("length", content=""),
        usage(5),
        DONE,
    ]
    t = record([(0.0, CHUNKED), *((1.0 + i, chunk(data)) for i, data in enumerate(events)), (20.0, LAST)])
    assert [arrival.at for arrival in t.arrivals] == [3.0, 4.0, 5.0, 6.0, 7.0]
    assert [arrival.at for arrival in t.arrivals if not arrival.has_text] == [5.0]
    assert (t.comments, t.tokens) == (1, 5)
    assert t.tokens_per_event == 1.0


def test_tokens_without_text_keep_the_pace_but_are_no_first_token() -> None:
    """Leading and trailing tokens that decode to nothing belong to the spread; TTFT is the first text."""
    silent = [chunk(delta(content=""))] * 3
    events = [*silent, chunk(token()), chunk(token()), *silent, chunk(usage(8, 7000.0) + DONE)]
    t = record([(0.0, CHUNKED), *((1.0 + i, data) for i, data in enumerate(events)), (9.0, LAST)])
    assert (t.ttft, t.spread, t.pacing, t.tokens_per_event) == (4.0, 7.0, 1.0, 1.0)


def test_event_has_the_time_of_the_read_that_completed_it() -> None:
    """Half an event is nothing yet."""
    data = chunk(token())
    t = record([(0.0, CHUNKED + data[:20]), (1.0, data[20:-2]), (2.0, data[-2:] + chunk(token()))])
    assert [arrival.at for arrival in t.arrivals] == [1.0, 2.0]
    assert [arrival.frame for arrival in t.arrivals] == [1, 2]


def test_frames_are_seen_where_reads_merge_them() -> None:
    """Two frames in one read are two frames and one read."""
    t = record([(0.0, CHUNKED), (1.0, chunk(token()) + chunk(token())), (2.0, chunk(token() + token()))])
    assert (t.events, t.token_reads, t.token_frames) == (4, 2, 3)


def test_gzip_is_decoded_as_it_comes() -> None:
    """A compressing proxy that flushes streams, and its events have their own times."""
    pieces = compress([token(), token(), token(), usage(3) + DONE])
    head = HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
    t = record([(0.0, head), *((1.0 + i, chunk(piece)) for i, piece in enumerate(pieces)), (9.0, LAST)])
    assert [arrival.at for arrival in t.arrivals] == [1.0, 2.0, 3.0]
    assert (t.done, t.tokens, t.ending) == (True, 3, Ending.COMPLETE)


def test_gzip_in_several_members() -> None:
    """A proxy that compresses each flush by itself makes one body all the same."""
    pieces = [gzip.compress(token()), gzip.compress(token()), gzip.compress(usage(2) + DONE)]
    head = HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
    t = record([(0.0, head), *((1.0 + i, chunk(piece)) for i, piece in enumerate(pieces)), (9.0, LAST)])
    assert ([arrival.at for arrival in t.arrivals], t.done, t.broken) == ([1.0, 2.0], True, "")


@given(cuts=st.lists(st.integers(0, 400), max_size=20))
def test_any_split_of_a_compressed_answer_finds_the_same(cuts: list[int]) -> None:
    """Wherever the compressor's blocks and the chunks are cut."""
    body = b"".join(compress([token("€"), token(), token(), usage(3) + DONE]))
    raw = HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(body) + LAST
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    t = record((float(a), raw[a:b]) for a, b in itertools.pairwise(edges))
    assert (t.events, t.tokens, t.done, t.ending) == (3, 3, True, Ending.COMPLETE)


def test_damaged_gzip_is_reported() -> None:
    """Bytes that are no gzip behind a header that says so."""
    head = HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
    t = record([(0.0, head + chunk(b"data: plain text\n\n"))])
    assert (t.status, t.ending) == (200, Ending.BROKEN)
    assert "the body is not compressed" in t.broken


@pytest.mark.parametrize("coding", [b"compress", b"x-compress"])
def test_unrequested_coding(coding: bytes) -> None:
    """An encoding that was not offered is reported, not guessed; the status is known nevertheless."""
    t = record([(0.0, HEAD + b"content-encoding: " + coding + b"\r\n\r\n")])
    assert coding.decode() in t.broken
    assert (t.status, t.ending) == (200, Ending.BROKEN)


def test_small_body_that_inflates_is_capped() -> None:
    """A compressed bomb does not fill the memory."""
    bomb = b"".join(compress([(b":" + b"x" * 60_000 + b"\n") * 550]))
    head = HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    assert "larger than" in record([(0.0, head + bomb)]).broken


def test_three_ways_to_end() -> None:
    """Last chunk, Content-Length and close each complete a body in their own way; a cut chunk does not."""
    body = token() + token(finish="length") + usage(2) + DONE
    counted = record([(0.0, HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)])
    closed = record([(0.0, HEAD + b"\r\n" + body), (1.0, b"")])
    cut = record([(0.0, CHUNKED + chunk(body)[:-9]), (1.0, b"")], ended_at=1.0)
    assert (counted.ending, counted.has_content_length, counted.is_chunked) == (Ending.COMPLETE, True, False)
    assert (closed.ending, closed.has_content_length, closed.is_chunked) == (Ending.COMPLETE, False, False)
    assert (cut.ending, cut.ended_at, cut.broken != "") == (Ending.CLOSED, 1.0, True)


def test_done_without_its_blank_line_counts() -> None:
    """Clients that read lines see that [DONE]."""
    assert record([(0.0, CHUNKED + chunk(token() + b"data: [DONE]")), (1.0, LAST)]).done


def test_error_event_is_kept_in_one_short_line() -> None:
    """The engine's message, whatever its shape."""
    assert record([(0.0, CHUNKED + chunk(event({"error": {"message": "a\n b"}})))]).error == "a b"
    assert len(record([(0.0, CHUNKED + chunk(event({"error": "x" * 999})))]).error or "") == 200


@pytest.mark.parametrize(
    "data",
    [b"data: nonsense\n\n", b"data: [1]\n\n", b'data: {"choices": [null, {"delta": 3}], "usage": 7}\n\n'],
)
def test_strange_events_are_no_tokens(data: bytes) -> None:
    """What is no chat chunk neither counts nor breaks anything."""
    t = record([(0.0, CHUNKED + chunk(data) + chunk(token()))])
    assert (t.events, t.broken) == (1, "")


def test_other_bodies_are_kept_to_identify_their_author() -> None:
    """The beginning of an error page."""
    t = record([(0.0, b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n<center>!")])
    assert (t.status, t.body, t.is_event_stream) == (404, "<center>!", False)


def test_bytes_that_are_no_http() -> None:
    """Something else listens there."""
    t = record([(0.0, b"SSH-2.0-OpenSSH_9\r\n"), (1.0, b"")])
    assert (t.status, t.broken != "") == (None, True)


def test_quantiles_are_nearest_rank() -> None:
    """A value that was seen, never one between."""
    values = tuple(float(i) for i in range(1, 101))
    assert tuple(quantile(values, q) for q in (0.5, 0.95, 0.99, 1.0)) == (50.0, 95.0, 99.0, 100.0)
    assert quantile((), 0.5) is None


@given(cuts=st.lists(st.integers(0, 2000), max_size=20))
def test_any_split_of_the_answer_finds_the_same(cuts: list[int]) -> None:
    """However the bytes are cut into reads, counts and completeness are the same."""
    raw = (
        CHUNKED
        + b"".join(chunk(token("€", None)) for _ in range(5))
        + chunk(usage(5, 50.0))
        + chunk(DONE)
        + LAST
    )
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    t = record((float(a), raw[a:b]) for a, b in itertools.pairwise(edges))
    assert (t.events, t.token_frames, t.tokens, t.done, t.ending) == (5, 5, 5, True, Ending.COMPLETE)
