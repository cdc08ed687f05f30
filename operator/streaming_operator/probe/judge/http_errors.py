"""
Responses that are not event streams: no connection, an HTTP error, another service's page. Pure.

It matters who wrote an error: the engine's JSON 404 for an unknown model is not a missing route.
"""

import json
from typing import Any

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe.http.response import Ending, NoResponse, readable
from streaming_operator.probe.judge.finding import Attempt, Finding, Symptom
from streaming_operator.probe.judge.fingerprint import proxy_of
from streaming_operator.probe.stream.timeline import Timeline

_TLS_PORT = ("plain HTTP request was sent to HTTPS port", "sent an HTTP request to an HTTPS server")


def no_response(attempt: Attempt) -> Finding:
    """The finding where there was no connection, or none that could carry the request."""
    findings = {
        NoResponse.DNS: (Verdict.DNS_UNRESOLVED, Symptom.NAME),
        NoResponse.REFUSED_BY_US: (Verdict.UNREACHABLE, Symptom.FORBIDDEN_ADDRESS),
        NoResponse.KEY: (Verdict.AUTH_REJECTED, Symptom.KEY_BROKEN),
        NoResponse.TLS: (Verdict.TLS_ERROR, Symptom.HANDSHAKE),
    }
    cause = attempt.cause or NoResponse.CONNECT
    verdict, symptom = findings.get(cause, (Verdict.UNREACHABLE, Symptom.NO_CONNECTION))
    if cause is NoResponse.TLS and "certificate" in attempt.detail:
        symptom = Symptom.CERTIFICATE
    return Finding(verdict, symptom, attempt.detail)


def no_head(t: Timeline) -> Finding:
    """The finding where the connection ended without the head of a response."""
    if t.ending in (Ending.SILENT, Ending.TOO_LONG, Ending.STALLED):
        return Finding(Verdict.TTFT_EXCEEDED, Symptom.NO_TOKEN, f"no answer within {t.ended_at:.0f} s")
    why = f"is not HTTP: {t.broken}" if t.broken and t.reads else "ended before an answer"
    return Finding(Verdict.UNREACHABLE, Symptom.NO_CONNECTION, f"the connection {why}")


def http_error(t: Timeline, with_key: bool) -> Finding:
    """The finding of a status other than 200."""
    status, message = t.status or 0, _message(t.body)
    by = f"HTTP {status} from {author_of(t)}" + (f": {message}" if message else "")
    if status in (401, 403):
        symptom = Symptom.KEY_REFUSED if with_key else Symptom.KEY_MISSING
        return Finding(Verdict.AUTH_REJECTED, symptom, by if with_key else f"{by}; no key was sent")
    if 300 <= status < 400:
        location = readable(t.head.header("location") or "nowhere") if t.head else "nowhere"
        return Finding(
            Verdict.ROUTE_NOT_FOUND, Symptom.REDIRECT, f"{by}: redirects to {location}, which is not followed"
        )
    if status in (404, 405):
        if message and "model" in message.lower():
            return Finding(Verdict.UPSTREAM_ERROR, Symptom.UNKNOWN_MODEL, by)
        symptom = Symptom.WRONG_PATH if _json(t.body) is not None else Symptom.NO_ROUTE
        return Finding(Verdict.ROUTE_NOT_FOUND, symptom, by)
    if status in (408, 504):
        after = f"{by}, after {t.head_at or 0:.1f} s"
        return Finding(Verdict.UPSTREAM_ERROR, Symptom.GATEWAY_TIMEOUT, after)
    return _wrong_port(t, by) or Finding(Verdict.UPSTREAM_ERROR, _symptom(status, t.body), by)


def _symptom(status: int, body: str) -> Symptom:
    """The symptom of an unexpected status; an engine at capacity answers in JSON, proxies do not."""
    if status in (429, 503) and _json(body) is not None:
        return Symptom.BUSY
    symptoms = {413: Symptom.TOO_BIG, 429: Symptom.LIMITED, 502: Symptom.BAD_GATEWAY}
    return symptoms.get(status, Symptom.UNAVAILABLE if status >= 500 else Symptom.BAD_REQUEST)


def _wrong_port(t: Timeline, by: str) -> Finding | None:
    """nginx and Go servers write an error page where plain HTTP is sent to a TLS port."""
    if t.status == 400 and any(words in t.body for words in _TLS_PORT):
        return Finding(Verdict.TLS_ERROR, Symptom.PLAIN_HTTP, f"{by}: this port speaks https")
    return None


def author_of(t: Timeline) -> str:
    """
    Who seems to have written a response, by its headers and its body; for sentences, never for a decision.
    """
    proxy = proxy_of(t)
    if proxy is not None and (proxy.author or _json(t.body) is None):
        return f"{proxy.proxy} behind {proxy.front}" if proxy.front else str(proxy.proxy)
    server = readable(t.head.header("server") or "") if t.head else ""
    if _json(t.body) is not None:
        through = f" through {proxy.proxy}" if proxy else f" ({server[:40]})" if server else ""
        return f"the model server{through}"
    return server[:40] or "an unidentified server"


def _json(body: str) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _message(body: str) -> str:
    """The message of an error body in the usual JSON shapes, in one line."""
    fields = _json(body) or {}
    error = fields.get("error", fields.get("detail", fields.get("message", "")))
    text = error.get("message", "") if isinstance(error, dict) else error
    return readable(str(text))


def not_a_stream(t: Timeline) -> Finding | None:
    """The finding where the response is not an event stream; None where it is."""
    if t.is_event_stream:
        return None
    kind = readable(t.head.header("content-type") or "no content type")[:60] if t.head else ""
    if ("choices" in t.body and _json(t.body) is not None) or '"chat.completion"' in t.body:
        evidence = f"one whole response ({kind}) after {t.ended_at:.1f} s instead of a stream"
        return Finding(Verdict.BUFFERED, Symptom.NOT_A_STREAM, evidence)
    by = f"HTTP {t.status} with {kind} from {author_of(t)} instead of an event stream"
    return Finding(Verdict.ROUTE_NOT_FOUND, Symptom.WRONG_PATH, by)
