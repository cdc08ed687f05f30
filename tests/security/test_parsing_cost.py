"""Everything that reads what a pod answers costs time that is linear in the bytes."""

from collections.abc import Callable

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.gauges import _Scanner
from streaming_operator.probe.http.http1 import Http1Codec
from streaming_operator.probe.http.response import Ending
from streaming_operator.probe.judge.finding import Attempt, Finding
from streaming_operator.probe.judge.remedies import Names, remedy
from streaming_operator.probe.judge.verdict import judge
from streaming_operator.probe.stream import bounded_json
from streaming_operator.probe.stream.recorder import Recorder
from tests.fuzz.promise import _asked_http2
from tests.security.hostile import ANSWERS, HTTP2, MEBIBYTE, TEXT
from tests.security.timing import MOST, growth

NAME = b"vllm:num_requests_waiting"
METRICS: dict[str, Callable[[int], bytes]] = {
    "many labels": lambda size: NAME + b"{" + b'a1="",' * (size // 6) + b"} 1\n",
    "many lines": lambda size: (NAME + b'{a="b"} 1\n') * (size // 35),
    "backslashes": lambda size: NAME + b'{a="' + b"\\" * size + b'"} 1\n',
    "escaped quotes": lambda size: NAME + b'{a="' + b'\\"' * (size // 2) + b'"} 1\n',
    "spaces": lambda size: NAME + b"{" + b" " * size + b"} 1\n",
    "braces": lambda size: NAME + b'{a="' + b"}" * size + b'"} 1\n',
    "names": lambda size: (NAME + b"1 1\n") * (size // 29),
    "digits": lambda size: NAME + b" " + b"9" * size + b"\n",
    "line feeds": lambda size: b"\n" * size,
}
"""A response with metrics, of about so many bytes."""
DOCUMENTS: dict[str, Callable[[int], str]] = {
    "brackets": lambda size: "[" * size,
    "escaped quotes": lambda size: '"' + '\\"' * (size // 2),
    "quotes": lambda size: '"' * size,
    "objects": lambda size: '{"":' * (size // 4),
    "brackets in a string": lambda size: '"' + "[" * size + '"',
    "digits": lambda size: "9" * size,
}


@pytest.mark.parametrize("text", METRICS.values(), ids=METRICS)
def test_gauges_are_read_in_linear_time(text: Callable[[int], bytes]) -> None:
    """/metrics of four times the size takes about four times as long; 1 MiB in one line took 15 s."""

    def work(size: int) -> None:
        scanner, answer = _Scanner(NAME), TEXT + text(size)
        for start in range(0, len(answer), 65_536):
            for _ in scanner.steps(0.0, answer[start : start + 65_536]):
                pass

    assert growth(work, 64 * 1024) < MOST


@pytest.mark.parametrize("text", DOCUMENTS.values(), ids=DOCUMENTS)
def test_json_is_bounded_in_linear_time(text: Callable[[int], str]) -> None:
    """A document within the longest one, whatever is in it."""

    def work(size: int) -> None:
        for _ in range(20):
            try:
                bounded_json.loads(text(size))
            except ValueError:
                continue

    assert growth(work, bounded_json.LONGEST // 4) < MOST


def _judged(name: str) -> Finding:
    """The finding of the first MiB of a hostile answer."""
    recorder = Recorder()
    recorder.begin(_asked_http2() if name in HTTP2 else Http1Codec())
    answer = (ANSWERS | HTTP2)[name]()[:MEBIBYTE]
    for start in range(0, MEBIBYTE, 65_536):
        if recorder.ending is None:
            recorder.read(float(start), answer[start : start + 65_536])
    return judge(Attempt(recorder.timeline(Ending.CLOSED, 1.0, "kernel")), capped=True)


LONG_HEAD = "a head, chunk size or trailers of more than 16384 bytes"


@pytest.mark.parametrize(
    ("name", "verdict", "what"),
    [
        ("token events without end", Verdict.INCONCLUSIVE, "more than 4096 events"),
        ("empty members of gzip", Verdict.INCONCLUSIVE, "more than 16384 members"),
        ("chunks of one byte", Verdict.INCONCLUSIVE, "more than 16384 chunks"),
        ("a chunk extension without end", Verdict.INCONCLUSIVE, LONG_HEAD),
        ("header lines without end", Verdict.UNREACHABLE, LONG_HEAD),
        ("a status line without end", Verdict.UNREACHABLE, LONG_HEAD),
        ("interim responses without end", Verdict.UNREACHABLE, "more than 16 interim responses"),
        ("empty DATA without end", Verdict.INCONCLUSIVE, "more than 16384 frames"),
        ("PING without end", Verdict.UNREACHABLE, "more than 16384 frames"),
        ("a header list of 4 KiB times 4,000", Verdict.UNREACHABLE, "A header list larger than 65536"),
    ],
)
def test_what_is_too_large_is_called_so(name: str, verdict: Verdict, what: str) -> None:
    """With the cap that it is above; it is neither something else than HTTP nor cured by more tokens."""
    finding = _judged(name)
    assert (finding.verdict, finding.symptom) == (verdict, Symptom.TOO_LARGE), finding.evidence
    assert what in finding.evidence
    assert "is not HTTP" not in finding.evidence
    for names in (Names(), Names(workload="llm")):
        advice = remedy(Hop.POD, finding.symptom, names)
        assert "far more than a short stream takes" in advice
        assert "raise" not in advice


@pytest.mark.parametrize("name", [*ANSWERS, *HTTP2])
def test_answer_costs_linear_time_and_ends(name: str) -> None:
    """
    Four times the bytes of a hostile answer take at most about four times as long, the verdict included: less, where a
    cap ends the reading.
    """
    http2 = name in HTTP2
    answer = (HTTP2 if http2 else ANSWERS)[name]()[: 1 << 20]

    def work(size: int) -> None:
        recorder = Recorder()
        recorder.begin(_asked_http2() if http2 else Http1Codec())
        for start in range(0, size, 65_536):
            if recorder.ending is None:
                recorder.read(float(start), answer[start : min(start + 65_536, size)])
        judge(Attempt(recorder.timeline(Ending.CLOSED, 1.0, "kernel")), capped=True)

    size = min(len(answer) // 4, 128 * 1024)
    assert growth(work, size) < MOST


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a 1\n", 1.0),
        (b"# HELP a x\n# TYPE a gauge\na 1\nab 7\nba 9\n", 1.0),
        (b'a{engine="0"} 2.0\na{engine="1"} 3.0\n', 5.0),
        (b'a{x="}"} 4 1700000000\n', 4.0),
        (b"a 1e1\r\na 2", 12.0),
        (b"b 1\n", None),
        (b"a NaN\n", None),
        (b"a +Inf\n", None),
        (b"a\n", None),
        (b"a x\n", None),
        (b"a{" + b"x" * 20_000 + b"} 1\n", None),
        (b"b{" + b"x" * 20_000 + b"} 1\na 3\n", 3.0),
    ],
)
def test_gauges_are_read_as_before(text: bytes, expected: float | None) -> None:
    """The sum of the samples of one metric, however the response is cut; None where one of them cannot be read."""
    for cut in (1, 7, len(text)):
        scanner = _Scanner(b"a")
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text)
        for piece in (answer, *(text[at : at + cut] for at in range(0, len(text), cut))):
            for _ in scanner.steps(0.0, piece):
                pass
        assert scanner.total == expected
