"""A block that the path spreads is no stream; the number of tokens tells the two apart."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streaming_operator.api.reasons import STREAMS, Verdict
from streaming_operator.probe.judge.finding import Attempt, Finding, Needs
from streaming_operator.probe.judge.storing import Measured, block_seconds, measured
from streaming_operator.probe.judge.verdict import agree, judge
from streaming_operator.probe.stream.timeline import Timeline
from tests.draws import examples
from tests.unit.probe.streams import healthy, paced

PAD = "x" * 130
"""Brings an event to the usual size, 230 bytes."""
EVENT = 225
SIZES = (64, 128, 256, 512, 1024)
Stream = Callable[[int], Timeline]


def stored(pace: float, round_trip: float, rate: float, *, timing: bool, smooth: bool = False) -> Stream:
    """
    Generated at *pace* seconds a token, stored, and sent at once: slow start over this round trip, then *rate* bytes/s.

    *smooth* spreads each flight over its round trip, as a sender that paces does.
    """

    def stream(count: int) -> Timeline:
        begin, window, sent, times = 0.05 + pace * count + round_trip, 14_600, 0, []
        total = count * EVENT
        while sent < total:
            flight = min(window, total - sent)
            lasts = max(flight / rate, round_trip * 0.9 if smooth else 0.0)
            events = range(sent // EVENT, (sent + flight) // EVENT)
            times += [begin + lasts * ((n * EVENT - sent) // 1460 * 1460) / flight for n in events]
            begin, sent, window = begin + max(round_trip, lasts), sent + flight, 2 * window
        times += [times[-1]] * (count - len(times))
        return healthy(
            [max(at, 0.0) for at in times[:count]],
            generation=pace * (count - 1) * 1000 if timing else None,
            pad=PAD,
        )

    return stream


def streamed(pace: float, *, timing: bool, first: Callable[[], float] = lambda: 0.1) -> Stream:
    """A healthy server at *pace* seconds a token."""

    def stream(count: int) -> Timeline:
        generation = pace * (count - 1) * 1000 if timing else None
        return healthy(paced(count, pace, first()), generation=generation, pad=PAD)

    return stream


def verified(stream: Stream) -> Finding:
    """As a verification of a URL asks: with more tokens until it can be judged, then two of three decide."""
    earlier: list[Measured] = []
    sizes = list(SIZES)

    def one() -> Finding:
        while True:
            t = stream(sizes[0])
            finding = judge(Attempt(t, asked=sizes[0]), earlier=tuple(earlier), capped=len(sizes) == 1)
            earlier.extend(filter(None, [measured(t)]))
            if finding.needs is not Needs.MORE_TOKENS:
                return finding
            del sizes[0]

    finding = one()
    return finding if finding.verdict in STREAMS else agree([finding, one(), one()])


@pytest.mark.parametrize(("size", "least", "most"), [(14_000, 0.3, 0.35), (240_000, 1.8, 2.0)])
def test_a_block_takes_its_time(size: int, least: float, most: float) -> None:
    """64 tokens fit into the first flight; 1,024 need five."""
    assert least <= block_seconds(size) <= most


@settings(max_examples=examples(40), deadline=None)
@example(pace=0.0625, round_trip=0.297, megabits=5.0, timing=False, smooth=True)
@example(pace=0.0001, round_trip=0.003, megabits=5.0, timing=False, smooth=False)
@example(pace=0.0014, round_trip=0.3, megabits=5.0, timing=False, smooth=True)
@given(
    pace=st.floats(0.00001, 0.1),
    round_trip=st.floats(0.001, 0.3),
    megabits=st.floats(5.0, 1000.0),
    timing=st.booleans(),
    smooth=st.booleans(),
)
def test_a_stored_stream_never_passes(
    pace: float, round_trip: float, megabits: float, timing: bool, smooth: bool
) -> None:
    """From 1 to 300 ms and from 5 Mbit/s to 1 Gbit/s, with and without the server's timing."""
    finding = verified(stored(pace, round_trip, megabits * 125_000, timing=timing, smooth=smooth))
    assert finding.verdict not in STREAMS, finding.evidence


