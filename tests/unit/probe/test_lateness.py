"""A probe that comes late to a stream finds no fault that its own lateness explains, and every other one."""

import random
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming_operator.api.reasons import STREAMS, Verdict
from streaming_operator.probe.http.reader import LATE
from streaming_operator.probe.http.response import Ending
from streaming_operator.probe.judge.finding import Attempt, Needs
from streaming_operator.probe.judge.lateness import lateness, spread_out
from streaming_operator.probe.judge.verdict import can_compare, judge
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.timeline import Timeline
from tests.draws import examples
from tests.unit.probe.streams import DONE, HEAD, LAST, chunk, held, paced, token, usage

TICK = 0.02
"""Seconds between two looks of a reader with nothing else to do."""
Reader = Callable[[float], float]


def in_time(at: float) -> float:
    """A reader that sees every segment when it comes."""
    return at


def blind(windows: Sequence[tuple[float, float]]) -> Reader:
    """A reader that does not look from the first time of each window to the second."""
    return lambda at: max([at, *(end for begin, end in windows if begin < at <= end)])


def read(times: Sequence[float], reader: Reader, generation: float | None = None) -> Timeline:
    """A chunked stream whose tokens come at *times*, one a segment, as this reader records it."""
    segments = [(0.001, HEAD + b"transfer-encoding: chunked\r\n\r\n")]
    segments += [
        (at, chunk(token(finish="length" if at is times[-1] else None))) for at in (float(at) for at in times)
    ]
    segments.append((times[-1] + 0.0001, chunk(usage(len(times), generation) + DONE) + LAST))
    recorder, looked = Recorder(), 0.0
    for look, together in groupby(segments, key=lambda segment: reader(segment[0])):
        joined = list(together)
        late = look - max(looked, joined[0][0] - TICK)
        for _ in recorder.steps(joined[-1][0], b"".join(data for _, data in joined), late * (late >= LATE)):
            pass
        looked = look
    return recorder.timeline(Ending.CLOSED, 99.0, "kernel", len(segments))


def verdict(t: Timeline, **options: Any) -> Verdict:
    return judge(Attempt(t), capped=True, **options).verdict


@settings(max_examples=examples(200), deadline=None)
@given(
    pace=st.floats(0.002, 0.1),
    longest=st.floats(0.05, 2.0),
    share=st.floats(0.1, 0.95),
    seed=st.integers(0, 2**32),
    timing=st.booleans(),
    innermost=st.booleans(),
)
def test_healthy_stream_gets_no_fault_from_a_late_reader(
    pace: float, longest: float, share: float, seed: int, timing: bool, innermost: bool
) -> None:
    """Blind for up to 2 s at a time and 95 % of the stream: Streaming or Inconclusive, for every pace."""
    dice, times = random.Random(seed), paced(128, pace)
    windows, at = [], 0.0
    while at < times[-1] + longest:
        lasts = dice.uniform(0.0, longest)
        windows.append((at, at + lasts))
        at += lasts / share
    t = read(times, blind(windows), pace * 127_000 if timing else None)
    assert verdict(t, innermost=innermost) in (Verdict.STREAMING, Verdict.INCONCLUSIVE)


@pytest.mark.parametrize("timing", [True, False])
def test_stored_stream_is_found_by_a_late_reader(timing: bool) -> None:
    """A block after 12 s is one, although the probe looked 70 ms late: it explains 1 % of the time."""
    t = read(held(paced(600, 0.02), 12.1), blind([(12.1, 12.25)]), 12_000 if timing else None)
    assert lateness(t) > 0.05
    if timing:
        assert verdict(t) is Verdict.BUFFERED
    else:  # nobody knows for how long the tokens were generated
        assert verdict(t) not in STREAMS


def test_more_tokens_are_asked_for_where_the_reader_was_too_late() -> None:
    """64 tokens at once may have come while nobody looked; with the most tokens that can be asked for it is an end."""
    t = read(held(paced(64, 0.002), 0.5), blind([(0.3, 0.65)]))
    first, last = judge(Attempt(t)), judge(Attempt(t), capped=True)
    assert (first.verdict, first.needs) == (Verdict.INCONCLUSIVE, Needs.MORE_TOKENS), first.evidence
    assert (last.verdict, last.needs) == (Verdict.INCONCLUSIVE, Needs.NOTHING), last.evidence


def test_bursts_of_a_timer_are_found_by_a_late_reader() -> None:
    """Bursts every second are those of a hop, although the probe was 80 ms late to some of them."""
    times = held(paced(256, 0.02), 1.0)
    punctual = read(times, in_time, 255 * 20.0)
    late = read(times, blind([(at - 0.05, at + 0.03) for at in (2.1, 3.1, 4.1)]), 255 * 20.0)
    assert lateness(late) > 0
    assert verdict(late) is verdict(punctual)
    assert verdict(late) not in STREAMS


def test_late_first_token_and_long_pause_are_those_of_the_reader() -> None:
    """Tokens that were read together one second late prove neither limit exceeded; the same in time does."""
    times = paced(64, 0.02)
    late = read(times, blind([(0.05, 1.0)]), 1260.0)
    assert verdict(late, max_ttft=0.5) is Verdict.INCONCLUSIVE
    assert verdict(read([at + 1 for at in times], in_time, 1260.0), max_ttft=0.5) is Verdict.TTFT_EXCEEDED
    paused = read(times, blind([(0.5, 1.0)]), 1260.0)
    assert verdict(paused, max_gap=0.3) is Verdict.INCONCLUSIVE
    slow = [*times[:10], *(at + 1.0 for at in times[10:])]
    assert verdict(read(slow, blind([(1.35, 1.45)]), 2260.0), max_gap=0.3) is Verdict.CHUNK_GAP_EXCEEDED


def test_stream_that_may_have_come_evenly_has_every_token_in_order() -> None:
    """Every token once, none after its read, none before the token that was read before."""
    t = read(paced(64, 0.02), blind([(0.05, 0.3), (0.5, 1.0)]))
    early = spread_out(t)
    assert early.events == t.events
    assert early.gap_max is not None
    assert early.gap_max < 0.03
    assert all(one.at <= other.at for one, other in zip(early.arrivals, t.arrivals, strict=True))
    assert min(early.gaps) >= 0


def test_stream_that_was_read_late_is_no_control() -> None:
    """Its bursts would acquit the hop behind it."""
    times = paced(128, 0.02)
    windows = [(at, at + 0.3) for at in (0.2, 0.6, 1.0, 1.4)]
    assert can_compare(read(times, in_time, 127 * 20.0))
    assert not can_compare(read(times, blind(windows), 127 * 20.0))
