"""
Incremental parser of server-sent events (HTML Living Standard, 9.2.6): bytes in, events and comments out.

Pure; any split of the same bytes gives the same result. It knows nothing of JSON, HTTP or time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"
_LF, _CR = 0x0A, 0x0D
_LINE_END = re.compile(rb"[\r\n]")
"""One search for both: two searches are quadratic in streams that contain only one of them."""


LONGEST = 64 * 1024
"""Bytes of one line, and of the data of one event."""
LINES = 65_536
"""Lines of one stream: 1,024 events have about 3,000."""


class TooLargeError(Exception):
    """More than is read of one stream; the message says what."""


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
_FIELDS = (b"data", b"event", b"id", b"retry")


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
        self._data = bytearray()
        """Of the event so far, each line with a line feed."""
        self._lines = 0
        self._type = ""

    def feed(self, data: bytes) -> list[Item]:
        """Parse the next bytes; the items that they completed, in order. Raises TooLargeError."""
        return [item for item in self.items(data) if item is not None]

    def items(self, data: bytes) -> Iterator[Item | None]:
        """The same while they are parsed: one item a line, None where it completed none. Raises TooLargeError."""
        start = 0
        if self._skip_lf and data:
            start = 1 if data[0] == _LF else 0
            self._skip_lf = False
        while True:
            line_end = _LINE_END.search(data, start)
            if line_end is None:
                self._append(data[start:])
                return
            end = line_end.start()
            self._append(data[start:end])
            self._lines += 1
            if self._lines > LINES:
                raise TooLargeError(f"the stream has more than {LINES} lines")
            line = bytes(self._line)
            self._line.clear()
            start = end + 1
            if data[end] == _CR:
                # CR alone ends a line: the event must not be delayed until an LF that may come with the next read.
                if start < len(data):
                    start += data[start] == _LF
                else:
                    self._skip_lf = True
            yield self._take(line)

    def _append(self, data: bytes) -> None:
        self._line += data
        if len(self._line) > LONGEST:
            raise TooLargeError(f"an event has a line of more than {LONGEST} bytes")

    def unfinished(self) -> str | None:
        """
        Data of an event whose final blank line never came.

        The standard discards it at the end of the stream, and `feed` never returns it; but a `[DONE]` that lacks only
        its blank line must not be reported as missing.
        """
        data = bytes(self._data)
        raw = bytes(self._line)
        name, _, value = (raw.removeprefix(_BOM) if self._at_start else raw).partition(b":")
        if name == b"data":
            data += value.removeprefix(b" ") + b"\n"
        return _decode(data[:-1]) if data else None

    def unfinished_line(self) -> str:
        """The line that was not ended, as text: a body that is one JSON object has no other."""
        return _decode(bytes(self._line))

    def _take(self, raw: bytes) -> Item | None:
        if self._at_start:
            self._at_start = False
            raw = raw.removeprefix(_BOM)
        if not raw:
            return self._dispatch()
        if raw.startswith(b":"):
            return Comment(_decode(raw[1:].removeprefix(b" ")))
        name, _, value = raw.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data += value + b"\n"
            if len(self._data) > LONGEST:
                raise TooLargeError(f"an event has more than {LONGEST} bytes")
        elif name == b"event":
            self._type = _decode(value)
        elif name == b"error" and value:  # llama.cpp's server until autumn 2025
            return Event(_decode(value), "error")
        elif name not in _FIELDS:
            return Stray(_decode(raw))
        # `id` and `retry` control reconnection, which a probe never does (and neither affects data or type, however
        # malformed).
        return None

    def _dispatch(self) -> Event | None:
        data, kind = bytes(self._data), self._type
        self._type = ""
        self._data.clear()
        # The standard dispatches nothing when the data buffer is the empty string, and `data:` alone leaves a single
        # line feed.
        return Event(_decode(data[:-1]), kind or "message") if data else None


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
