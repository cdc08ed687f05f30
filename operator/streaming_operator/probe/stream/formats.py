"""
The content of one event, in any of OpenAI's three formats: chat completions, completions, responses.

Pure. The format is recognised by the event itself (`choices[].delta`, `choices[].text`, a `type` of `response.…`), so
the API need not be known; any other event is empty.

The differences of the formats that matter here:

* The end: chat and completions send `[DONE]`. The responses API, OpenAI's and vLLM's, does not: it ends with its
  terminal event (`response.completed`, `.incomplete`, `.failed`, or `error`).
* Why it ended: `finish_reason`; in responses `incomplete_details.reason` (`max_output_tokens` is read as `length`),
  else `stop`. vLLM 0.32 ends with `response.completed` even if the tokens were used up, and does not mark an aborted
  response: it only has fewer tokens than requested.
* Tokens and timing: `usage` and the server's timing (`server_timing`) of the last chunk; in responses both are in the
  last event.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from streaming_operator.probe.http.request import Api
from streaming_operator.probe.http.response import readable
from streaming_operator.probe.stream.error_shapes import (
    error_as_text,
    error_in,
    message_of,
    object_of,
    parsed,
)
from streaming_operator.probe.stream.server_timing import LARGEST, Metrics, timing_of
from streaming_operator.probe.stream.sse import Event

Kind = Literal["content", "reasoning", "tool", "empty"]
"""
What a token is: text of the answer, reasoning, arguments of a tool call; or without visible text (half a character, or
held back for a stop string).
"""
KINDS: tuple[Kind, ...] = get_args(Kind)
DONE = "[DONE]"
_ERROR_EVENTS = ("error", "exception", "failure", "fatal")
"""Names of events whose data is an error, whatever it holds; and `error`, llama.cpp's field for one."""
_REASONING = ("reasoning", "reasoning_content")
"""vLLM's name and the older one that other servers still use."""
_NO_REASON = ("", "null", "none")
"""What some servers write where there is no finish reason (yet)."""
_TERMINAL = ("response.completed", "response.incomplete", "response.failed")


@dataclass(frozen=True, slots=True)
class EventContent:
    """The fields of one event; None where it has none."""

    api: Api | None = None
    kind: Kind | None = None
    """Set if the event has a token."""
    tokens: int | None = None
    """Tokens generated so far, by the server's count."""
    metrics: Metrics | None = None
    finish_reason: str | None = None
    error: str | None = None
    """The message of an error, in one short line."""
    done: bool = False
    """Whether this is the format's own end marker."""
    unread: bool = False
    """Whether it is no event of any of these formats: not JSON, and no error that is written as text."""
    characters: int = field(default=0, compare=False)
    """Length of its text, of whatever kind: several tokens in one event are longer than one."""


EMPTY = EventContent()


def read(event: Event) -> EventContent:
    """The content of an event."""
    if event.data.strip() == DONE:
        return EventContent(done=True)
    value = parsed(event.data)
    if event.type in _ERROR_EVENTS:
        return EventContent(error=message_of(event.data if value is None else value) or "no reason given")
    data = object_of(value)
    if data is None:
        words = error_as_text(value if isinstance(value, str) else event.data)
        return EventContent(error=words, unread=words is None and bool(event.data.strip()))
    kind = data.get("type")
    if isinstance(kind, str) and (kind == "error" or kind.startswith("response.")):
        return _response(kind, data)
    return _completion(data) if isinstance(value, dict) else EventContent(error=error_in(data), unread=True)


def read_line(text: str) -> EventContent:
    """The content of a line that is no field of an event: an error in JSON, or nothing that could be read."""
    error = error_in(parsed(text)) if text.lstrip().startswith(("{", "[")) else None
    return EventContent(error=error, unread=error is None)


def _completion(chunk: dict[str, Any]) -> EventContent:
    """A chunk of chat completions or completions."""
    api: Api | None = None
    kind: Kind | None = None
    reason, characters, error = None, 0, error_in(chunk)
    for choice in _dicts(chunk.get("choices")):
        if error is None and choice.get("error"):  # OpenRouter, where the provider behind it failed
            error = error_in(choice)
        if isinstance(choice.get("finish_reason"), str):
            words = readable(choice["finish_reason"]).strip()
            reason = None if words.lower() in _NO_REASON else words
        if isinstance(choice.get("delta"), dict):
            api, kind = "chat", kind or _of_delta(choice["delta"], ended=reason is not None)
            characters += _length(choice["delta"])
        elif isinstance(choice.get("text"), str):
            api, kind = "completions", kind or _of_text(choice["text"], ended=reason is not None)
            characters += len(choice["text"])
    usage = _tokens(chunk.get("usage"), "completion_tokens")
    return EventContent(api, kind, usage, timing_of(chunk), reason, error, characters=characters)


def _of_delta(delta: dict[str, Any], *, ended: bool) -> Kind | None:
    """The role alone is not a token; empty content without a role is one, unless it comes with the finish reason."""
    content = delta.get("content")
    if isinstance(content, list):  # Mistral: parts of text, and of thinking while the model thinks
        types = {str(part.get("type")) for part in _dicts(content) if _length(part)}
        if types:
            return "reasoning" if types == {"thinking"} else "content"
    elif content or delta.get("refusal"):
        return "content"
    if any(delta.get(name) for name in _REASONING):
        return "reasoning"
    if delta.get("tool_calls") or delta.get("function_call"):
        return "tool"
    return "empty" if content == "" and "role" not in delta and not ended else None


_TEXTS = ("content", "refusal", "thinking", "text", "arguments", "function", "function_call", "tool_calls")


def _length(value: object, depth: int = 6) -> int:
    """Characters of the text in a delta or in a part of one; reasoning that comes under two names counts once."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list) and depth:
        return sum(_length(item, depth - 1) for item in value)
    if isinstance(value, dict) and depth:
        reasoning = max((_length(value.get(name), depth - 1) for name in _REASONING), default=0)
        return reasoning + sum(_length(value.get(name), depth - 1) for name in _TEXTS)
    return 0


def _of_text(text: str, *, ended: bool) -> Kind | None:
    if text:
        return "content"
    return None if ended else "empty"


def _response(kind: str, event: dict[str, Any]) -> EventContent:
    """An event of the responses API."""
    if kind == "error":
        return EventContent("responses", error=message_of(event.get("error") or event), done=True)
    if kind.endswith(".delta") and isinstance(event.get("delta"), str):
        delta = event["delta"]
        return EventContent("responses", kind=_of_event(kind) if delta else "empty", characters=len(delta))
    response = event.get("response")
    if kind not in _TERMINAL or not isinstance(response, dict):
        return EventContent("responses")
    failed = message_of(response.get("error") or "no reason given") if kind == "response.failed" else None
    details = response.get("incomplete_details")
    reason = readable(str(details.get("reason") or "")) if isinstance(details, dict) else ""
    return EventContent(
        "responses",
        tokens=_tokens(response.get("usage"), "output_tokens"),
        metrics=timing_of(response),
        finish_reason="length" if reason == "max_output_tokens" else "error" if failed else reason or "stop",
        error=failed,
        done=True,
    )


def _of_event(kind: str) -> Kind:
    """`response.reasoning_text.delta`, `…reasoning_summary_text…` are reasoning; `…arguments`, `…code` tool calls."""
    if "reasoning" in kind:
        return "reasoning"
    return "content" if "text" in kind or "refusal" in kind else "tool"


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _tokens(usage: object, name: str) -> int | None:
    count = usage.get(name) if isinstance(usage, Mapping) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < LARGEST else None
