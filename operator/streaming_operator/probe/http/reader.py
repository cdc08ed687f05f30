"""
One thread that reads every answer that is under way, so that a hundred streams cost one interpreter's turn a token.

Where the kernel stamps received segments (Linux), a read has the time at which the segment with its last byte came
to this machine, and the request the time at which it left, so neither a busy event loop nor a busy interpreter
spoils the clock. Segments that wait while this thread is late are joined by the kernel and share the last one's
stamp, whatever the size of a read: lateness below the gap between two tokens costs nothing, beyond it the earlier
token's time is lost. How often that was is told (`Timeline.merged`), and it is why all that is there is taken
before any of it is parsed. Measurements and the way here: docs/decisions/0022.
"""

import contextlib
import functools
import logging
import selectors
import socket
import ssl
import struct
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal, Protocol

from streaming_operator.probe.http import tls
from streaming_operator.probe.http.response import Codec, Ending

log = logging.getLogger(__name__)

_SO_TIMESTAMPNS = 35
"""Linux, every architecture that Kubernetes runs on; Python's socket module does not name it."""
_SO_TIMESTAMPING = 37
_DEPARTURES = 1 << 8 | 1 << 4 | 1 << 11
"""SOF_TIMESTAMPING_TX_SCHED, _SOFTWARE, _OPT_TSONLY: when a write's last byte is passed on to the network device."""
_TIMESPEC = struct.Struct("@ll")
_STEP = 0.002
"""
Seconds by which the wall clock may drift from the monotonic one during an exchange before its stamps are
distrusted.
"""
_TCP_INFO_SIZE = 160
_DATA_SEGMENTS_IN = struct.Struct("@152xI")
"""tcpi_data_segs_in of Linux' struct tcp_info, there since 4.6."""
_READ = 64 * 1024
_TOLD = 256
"""Room for what the kernel tells of a departure."""
_TICK = 0.02
"""Seconds by which a cap may be overdrawn."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of one exchange, in seconds and bytes."""

    connect: float = 5.0
    first_token: float = 120.0
    stall: float = 75.0
    """
    Silence after the first token; above the 60 s of most proxies, so that their cut is seen and not ours.
    """
    total: float = 600.0
    size: int = 8 * 1024 * 1024


class ResponseSink(Protocol):
    """Who takes the reads; `timeline.Recorder` is the one."""

    ending: Ending | None
    token_seen: bool

    def begin(self, response: Codec) -> None:
        """What the reads are to be parsed with: the version of HTTP is known by now."""

    def read(self, at: float, data: bytes) -> None:
        """One read at so many seconds after the request's last byte; empty bytes are the peer's close."""


@dataclass(frozen=True, slots=True)
class ExchangeEnd:
    """How the exchange ended, when, and by which clock its reads were stamped."""

    ending: Ending
    at: float
    clock: Literal["kernel", "monotonic"]
    segments: int | None = None
    """TCP segments with data since the request; None where the kernel does not tell."""


