"""
Records the reads of one HTTP response in order and makes a `Timeline` of them. Pure.

`timeline` defines what its numbers mean, `formats` how the events of each API are parsed.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from streaming_operator.probe.http import http1
from streaming_operator.probe.http.response import Broken, Codec, End, Ending, Head, Piece, Reset, readable
from streaming_operator.probe.stream import formats, sse
from streaming_operator.probe.stream.columns import Arrivals, Reads, seconds
from streaming_operator.probe.stream.formats import EventContent
from streaming_operator.probe.stream.timeline import Arrival, Timeline

BODY_KEPT = 16 * 1024
"""Bytes kept of a body that is not an event stream: enough to distinguish a proxy's page from the engine's JSON."""
EVENTS = 4096
"""Events and comments that are read of one stream, unless many tokens were requested."""
_READS_PER_EVENT = 2
"""Some servers write a chunk's size and its data separately."""


@dataclass(slots=True)
class Recorder:
    """Records the reads of one response in order; the reader thread uses `ending` and what was seen."""

    on_read: Callable[[float, int], None] | None = None
    """Called for each read, in the reader thread: seconds since the request, raw bytes. Must return at once."""
    events_allowed: int = EVENTS
    """Events and comments that are read; more end the response, and so does twice as many reads."""
    ending: Ending | None = None
    """How the response ended, once it has."""
    token_seen: bool = False
    """Whether a token with text came."""
    end_marker_seen: bool = False
    body_kept: int = BODY_KEPT
    """Bytes kept of a body that is not an event stream."""
    _codec: Codec = field(default_factory=http1.Http1Codec)
    _parser: sse.Parser = field(default_factory=sse.Parser)
    _fields: dict[str, Any] = field(default_factory=dict)
    _arrivals: Arrivals = field(default_factory=Arrivals)
    _sizes: Reads = field(default_factory=Reads)
    _late: "array[float]" = field(default_factory=seconds)
    _body: bytearray = field(default_factory=bytearray)
    _streaming: bool = False
    _keeps_body: bool = True
    _items: int = 0
    _comments: int = 0
    _frames: int = 0
    _unread: int = 0
    _first_unread: str = ""
    _ended_at: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether the message ended by its own framing."""
        return self.ending is Ending.COMPLETE

    def begin(self, codec: Codec) -> None:
        """Set the codec of the response; HTTP/1.1 if never called."""
        self._codec = codec

    @property
    def events(self) -> int:
        """Token-bearing events so far."""
        return len(self._arrivals)

    def read(self, at: float, data: bytes) -> None:
        """Record one read: its arrival and all its bytes, framing included. Empty bytes are the peer's close."""
        for _ in self.steps(at, data):
            pass

    def steps(self, at: float, data: bytes, late: float = 0.0) -> Iterator[None]:
        """The same in bounded pieces of work, one each time that the iterator is advanced."""
        if data:
            if len(self._sizes) >= self.events_allowed * _READS_PER_EVENT:
                self._end_too_large(f"the response came in more than {len(self._sizes)} reads", at)
                return
            self._sizes.append(at, len(data))
            self._late.append(late)
            if self.on_read is not None:
                self.on_read(at, len(data))
        for part in self._codec.feed(data):
            yield
            match part:
                case Piece():
                    yield from self._take(at, part)
                case Head():
                    self._fields |= {"head": part, "head_at": at}
                    # Official clients read events whatever the content type is, and so does this.
                    self._streaming = 200 <= part.status < 300
                    self._keeps_body = not part.is_event_stream
                case End():
                    self._end(Ending.COMPLETE, at)
                case Reset():
                    self._fields["reset"] = part.why
                    self._end(Ending.RESET, at)
                case Broken():
                    self._fields["broken"] = part.why
                    if part.too_large:
                        self._end(Ending.TOO_LARGE, at)
                    elif data:  # a close in the middle of a message is reported by the reader thread
                        self._end(Ending.BROKEN, at)
            if self.ending is not None:
                return

    def timeline(self, ending: Ending, ended_at: float, clock: str, segments: int | None = None) -> Timeline:
        """The timeline so far; *ending* and *ended_at* are used where the message did not end by itself."""
        if not self._fields.get("done") and (self._parser.unfinished() or "").strip() == formats.DONE:
            self._fields["done"] = True
        if "error" not in self._fields and self._streaming and not self._arrivals:
            self._keep(formats.read_line(self._parser.unfinished_line()))  # a body that is one JSON object
        head = self._fields.get("head")
        return Timeline(
            ending=self.ending or ending,
            ended_at=ended_at if self.ending is None else self._ended_at,
            clock=clock,
            arrivals=self._arrivals.copy(),
            comments=self._comments,
            body=self._body.decode("utf-8", "replace"),
            sizes=self._sizes.copy(),
            http_version=head.version if head else self._codec.version,
            frames=self._frames,
            unread=self._unread,
            first_unread=self._first_unread,
            segments=segments,
            late=self._late[:],
            **self._fields,
        )

    def _end(self, ending: Ending, at: float) -> None:
        self.ending, self._ended_at = ending, at

    def _end_too_large(self, why: str, at: float) -> None:
        self._fields["broken"] = why
        self._end(Ending.TOO_LARGE, at)

    def _take(self, at: float, piece: Piece) -> Iterator[None]:
        self._frames = piece.frame
        if self._keeps_body:
            self._body += piece.data[: self.body_kept - len(self._body)]
        if not self._streaming:
            return
        try:
            yield from self._take_events(at, piece)
        except sse.TooLargeError as error:
            if self._keeps_body and not self._arrivals:
                self._streaming = False  # one long document: it is kept, but has no events
            else:
                self._end_too_large(str(error), at)

    def _take_events(self, at: float, piece: Piece) -> Iterator[None]:
        for item in self._parser.items(piece.data):
            yield
            if item is None:
                continue
            self._items += 1
            if self._items > self.events_allowed:
                raise sse.TooLargeError(f"the stream has more than {self.events_allowed} events")
            if isinstance(item, sse.Comment):
                self._comments += 1
                continue
            text = item.text if isinstance(item, sse.Stray) else item.data
            content = formats.read_line(text) if isinstance(item, sse.Stray) else formats.read(item)
            if content.unread:
                self._first_unread = self._first_unread or readable(text)
                self._unread += 1
            self._keep(content)
            if content.kind is not None:
                self._arrivals.append(
                    Arrival(at, len(self._sizes), piece.frame, content.kind, content.characters)
                )
                self.token_seen = self.token_seen or content.kind != "empty"

    def _keep(self, content: EventContent) -> None:
        """Keep what an event holds besides its token: the first error, the last of everything else."""
        self.end_marker_seen = self.end_marker_seen or content.done
        if content.error is not None:
            self._fields.setdefault("error", content.error)
        fields = {
            "api": content.api,
            "tokens": content.tokens,
            "metrics": content.metrics,
            "finish_reason": content.finish_reason,
            "done": content.done or None,
        }
        self._fields |= {name: value for name, value in fields.items() if value is not None}
