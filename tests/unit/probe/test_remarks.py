"""What is remarked of a response that streams all the same, and where people read it."""

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.http.response import Validity
from streaming_operator.probe.judge.finding import Attempt
from streaming_operator.probe.judge.remarks import ADVICE, RemarkKind, on_certificate
from streaming_operator.probe.judge.verdict import judge
from streaming_operator.values import HopResult, ProbeResult, Remark
from tests.unit.probe.streams import DONE, LAST, chunk, paced, record, token, usage
from tests.unit.report.reports import AT

CHUNKED = b"transfer-encoding: chunked\r\n"
EVENTS = b"content-type: text/event-stream\r\n"


def streamed(status: bytes = b"200", headers: bytes = EVENTS) -> Attempt:
    """64 tokens, one after the other, under this head."""
    reads = [(0.001, b"HTTP/1.1 " + status + b" X\r\n" + CHUNKED + headers + b"\r\n")]
    reads += [(at, chunk(token())) for at in paced(64, 0.02)]
    return Attempt(record([*reads, (1.4, chunk(token("", "length") + usage(64) + DONE) + LAST)]))


@pytest.mark.parametrize(
    ("attempt", "kind", "observed"),
    [
        (streamed(b"201"), RemarkKind.STATUS, "the stream has the status 201"),
        (
            streamed(headers=b"content-type: text/plain\r\n"),
            RemarkKind.CONTENT_TYPE,
            "the Content-Type is text/plain",
        ),
        (
            streamed(headers=b"content-type: application/json\r\n"),
            RemarkKind.CONTENT_TYPE,
            "the Content-Type is application/json",
        ),
        (streamed(headers=b""), RemarkKind.CONTENT_TYPE, "the Content-Type is missing"),
        (
            streamed(headers=EVENTS + b"content-length: 612\r\n"),
            RemarkKind.LENGTH_AND_CHUNKED,
            "Content-Length: 612 beside Transfer-Encoding: chunked",
        ),
    ],
)
def test_what_arrives_evenly_streams_whatever_its_head_says(
    attempt: Attempt, kind: RemarkKind, observed: str
) -> None:
    """The verdict is that of the arrivals; the head is remarked, with what to do."""
    finding = judge(attempt)
    assert (finding.verdict, finding.remarks) == (
        Verdict.STREAMING,
        (Remark(kind.value, observed, ADVICE[kind]),),
    )


def test_a_stream_as_it_should_be_has_no_remark() -> None:
    """Nothing is remarked where there is nothing to do."""
    assert judge(streamed()).remarks == ()


def test_a_page_of_another_server_is_still_no_stream() -> None:
    """A body without events is judged by its content type, and nothing is remarked of it."""
    head = b"HTTP/1.1 200 X\r\ncontent-type: text/html\r\ncontent-length: 26\r\n\r\n"
    finding = judge(Attempt(record([(0.1, head + b"<html>\ndata: hello\n\n</html>")])))
    assert (finding.verdict, finding.remarks) == (Verdict.ROUTE_NOT_FOUND, ())


def test_what_was_noticed_with_the_request_stays_beside_the_verdict() -> None:
    """Also where there was no response at all."""
    noticed = Remark("a kind", "seen", "do")
    assert judge(Attempt(detail="refused", remarks=(noticed,))).remarks == (noticed,)
    attempt = streamed()
    assert judge(Attempt(attempt.timeline, remarks=(noticed,))).remarks == (noticed,)


def test_every_remark_says_what_to_do() -> None:
    """One row of advice for each kind."""
    assert set(ADVICE) == set(RemarkKind)


def test_the_condition_has_each_remark_once() -> None:
    """After the evidence and the remedy, whichever hops have it."""
    remark = Remark("a kind", "it is odd", "fix it")
    hops = tuple(
        HopResult(hop, "", Verdict.STREAMING, "64 tokens", remarks=(remark,))
        for hop in (Hop.EXPOSURE, Hop.POD)
    )
    result = ProbeResult(Verdict.STREAMING, Hop.EXPOSURE, "64 tokens", hops, "", "", frozenset(), AT)
    assert result.message_with_remarks == "64 tokens. Remark: it is odd; fix it"


@pytest.mark.parametrize(
    ("life", "left", "told"),
    [
        (90, 14.01, False),
        (90, 13.99, True),
        (90, 0.5, True),
        (365, 20, False),
        (6, 2.1, False),
        (6, 1.9, True),
        (1, 0.9, False),
    ],
)
def test_a_certificate_is_told_14_days_ahead_or_in_the_last_third_of_a_short_life(
    life: float, left: float, told: bool
) -> None:
    """What is renewed at two thirds of its life, as cert-manager does it, is never told; the words stay the same."""
    ends = 1_800_000_000.0
    remarks = on_certificate(Validity(ends - life * 86400, ends), ends - left * 86400)

    assert [remark.observed for remark in remarks] == [
        "the certificate expires on 2027-01-15 at 08:00 UTC"
    ] * told


def test_a_certificate_that_was_not_checked_is_not_told() -> None:
    """A pod's certificate is not: nothing is known of it."""
    assert on_certificate(None, 0.0) == ()