@dataclass(slots=True, eq=False)
class Exchange:
    """One connection on which a request was just sent; `sent` and what follows start its clock."""

    sock: socket.socket
    session: tls.Session | None
    response: Codec
    reader: ResponseSink
    limits: Limits
    done: "Future[ExchangeEnd]"
    sent: float = 0.0
    wall_offset: float = 0.0
    segments_before: int | None = None
    last: float = 0.0
    size: int = 0
    stamped: bool = True
    unsent: bytearray = field(default_factory=bytearray)

    def ask(self, request: bytes) -> None:
        """Start the clock and send the request; raises OSError."""
        self.wall_offset = _wall_offset()
        self.segments_before = _segments(self.sock)
        stamp_departures(self.sock, True)
        # The request is one small write: its end is its beginning, and a thread that is put to sleep right
        # after it would else see an answer from before the question.
        self.sent = before = time.monotonic()
        self.sock.sendall(request)
        # Before it leaves, a thread can wait for the interpreter and for a processor. The kernel knows when it left.
        left = _departure(self.sock)
        if left is not None and before - _STEP <= left - self.wall_offset <= time.monotonic():
            self.sent = max(before, left - self.wall_offset)

    def receive(self) -> "_Read | ExchangeEnd":
        """What is there, stamped; not yet looked at."""
        try:
            raw, ancillary, _, _ = self.sock.recvmsg(_READ, socket.CMSG_SPACE(_TIMESPEC.size))
        except BlockingIOError:
            return _Read(None, None, self.now())
        except OSError:
            return self.ended(Ending.RESET, self.now())
        stamp = None
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) >= _TIMESPEC.size:
                stamp = _seconds(value)
        return _Read(raw, stamp, self.now())

    def take(self, read: "_Read") -> ExchangeEnd | None:
        """Hand a read on; how the exchange ended, once it has."""
        if read.raw is None:
            self.send(b"")  # woken for what was left to send
            return None
        # A close carries no stamp; it says nothing about the clock.
        self.stamped = self.stamped and (read.stamp is not None or not read.raw)
        at = read.now if read.stamp is None else read.stamp - self.wall_offset - self.sent
        # A stamp from before the request or from the future is a stepped wall clock.
        at = max(self.last, at) if -_STEP <= at <= read.now + _STEP else read.now
        data = read.raw
        if self.session is not None and data:
            try:
                data = self.session.unwrap(data)
            except ssl.SSLError:
                return self.ended(Ending.BROKEN, self.now())
            if not data and not self.session.closed:
                return None  # TLS bytes without application data
        self.last = at
        self.size += len(data)
        self.reader.read(at, data)
        if not data:
            return self.ended(self.reader.ending or Ending.CLOSED, at)
        if self.size > self.limits.size:
            return self.ended(Ending.TOO_LARGE, at)
        self.send(self.response.replies())
        return None if self.reader.ending is None else self.ended(self.reader.ending, at)

    def send(self, data: bytes) -> None:
        """Send what fits, keep the rest; a broken connection is the next read's to tell."""
        self.unsent += self.session.wrap(data) if self.session else data
        with contextlib.suppress(OSError):
            while self.unsent:
                del self.unsent[: self.sock.send(self.unsent)]

    def overdue(self) -> ExchangeEnd | None:
        """Which cap is used up."""
        now, limits = self.now(), self.limits
        if not self.reader.token_seen and now >= limits.first_token:
            return self.ended(Ending.SILENT, now)
        if self.reader.token_seen and now - self.last >= limits.stall:
            return self.ended(Ending.STALLED, now)
        return self.ended(Ending.TOO_LONG, now) if now >= limits.total else None

    def now(self) -> float:
        """Seconds since the request."""
        return time.monotonic() - self.sent

    def ended(self, ending: Ending, at: float) -> ExchangeEnd:
        """The end, with what can be said of the clock."""
        stepped = abs(_wall_offset() - self.wall_offset) > _STEP
        before, after = self.segments_before, _segments(self.sock)
        segments = None if before is None or after is None else after - before
        return ExchangeEnd(ending, at, "kernel" if self.stamped and not stepped else "monotonic", segments)


@dataclass(frozen=True, slots=True)
class _Read:
    """What one read brought: bytes (empty: the peer's close; None: nothing yet), the kernel's stamp, our clock."""

    raw: bytes | None
    stamp: float | None
    now: float


