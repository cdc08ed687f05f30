"""
Errors in the shapes in which servers write them: as JSON under many keys, in lists, as bare text. Pure.

OpenAI's shape is `{"error": {"message": ...}}`. Others found in the field: FastAPI's `{"detail": ...}`, older vLLM's
`{"object": "error", "message": ...}`, guardrails' `{"details": ...}`, Gemini's list of one object, MiniMax's
`base_resp.status_msg`, and text such as `error: CUDA out of memory`.
"""

import re
from typing import Any

from streaming_operator.probe.http.response import readable
from streaming_operator.probe.stream import bounded_json

_MESSAGES = (
    *("message", "detail", "details", "msg", "error_message", "error_msg", "errorMessage"),
    *("error_description", "description", "reason", "status_msg", "title", "error", "errors"),
)
"""Keys that hold the words of an error, the most telling first."""
_ALONE = frozenset({"detail", "details", "message", "msg", "error_message", "error_msg", "errorMessage"})
"""Keys that make an object an error where it has nothing of a completion."""
_NAMED = frozenset({"error_message", "error_msg", "errorMessage", "error_code", "errorCode"})
"""Keys that make any object an error, unless they say that there is none (Baidu: beside an `id`, or beside tokens)."""
_NONE = re.compile(r"[-0\s]*|200|ok|success(ful)?|none|null|no error", re.IGNORECASE)
"""Codes and words of success, which some gateways write into every event."""
_COMPLETION = frozenset({"choices", "usage", "delta", "response", "id", "content", "text"})
_TEXT = re.compile(
    r"\W*(?:\w+:\s*)?(internal server |fatal |runtime)?(error|exception|traceback)\b", re.IGNORECASE
)
_DEPTH = 6


def parsed(text: str, longest: int = bounded_json.LONGEST, containers: int = bounded_json.CONTAINERS) -> Any:
    """The value of a JSON text within these bounds; None for any other text."""
    try:
        return bounded_json.loads(text, longest, containers)
    except ValueError:
        return None


def object_of(value: object) -> dict[str, Any] | None:
    """The JSON object, also where it is the only one of a list."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, dict) else None


def message_of(value: object, depth: int = _DEPTH) -> str:
    """The words of an error in one short line; empty where it has none."""
    if isinstance(value, str):
        inner = parsed(value) if value.lstrip().startswith(("{", "[")) else None
        return (message_of(inner, depth - 1) if inner is not None and depth else "") or readable(value)
    if isinstance(value, list) and depth:
        return next((words for item in value if (words := message_of(item, depth - 1))), "")
    if isinstance(value, dict) and depth:
        for key in _MESSAGES:
            if value.get(key) and (words := message_of(value[key], depth - 1)):
                return words
        code = value.get("code") or value.get("type") or value.get("status")
        return readable(str(code)) if isinstance(code, str | int) else ""
    return ""


def error_in(value: object) -> str | None:
    """The words of the error that a JSON value is; None where it is none."""
    fields = object_of(value)
    if fields is None:
        return None
    reply = fields.get("base_resp")
    if isinstance(reply, dict) and reply.get("status_code"):
        return message_of(reply)
    for key in ("error", "errors"):
        if fields.get(key):
            return message_of(fields[key]) or readable(str(fields[key]))
    marked = "error" in (fields.get("object"), fields.get("type")) or fields.get("success") is False
    marked = marked or any(_names_one(fields.get(key)) for key in _NAMED)
    alone = not _COMPLETION & fields.keys() and any(isinstance(fields.get(key), str | list) for key in _ALONE)
    return message_of(fields) or "no reason given" if marked or alone else None


def _names_one(value: object) -> bool:
    """Whether the value of such a key names an error."""
    return bool(value) and not (isinstance(value, str | int) and _NONE.fullmatch(str(value)))


def error_as_text(text: str) -> str | None:
    """The words of an error that is written as bare text; None for any other text."""
    return readable(text) if _TEXT.match(text) else None
