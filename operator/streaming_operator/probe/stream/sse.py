"""
Incremental parser of server-sent events (HTML Living Standard, 9.2.6): bytes in, events and comments out.

Pure; any split of the same bytes gives the same result. It knows nothing of JSON, HTTP or time.
"""

import re
from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"
_LF, _CR = 0x0A, 0x0D
_LINE_END = re.compile(rb"[\r\n]")
"""One search for both: two searches are quadratic in streams that contain only one of them."""


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event: its data lines joined by a line feed, and its type (`message` unless named)."""

    data: str
    type: str = "message"


@dataclass(frozen=True, slots=True)
class Comment:
    """A line that begins with a colon; servers send them to keep an idle connection alive."""

    text: str


@dataclass(frozen=True, slots=True)
class Stray:
    """A line that is no field of an event; the standard ignores it, and a person should know."""

    text: str


Item = Event | Comment | Stray
_FIELDS = ("data", "event", "id", "retry")


class Parser:
    """
    The parser of one stream.

    Lines are split before they are decoded: CR and LF never occur inside a multi-byte UTF-8 character, so a split
    character needs no state of its own. Invalid UTF-8 becomes U+FFFD, as the standard requires.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._skip_lf = False
        self._at_start = True
        self._data: list[str] = []
        self._type = ""

    def feed(self, data: bytes) -> list[Item]:
        """Parse the next bytes; the items that they completed, in order."""
        items: list[Item] = []
        start = 0
        if self._skip_lf and data:
            start = 1 if data[0] == _LF else 0
            self._skip_lf = False
        while True:
            line_end = _LINE_END.search(data, start)
            if line_end is None:
                self._line += data[start:]
                return items
            end = line_end.start()
            self._line += data[start:end]
            line = bytes(self._line)
            self._line.clear()
            start = end + 1
            if data[end] == _CR:
                # CR alone ends a line: the event must not be delayed until an LF that may come with the next read.
                if start < len(data):
                    start += data[start] == _LF
                else:
                    self._skip_lf = True
            item = self._take(line)
            if item is not None:
                items.append(item)

    def unfinished(self) -> str | None:
        """
        Data of an event whose final blank line never came.

        The standard discards it at the end of the stream, and `feed` never returns it; but a `[DONE]` that lacks only
        its blank line must not be reported as missing.
        """
        data = list(self._data)
        raw = bytes(self._line)
        name, _, value = _decode(raw.removeprefix(_BOM) if self._at_start else raw).partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
        return "\n".join(data) if data else None

    def unfinished_line(self) -> str:
        """The line that was not ended, as text: a body that is one JSON object has no other."""
        return _decode(bytes(self._line))

    def _take(self, raw: bytes) -> Item | None:
        if self._at_start:
            self._at_start = False
            raw = raw.removeprefix(_BOM)
        if not raw:
            return self._dispatch()
        line = _decode(raw)
        if line.startswith(":"):
            return Comment(line[1:].removeprefix(" "))
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "error" and value:  # llama.cpp's server until autumn 2025
            return Event(value, "error")
        elif name not in _FIELDS:
            return Stray(line)
        # `id` and `retry` control reconnection, which a probe never does (and neither affects data or type, however
        # malformed).
        return None

    def _dispatch(self) -> Event | None:
        data, kind = self._data, self._type
        self._data, self._type = [], ""
        # The standard dispatches nothing when the data buffer is the empty string, and `data:` alone leaves a single
        # line feed.
        return Event("\n".join(data), kind or "message") if data else None


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