class ReaderThread:
    """The thread; it sleeps while there is no answer to read."""

    def __init__(self) -> None:
        self._new: deque[Exchange] = deque()
        self._lines: set[Exchange] = set()
        self._checked = 0.0
        self._selector = selectors.DefaultSelector()
        self._bell, self._heard = socket.socketpair()
        # Linux begins to stamp some milliseconds after the first socket asks for it, and ends with the last one.
        self._stamping = socket.socket()
        stamp_arrivals(self._stamping)
        self._selector.register(self._heard, selectors.EVENT_READ)
        threading.Thread(target=self._run, name="probe-listener", daemon=True).start()

    def add(self, line: Exchange) -> None:
        """Read this line to its end; `line.done` gets how it ended, and its socket is closed."""
        self._new.append(line)
        self._bell.send(b"\0")

    def _run(self) -> None:
        while True:
            try:
                self._turn()
            except Exception as error:
                log.exception("the listener failed; what it was reading is lost")
                for line in list(self._lines):
                    self._fail(line, error)

    def _turn(self) -> None:
        """Wait for bytes, new lines or the next look at the caps."""
        ready = self._selector.select(_TICK if self._lines else None)
        # First every stamp, then the parsing: what waits in the kernel meanwhile is joined.
        reads = [(key.data, key.data.receive()) for key, _ in ready if key.data is not None]
        for line, read in reads:
            self._take(line, read)
        if any(key.data is None for key, _ in ready):
            self._heard.recv(_READ)
        while self._new:
            self._welcome(self._new.popleft())
        if time.monotonic() - self._checked >= _TICK:
            self._checked = time.monotonic()
            for line in list(self._lines):
                self._finish(line, line.overdue())

    def _welcome(self, line: Exchange) -> None:
        try:
            line.sock.setblocking(False)
            self._selector.register(line.sock, selectors.EVENT_READ, line)
        except (OSError, ValueError) as error:
            line.done.set_exception(error)
            line.sock.close()
            return
        self._lines.add(line)

    def _take(self, line: Exchange, read: "_Read | ExchangeEnd") -> None:
        try:
            ended = read if isinstance(read, ExchangeEnd) else line.take(read)
            self._wait_for(line)
        except Exception as error:  # noqa: BLE001 - one answer's; whoever awaits it gets it, the others go on
            self._fail(line, error)
            return
        self._finish(line, ended)

    def _wait_for(self, line: Exchange) -> None:
        """Whether there is something left to send decides what the socket is watched for."""
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.unsent else 0)
        if self._selector.get_key(line.sock).events != wanted:
            self._selector.modify(line.sock, wanted, line)

    def _finish(self, line: Exchange, ended: ExchangeEnd | None) -> None:
        if ended is not None:
            self._drop(line)
            line.done.set_result(ended)

    def _fail(self, line: Exchange, error: Exception) -> None:
        self._drop(line)
        line.done.set_exception(error)

    def _drop(self, line: Exchange) -> None:
        self._lines.discard(line)
        with contextlib.suppress(KeyError, ValueError):  # not there any more
            self._selector.unregister(line.sock)
        line.sock.close()


def stamp_arrivals(sock: socket.socket) -> None:
    """Ask the kernel to stamp what this socket receives, where it can."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def stamp_departures(sock: socket.socket, wanted: bool) -> None:
    """Ask the kernel to stamp what this socket sends, where it can, or no longer."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _DEPARTURES if wanted else 0)


def _departure(sock: socket.socket) -> float | None:
    """Wall clock at which the last write left; None where the kernel does not tell, or not yet."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            told = sock.recvmsg(0, _TOLD, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)[1]
            stamp_departures(sock, False)
            for level, kind, value in told:
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING:
                    return _seconds(value)
    return None


def _seconds(timespec: bytes) -> float:
    seconds, nanoseconds = _TIMESPEC.unpack_from(timespec)
    return float(seconds + nanoseconds / 1e9)


def _segments(sock: socket.socket) -> int | None:
    """TCP segments with data that have come so far."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
            if len(info) >= _DATA_SEGMENTS_IN.size:
                return int(_DATA_SEGMENTS_IN.unpack_from(info)[0])
    return None


def _wall_offset() -> float:
    """Seconds from the monotonic to the wall clock; the closest of some pairs, since a thread can be put to sleep."""
    pairs = []
    for _ in range(5):
        before, wall, after = time.monotonic(), time.time(), time.monotonic()
        pairs.append((after - before, wall - (before + after) / 2))
    return min(pairs)[1]


_CALLED = threading.Lock()


def reader_thread() -> ReaderThread:
    """The only one, from the first call on."""
    with _CALLED:
        return _the_reader_thread()


SWITCH_SECONDS = 0.0005
"""
How soon the listener may ask for the interpreter. A thread that holds it for less than this interval at a time (5 ms by
default) and lets go for an instant, as a busy event loop does, is never asked: the listener was seen to wait seconds.
"""


@functools.cache
def _the_reader_thread() -> ReaderThread:
    sys.setswitchinterval(SWITCH_SECONDS)
    return ReaderThread()
