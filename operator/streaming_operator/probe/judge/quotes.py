"""
Leaves of a response what is judged, and nothing that its server chose to say: for administrators without quotes. Pure.

Known words stay, such as the usual finish reasons, media types and proxies: verdict and remedy are the same.
"""

import json
from dataclasses import replace
from typing import Any

from streaming_operator.probe.http.http1 import HTTP2_ONLY
from streaming_operator.probe.http.response import Head
from streaming_operator.probe.judge.finding import Attempt
from streaming_operator.probe.judge.fingerprint import HEADERS
from streaming_operator.probe.judge.terminations import ENDS, GIVEN_UP

NOT_QUOTED = "(not quoted)"

_KEPT = frozenset({"content-length", "transfer-encoding", "content-encoding", "retry-after"})
_WORDS = ("chunked", "gzip", "identity", "deflate", "br")
_MEDIA_TYPES = ("text/event-stream", "application/json", "application/x-ndjson", "text/html", "text/plain")


def without_quotes(attempt: Attempt) -> Attempt:
    """The attempt without texts of its server."""
    t = attempt.timeline
    if t is None:
        return attempt
    plain = replace(
        t,
        head=None if t.head is None else _head(t.head),
        body=_body(t.body),
        error=None if t.error is None else NOT_QUOTED,
        finish_reason=None if t.finish_reason is None else _reason(t.finish_reason),
        broken=t.broken if t.broken in ("", HTTP2_ONLY) else NOT_QUOTED,
        first_unread=NOT_QUOTED if t.first_unread else "",
        reset=t.reset.partition(" (")[0],
    )
    return replace(attempt, timeline=plain)


def _head(head: Head) -> Head:
    return replace(head, headers=tuple((name, _value(name, value)) for name, value in head.headers))


def _value(name: str, value: str) -> str:
    lowered = value.lower().strip()
    if name in _KEPT:
        parts = [part.strip() for part in lowered.split(",")]
        return (
            lowered if all(part in _WORDS or (part.isdecimal() and part.isascii()) for part in parts) else ""
        )
    if name == "content-type":
        return next((known for known in _MEDIA_TYPES if lowered.startswith(known)), NOT_QUOTED)
    marks = [mark for header, mark, _ in HEADERS if header == name and mark in lowered]
    return marks[0] if marks else NOT_QUOTED if name == "location" else ""


def _reason(reason: str) -> str:
    lowered = reason.lower()
    if lowered in ENDS:
        return lowered
    return next((part for part in GIVEN_UP if part in lowered), NOT_QUOTED)


def _body(body: str) -> str:
    """The shape of a JSON body, since that tells an engine from a proxy; others are quoted nowhere."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body
    return json.dumps(_shape(value)) if isinstance(value, dict) else body


def _shape(value: Any, depth: int = 8) -> Any:
    """The names that are looked for, with what their texts are about in place of the texts."""
    if isinstance(value, dict):
        known = {
            name: inner for name, inner in value.items() if name in ("error", "detail", "message", "choices")
        }
        return {name: _shape(inner, depth - 1) for name, inner in known.items()} if depth else {}
    if isinstance(value, list):
        return []
    return f"{NOT_QUOTED} model" if isinstance(value, str) and "model" in value.lower() else NOT_QUOTED
