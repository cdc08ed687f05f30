"""
JSON of the API server, whatever somebody has stored in it: bounded in depth, lists object by object. Pure.

The API server stores objects nested 10,000 deep; every parser has a limit, and an object past it must cost only itself
(docs/decisions/0038-one-object-costs-itself.md). What is nested deeper than the parser reads becomes null.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from streaming_operator.kube.objects import Body

DEEPEST = 200
"""Containers in each other that the parser reads; a pod with all its managedFields has about 20."""

READ_WHOLE = 300_000
"""Values in a list that is decoded in one piece, at about 150 bytes each; 4 MiB of pods have half as many. The objects
of a list with more are decoded one by one."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_NAME = re.compile(rb'"name":\s*"([^"\\]{1,253})"')


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that no parser can read."""

    name: str
    """The first name in its text, "" without one."""
    cause: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    metadata: Body
    _head: Body
    _raw: bytes
    _places: tuple[tuple[int, int], ...] | None

    @property
    def head(self) -> Body:
        """The list without its items."""
        return {name: part for name, part in self._head.items() if name != "items"}

    def items(self) -> Iterator[Body | Unreadable]:
        """Each object, decoded when it is its turn."""
        if self._places is None:
            yield from self._head.get("items") or ()
            return
        for begin, end in self._places:
            text = self._raw[begin:end]
            try:
                yield value(text)
            except ValueError as error:
                yield unreadable(text, error)


def value(text: bytes) -> Any:
    """One value; raises `ValueError` for what is no JSON at any depth."""
    try:
        return from_json(text)
    except ValueError:
        return from_json(_cut(text))


def document(text: bytes) -> Body:
    """One JSON object; raises `ValueError` for everything else."""
    read = value(text)
    if not isinstance(read, dict):
        raise ValueError("no JSON object")
    return read


def stored(text: bytes) -> Body:
    """An object as the API server stores it, with a name, a uid and a version; raises `ValueError` without them."""
    body = document(text)
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not all(
        isinstance(metadata.get(field), str) and metadata[field]
        for field in ("name", "uid", "resourceVersion")
    ):
        raise ValueError("no stored object")
    return body


def page(text: bytes) -> Page:
    """One page of a list; raises `ValueError` when it is not a list, whatever its items are."""
    if sum(text.count(mark) for mark in (b",", b"{", b"[")) <= READ_WHOLE:
        try:
            whole: Body = from_json(text)
            return Page(whole["metadata"], whole, b"", None)
        except ValueError:
            pass
        except (KeyError, TypeError):
            raise ValueError("a list has metadata") from None
    rest, places = _split(text)
    head: Any = value(rest)
    if not isinstance(head, dict) or not isinstance(head.get("metadata"), dict):
        raise ValueError("a list has metadata")
    return Page(head["metadata"], head, text, places)


def unreadable(text: bytes, error: Exception) -> Unreadable:
    """What is known of an object that cannot be read; its content stays out of every log."""
    name = _NAME.search(text)
    return Unreadable(name.group(1).decode(errors="replace") if name else "", type(error).__name__)


def _cut(text: bytes) -> bytes:
    """The same text, with null for every container below the deepest that is read."""
    kept, level, start = [], 0, 0
    for token in _TOKEN.finditer(text):
        bracket = text[token.start()]
        if bracket in b"{[":
            level += 1
            if level == DEEPEST + 1:
                kept.append(text[start : token.start()])
        elif bracket in b"}]":
            if level == DEEPEST + 1:
                kept.append(b"null")
                start = token.end()
            level -= 1
    kept.append(text[start:] if level <= DEEPEST else b"")
    return b"".join(kept)


def _split(text: bytes) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """A list without its items, and where each of them is in the text."""
    places: list[tuple[int, int]] = []
    level, begin, first, last = 0, 0, -1, -1
    for token in _TOKEN.finditer(text):
        bracket = text[token.start()]
        if bracket in b"{[":
            level += 1
            if level == 2 and bracket in b"[" and first < 0 and _is_items(text, token.start()):
                first = token.end()
            elif level == 3:
                begin = token.start()
        elif bracket in b"}]":
            if level == 3 and first >= 0 > last:
                places.append((begin, token.end()))
            elif level == 2 and first >= 0 > last:
                last = token.start()
            level -= 1
    if last < 0:
        return text, ()
    return text[:first] + text[last:], tuple(places)


def _is_items(text: bytes, at: int) -> bool:
    """Whether the array that begins there is the member `items`."""
    return re.search(rb'"items"\s*:\s*$', text[max(at - 32, 0) : at]) is not None