@settings(max_examples=examples(40), deadline=None)
@given(pace=st.floats(0.0005, 0.2), timing=st.booleans(), seed=st.integers(0, 2**32))
def test_a_healthy_stream_passes_at_any_pace(pace: float, timing: bool, seed: int) -> None:
    """2,000 tokens a second too, whose bytes could have been stored by their arrivals alone."""
    dice = random.Random(seed)
    finding = verified(streamed(pace, timing=timing, first=lambda: 0.1 + dice.uniform(0, 0.01)))
    assert finding.verdict is Verdict.STREAMING, finding.evidence


@settings(max_examples=examples(20), deadline=None)
@example(pace=0.0005, round_trip=0.3)
@given(pace=st.floats(0.0002, 0.1), round_trip=st.floats(0.001, 0.3))
def test_a_gateway_that_writes_a_stored_text_event_by_event_never_passes(
    pace: float, round_trip: float
) -> None:
    """What comes to it over 5 Mbit/s it passes on in small segments: the time to the first token still grows."""
    block = stored(pace, round_trip, 625_000, timing=False)

    def one_by_one(count: int) -> Timeline:
        times = [arrival.at + n * 1e-6 for n, arrival in enumerate(block(count).arrivals)]
        return healthy(times, pad=PAD)

    finding = verified(one_by_one)
    assert finding.verdict not in STREAMS, finding.evidence


def test_one_first_token_that_was_late_by_chance_acquits_nobody() -> None:
    """The stream of 512 tokens waited in a queue for as long as 512 further tokens take to be made."""
    block = stored(0.001, 0.3, 625_000, timing=False, smooth=True)
    finding = verified(lambda count: later(block(count), 0.512 if count == 512 else 0.0))
    assert finding.verdict not in STREAMS, finding.evidence


def uneven(stream: Stream, dice: random.Random) -> Stream:
    """The same with up to 20 ms of delay for what arrives at one time."""

    def late(count: int) -> Timeline:
        t = stream(count)
        times = sorted({arrival.at for arrival in t.arrivals})
        delayed = dict(zip(times, accumulate((at + dice.uniform(0, 0.02) for at in times), max), strict=True))
        return replace(t, arrivals=tuple(replace(one, at=delayed[one.at]) for one in t.arrivals))

    return late


@pytest.mark.parametrize(
    ("pace", "round_trip", "megabits", "timing"),
    [
        (0.002, 0.09, 1000.0, False),
        (0.002, 0.3, 1000.0, False),
        (0.002, 0.3, 1000.0, True),
        (0.002, 0.001, 5.0, False),
        (0.0043, 0.293, 17.0, True),
        (0.0016, 0.131, 875.0, True),
    ],
)
def test_a_stored_stream_is_found_however_long_its_path(
    pace: float, round_trip: float, megabits: float, timing: bool
) -> None:
    """The flights of slow start are neither a beginning with little text nor the bursts of an engine, in six draws."""
    dice = random.Random(20261126)
    block = stored(pace, round_trip, megabits * 125_000, timing=timing)
    verdicts = {verified(uneven(block, dice)).verdict for _ in range(6)}
    assert verdicts <= {Verdict.BUFFERED, Verdict.COALESCED}


def later(t: Timeline, seconds: float) -> Timeline:
    """The same stream after a longer wait."""
    arrivals = tuple(replace(arrival, at=arrival.at + seconds) for arrival in t.arrivals)
    return replace(t, arrivals=arrivals, ended_at=t.ended_at + seconds)


@pytest.mark.parametrize("pace", [0.0005, 0.003])
def test_a_queue_before_the_first_token_is_no_store(pace: float) -> None:
    """First tokens that are late by chance, up to two seconds, are blamed on nobody, in 200 verifications (FULL=1)."""
    dice = random.Random(20261126)
    prompt = {count: streamed(pace, timing=False)(count) for count in SIZES}
    verdicts = {
        verified(lambda count: later(prompt[count], dice.uniform(0, 2))).verdict for _ in range(examples(200))
    }
    assert verdicts <= {Verdict.STREAMING, Verdict.INCONCLUSIVE}


def test_one_event_after_a_time_that_grows_is_buffered() -> None:
    """All text in one event, ten milliseconds a token."""

    def stream(count: int) -> Timeline:
        return healthy([0.1 + 0.01 * count], per_event=count)

    finding = verified(stream)
    assert finding.verdict is Verdict.BUFFERED
    assert "0.74 s for 64, 1.38 s for 128, 2.66 s for 256, 5.22 s for 512" in finding.evidence


