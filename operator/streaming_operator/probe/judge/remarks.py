"""
Remarks: what a person should know of a response although it decides no verdict. Pure.

A stream that arrives as it is generated streams, whatever its headers say; but clients stricter than this probe may
refuse it. Each kind has its advice in one table, from which docs/probe.md is generated.
"""

from datetime import UTC, datetime
from enum import StrEnum

from streaming_operator.probe.http.response import Ending, Validity, readable
from streaming_operator.probe.judge.terminations import ENDS
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.values import Remark


class RemarkKind(StrEnum):
    """What is remarked; the stable name in reports."""

    STATUS = "another status than 200"
    CONTENT_TYPE = "not declared as an event stream"
    CODING = "unusual Content-Encoding"
    UNREAD = "events of no known format"
    LIMITED = "limited before it was confirmed"
    LENGTH_AND_CHUNKED = "Content-Length beside chunked"
    WORDING = "parameters refused"
    NO_LAST_CHUNK = "no end of the message after the end marker"
    LEFT_OPEN = "left open after the end marker"
    UNKNOWN_REASON = "unknown finish reason"
    ADDRESS = "an address that does not answer"
    PROXY = "through an HTTP proxy"
    CERTIFICATE = "a certificate that expires soon"


ADVICE: dict[RemarkKind, str] = {
    RemarkKind.STATUS: "answer a stream with 200: some clients take any other status for an error",
    RemarkKind.CONTENT_TYPE: (
        "set Content-Type: text/event-stream: browsers' EventSource refuses any other, and proxies buffer it"
    ),
    RemarkKind.CODING: (
        "send no Content-Encoding that the request does not accept: the clients of OpenAI accept gzip and deflate, and "
        "br or zstd only with further libraries"
    ),
    RemarkKind.UNREAD: (
        "clients ignore what is no field of an event and fail on data that is not JSON: look for what writes into the "
        "body, or frames it twice"
    ),
    RemarkKind.LIMITED: (
        "the verdict is that of the streams before it; for one with both encodings probe again when the rate limit "
        "allows it"
    ),
    RemarkKind.LENGTH_AND_CHUNKED: (
        "remove Content-Length from the response, such as a header that a proxy copies from its upstream: strict "
        "clients (Node.js) refuse it beside Transfer-Encoding: chunked, and proxies may take it for an attack"
    ),
    RemarkKind.WORDING: (
        "nothing has to be done: it is asked so from now on, but a stream may end before its limit, and the count of "
        "tokens or the server's timing may be missing"
    ),
    RemarkKind.NO_LAST_CHUNK: (
        "let the server or the proxy that closes end the message (the last chunk, END_STREAM): clients that read to "
        "the end (httpx, aiohttp, urllib3) raise an error after a whole answer"
    ),
    RemarkKind.LEFT_OPEN: (
        "let the server end the message after its end marker: clients that read to the end wait until they time out, "
        "and each holds a connection"
    ),
    RemarkKind.UNKNOWN_REASON: (
        "clients that know OpenAI's reasons alone may take it for an error: end a whole answer with stop or length"
    ),
    RemarkKind.ADDRESS: (
        "let the server listen on every address of its name, or remove the address from the name: clients that try one "
        "address alone fail, and others may wait"
    ),
    RemarkKind.PROXY: (
        "it is a hop of this path as well: list the host in NO_PROXY and probe again to see what it adds"
    ),
    RemarkKind.CERTIFICATE: (
        "renew it before: clients refuse the connection from then on; where cert-manager makes it, kubectl describe "
        "certificate says why it was not renewed"
    ),
}
"""What to do about each."""
TOLD_BEFORE = 14 * 86400.0
"""Seconds before the end of a certificate."""


def remark(kind: RemarkKind, observed: str) -> Remark:
    """A remark; *observed* is a clause without a full stop."""
    return Remark(kind.value, observed, ADVICE[kind])


def on_certificate(validity: Validity | None, now: float) -> tuple[Remark, ...]:
    """
    The remark on a certificate that expires within 14 days, and within the last third of its life; *now* is Unix time.

    cert-manager renews at two thirds, so that a certificate of a few days is told only when that did not happen.
    """
    if validity is None:
        return ()
    if validity.ends - now > min(TOLD_BEFORE, (validity.ends - validity.begins) / 3):
        return ()
    moment = datetime.fromtimestamp(validity.ends, UTC)
    return (remark(RemarkKind.CERTIFICATE, f"the certificate expires on {moment:%Y-%m-%d at %H:%M} UTC"),)


def remarks_on(t: Timeline, *, streamed: bool) -> tuple[Remark, ...]:
    """The remarks on a response whose events were read; *streamed* says that the verdict on it is that it streams."""
    if t.head is None or not t.is_event_stream:
        return ()
    remarks = []
    if t.head.status != 200:
        remarks.append(remark(RemarkKind.STATUS, f"the stream has the status {t.head.status}"))
    if not t.head.is_event_stream:
        content_type = t.head.header("content-type")
        declared = f"is {readable(content_type)[:60]}" if content_type else "is missing"
        remarks.append(remark(RemarkKind.CONTENT_TYPE, f"the Content-Type {declared}"))
    if t.has_content_length and t.is_chunked:
        length = readable(t.head.header("content-length") or "")[:20]
        remarks.append(
            remark(
                RemarkKind.LENGTH_AND_CHUNKED, f"Content-Length: {length} beside Transfer-Encoding: chunked"
            )
        )
    coding = (t.head.header("content-encoding") or "identity").strip().lower()
    if coding not in ("gzip", "x-gzip", "identity"):
        remarks.append(remark(RemarkKind.CODING, f"the Content-Encoding is {readable(coding)[:32]}"))
    if t.unread:
        what = "1 event or line is" if t.unread == 1 else f"{t.unread} events or lines are"
        remarks.append(
            remark(RemarkKind.UNREAD, f"{what} of no known format, the first: {t.first_unread[:80]}")
        )
    return (*remarks, *_on_the_end(t, streamed))


def _on_the_end(t: Timeline, streamed: bool) -> tuple[Remark, ...]:
    """The remarks on how a whole answer ended."""
    if not t.done:
        return ()
    remarks = []
    marker = "the last event" if t.api == "responses" else "[DONE]"
    framed = t.is_chunked or t.has_content_length
    if t.ending is Ending.RESET or (framed and t.ending in (Ending.CLOSED, Ending.BROKEN)):
        how = {Ending.RESET: "reset", Ending.BROKEN: "broken"}.get(t.ending, "closed")
        remarks.append(
            remark(
                RemarkKind.NO_LAST_CHUNK,
                f"the connection was {how} after {marker} without the end of the message",
            )
        )
    if t.ending is Ending.LEFT_OPEN:
        observed = (
            f"the connection stayed open for {t.silence:.0f} s after {marker}, without the end of the message"
        )
        remarks.append(remark(RemarkKind.LEFT_OPEN, observed))
    if streamed and t.finish_reason is not None and t.finish_reason.lower() not in ENDS:
        remarks.append(remark(RemarkKind.UNKNOWN_REASON, f"the finish reason is {t.finish_reason}"))
    return tuple(remarks)
