"""
Takes the reads of one raw HTTP response in order and makes a `Timeline` of them. Pure.

What the numbers mean is told by `timeline`; how an event of each API is read, by `formats`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from streaming_operator.probe.http import http1
from streaming_operator.probe.http.response import Broken, Codec, End, Ending, Head, Piece, Reset
from streaming_operator.probe.stream import formats, sse
from streaming_operator.probe.stream.formats import EventContent
from streaming_operator.probe.stream.timeline import Arrival, Timeline

BODY_KEPT = 16 * 1024
"""Bytes kept of a body that is no event stream: enough to tell a proxy's page from the engine's JSON."""


@dataclass(slots=True)
class Recorder:
    """Takes the reads of one answer in order; `ending` and `token_seen` steer the reader."""

    heard: Callable[[float, int], None] | None = None
    """Told of each read, in the reader's thread: seconds since the request, raw bytes. Must return at once."""
    ending: Ending | None = None
    """How the answer ended, once it has."""
    token_seen: bool = False
    _response: Codec = field(default_factory=http1.Http1Codec)
    _parser: sse.Parser = field(default_factory=sse.Parser)
    _found: dict[str, Any] = field(default_factory=dict)
    _arrivals: list[Arrival] = field(default_factory=list)
    _sizes: list[tuple[float, int]] = field(default_factory=list)
    _body: bytearray = field(default_factory=bytearray)
    _streaming: bool = False
    _comments: int = 0
    _frames: int = 0
    _ended_at: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether the message ended by its own framing."""
        return self.ending is Ending.COMPLETE

    def begin(self, response: Codec) -> None:
        """What the answer will be read with; HTTP/1.1 if never called."""
        self._response = response

    def read(self, at: float, data: bytes) -> None:
        """One read: its arrival and all its bytes, framing included. Empty bytes are the peer's close."""
        if data:
            self._sizes.append((at, len(data)))
            if self.heard is not None:
                self.heard(at, len(data))
        for part in self._response.feed(data):
            match part:
                case Piece():
                    self._take(at, part)
                case Head():
                    self._found |= {"head": part, "head_at": at}
                    self._streaming = part.is_event_stream
                case End():
                    self._end(Ending.COMPLETE, at)
                case Reset():
                    self._found["reset"] = part.why
                    self._end(Ending.RESET, at)
                case Broken():
                    self._found["broken"] = part.why
                    if (
                        data
                    ):  # nothing that follows can be read; a close in the middle is the reader's to tell
                        self._end(Ending.BROKEN, at)

    def timeline(self, ending: Ending, ended_at: float, clock: str, segments: int | None = None) -> Timeline:
        """The measured answer; `ended_at` counts where the message did not end by itself."""
        if not self._found.get("done") and (self._parser.unfinished() or "").strip() == formats.DONE:
            self._found["done"] = True
        head = self._found.get("head")
        return Timeline(
            ending=self.ending or ending,
            ended_at=ended_at if self.ending is None else self._ended_at,
            clock=clock,
            arrivals=tuple(self._arrivals),
            comments=self._comments,
            body=self._body.decode("utf-8", "replace"),
            sizes=tuple(self._sizes),
            http_version=head.version if head else self._response.version,
            frames=self._frames,
            segments=segments,
            **self._found,
        )

    def _end(self, ending: Ending, at: float) -> None:
        self.ending, self._ended_at = ending, at

    def _take(self, at: float, piece: Piece) -> None:
        self._frames = piece.frame
        if not self._streaming:
            self._body += piece.data[: BODY_KEPT - len(self._body)]
            return
        for item in self._parser.feed(piece.data):
            if isinstance(item, sse.Comment):
                self._comments += 1
                continue
            said = formats.read(item)
            self._note(said)
            if said.kind is not None:
                self._arrivals.append(Arrival(at, len(self._sizes), piece.frame, said.kind))
                self.token_seen = True

    def _note(self, said: EventContent) -> None:
        """What an event tells besides its token; of an error the first counts, of all else the last."""
        if said.error is not None:
            self._found.setdefault("error", said.error)
        told = {
            "api": said.api,
            "tokens": said.tokens,
            "metrics": said.metrics,
            "finish_reason": said.finish_reason,
            "done": said.done or None,
        }
        self._found |= {name: value for name, value in told.items() if value is not None}
