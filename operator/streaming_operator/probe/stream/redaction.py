"""
Removes the API key from what a server sent: some quote it in a response, as it is or encoded. Pure.

The key is hidden in the forms that software gives it without meaning to: as it is, in another case, as hex, base64, a
URL or a JSON text has it. Who wants to show a key can always find another form: docs/security.md says so.
"""

import base64
import html
import json
import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar
from urllib.parse import quote

from streaming_operator.probe.http.request import ApiKey
from streaming_operator.probe.stream.timeline import Timeline

Value = TypeVar("Value")

OURS = frozenset({"api", "clock"})
"""Texts of a timeline that no server writes."""
SHORTEST_FORM = 6
"""Characters of an encoded form; a shorter one is found in any text by accident."""

_ESCAPED = re.compile(r"\\u00([2-7][0-9a-fA-F])")


def without_secrets(timeline: Timeline, secrets: Iterable[ApiKey]) -> Timeline:
    """The timeline with each of them replaced."""
    for secret in secrets:
        timeline = without_key(timeline, secret)
    return timeline


def without_key(timeline: Timeline, key: ApiKey | None) -> Timeline:
    """The timeline with the key replaced in every text that can become evidence."""
    if key is None:
        return timeline
    texts = {
        field.name: value
        for field in fields(timeline)
        if isinstance(value := getattr(timeline, field.name), str) and field.name not in OURS
    }
    texts["body"] = _ESCAPED.sub(_unescaped, timeline.body)  # JSON can write every character of the key so
    forms = _forms(key)
    head = timeline.head
    if head is not None:
        head = replace(
            head, headers=tuple((_hidden(name, forms), _hidden(value, forms)) for name, value in head.headers)
        )
    hidden: dict[str, Any] = {name: _hidden(text, forms) for name, text in texts.items()}
    return replace(timeline, head=head, **hidden)


def hidden_everywhere(value: Value, secrets: Iterable[ApiKey]) -> Value:
    """A result with each of them replaced in every text of it, whatever the field; timelines have their own."""
    for secret in secrets:
        value = _walked(value, _forms(secret))
    return value


def _walked(value: Any, forms: tuple[ApiKey, ...]) -> Any:
    if type(value) is str:  # an enumeration's value is a text too, of ours
        return _hidden(value, forms)
    if isinstance(value, tuple):
        return tuple(_walked(inner, forms) for inner in value)
    if is_dataclass(value) and not isinstance(value, type | Timeline):
        changed = {
            field.name: _walked(inner, forms)
            for field in fields(value)
            if isinstance(inner := getattr(value, field.name), str | tuple) or is_dataclass(inner)
        }
        return replace(value, **changed)
    return value


def _hidden(text: str, forms: tuple[ApiKey, ...]) -> str:
    for form in forms:
        text = form.hidden_in(text)
    return text


def _forms(key: ApiKey) -> tuple[ApiKey, ...]:
    """The key and its encodings, each a text that is hidden like the key; the longest first."""
    secret = key.secret
    raw = secret.encode("utf-8", "surrogatepass")
    percent = "".join(f"%{byte:02x}" for byte in raw)
    encoded = {
        secret.lower(),
        secret.upper(),
        secret[::-1],
        raw.hex(),
        raw.hex().upper(),
        raw.hex(" "),
        raw.hex(":"),
        percent,
        percent.upper(),
        quote(secret, safe=""),
        quote(secret),
        html.escape(secret),
        json.dumps(secret)[1:-1],
        json.dumps(json.dumps(secret)[1:-1])[1:-1],
        *_base64(raw),
    }
    long_enough = {form for form in encoded if len(form) >= SHORTEST_FORM} - {secret}
    return (key, *(ApiKey(form) for form in sorted(long_enough, key=lambda form: (-len(form), form))))


def _base64(raw: bytes) -> set[str]:
    """
    What base64 makes of the key, whatever stands before it: three bytes become four characters, so there are three
    alignments. The characters that also depend on the neighbours are left out.
    """
    made = set()
    for before in range(3):
        text = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        made.add(text[first:last])
    return made | {text.translate(str.maketrans("+/", "-_")) for text in made}


def _unescaped(escape: re.Match[str]) -> str:
    """The shortest form of a JSON escape: one that would end or escape the text stays one."""
    character = chr(int(escape[1], 16))
    return f"\\{character}" if character in '"\\' else character