def lively(stream: Stream, signs: int, every: float = 1.0, text: str = " ") -> Stream:
    """The same behind a gateway that sends *signs* of life with this text until the first token comes."""

    def lead(count: int) -> Timeline:
        t = stream(count)
        begin = t.arrivals[0].at
        signs_of_life = [
            replace(t.arrivals[0], at=0.02 + every * n, read=0, characters=len(text))
            for n in range(signs)
            if 0.02 + every * n < begin
        ]
        return replace(t, arrivals=(*signs_of_life, *t.arrivals))

    return lead


@settings(max_examples=40, deadline=None)
@example(pace=0.02, round_trip=0.001, megabits=1000.0, timing=True, signs=1)
@example(pace=0.03, round_trip=0.001, megabits=1000.0, timing=False, signs=8)
@given(
    pace=st.floats(0.002, 0.1),
    round_trip=st.floats(0.001, 0.3),
    megabits=st.floats(5.0, 1000.0),
    timing=st.booleans(),
    signs=st.integers(1, 8),
)
def test_characters_before_a_stored_text_prove_nothing(
    pace: float, round_trip: float, megabits: float, timing: bool, signs: int
) -> None:
    """The first token at once, or a space four times a second, and then everything together: no stream."""
    held = lively(stored(pace, round_trip, megabits * 125_000, timing=timing), signs, 0.25)
    finding = verified(held)
    assert finding.verdict not in STREAMS, finding.evidence


@pytest.mark.parametrize("timing", [True, False])
def test_a_pause_after_the_first_token_is_no_store(timing: bool) -> None:
    """
    Prefill and decode on two machines: the first token waits for no other, then the cache is moved for 0.7 s. More
    tokens show that the rest streams.
    """

    def split(count: int) -> Timeline:
        times = [0.05, *paced(count - 1, 0.005, 0.75)]
        return healthy(times, generation=(times[-1] - times[0]) * 1000 if timing else None, pad=PAD)

    finding = verified(split)
    assert finding.verdict is Verdict.STREAMING, finding.evidence


def natural(count: int, pace: float, first: float) -> Finding:
    """A model that ends by itself after this many tokens, without the server's timing."""
    t = healthy(paced(count, pace, first), finish="stop", pad=PAD)
    return judge(Attempt(t, asked=2 * count), capped=True)


@pytest.mark.parametrize(("first", "verdict"), [(0.005, Verdict.STREAMING), (0.3, Verdict.INCONCLUSIVE)])
def test_the_first_token_bounds_the_path(first: float, verdict: Verdict) -> None:
    """
    100 tokens in 0.2 s: whoever had stored them sends nothing earlier than a round trip, over which they would have
    come at once if the first one came after 5 ms; after 300 ms slow start may have spread them.
    """
    finding = natural(100, 0.002, first)
    assert finding.verdict is verdict, finding.evidence


@pytest.mark.parametrize("pace", [1 / 6000, 1 / 2500, 1 / 1000])
def test_thousands_of_tokens_a_second_from_nearby_stream(pace: float) -> None:
    """At most 1,024 of them are asked for, and they come faster than the longest path would bring a block."""
    finding = verified(streamed(pace, timing=False, first=lambda: 0.005))
    assert finding.verdict in (Verdict.STREAMING, Verdict.INCONCLUSIVE), finding.evidence
    assert finding.verdict is Verdict.STREAMING or pace < 1 / 2500


def draws(count: int) -> Iterator[Stream]:
    """Paths and paces in a fixed draw."""
    dice = random.Random(20261126)
    for _ in range(count):
        yield stored(
            10 ** dice.uniform(-2.7, -1.3),
            10 ** dice.uniform(-3, -0.523),
            10 ** dice.uniform(5.8, 8.1),
            timing=dice.random() < 0.5,
            smooth=dice.random() < 0.5,
        )


def test_most_stored_streams_are_found() -> None:
    """No more than one in twenty remains inconclusive."""
    verdicts = [verified(stream).verdict for stream in draws(60)]
    assert set(verdicts) <= {Verdict.BUFFERED, Verdict.COALESCED, Verdict.INCONCLUSIVE}
    assert verdicts.count(Verdict.INCONCLUSIVE) <= 3
