"""
The one thread that reads every response, so that a hundred streams cost one turn of the interpreter a token.

Where the kernel stamps segments (Linux), a read has the time at which the segment with its last byte arrived at this
machine, and the request the time at which it left, so neither a busy event loop nor a busy interpreter spoils the
clock. Segments that wait while this thread is late are joined by the kernel and share the last one's stamp, whatever
the size of a read: lateness below the gap between two tokens costs nothing, beyond it the earlier token's time is
lost. How often that happened is in `Timeline.merged`, and it is why every socket is read before any of the bytes are
parsed. Measurements: docs/decisions/0022.
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
_ANCILLARY = 256
"""Bytes for the control messages of one entry of the error queue."""
_TICK = 0.02
"""Seconds by which a limit may be exceeded."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one exchange, in seconds and bytes."""

    connect: float = 5.0
    first_token: float = 120.0
    stall: float = 75.0
    """
    Silence after the first token; above the 60 s of most proxies, so that a proxy's timeout is observed and not ours.
    """
    total: float = 600.0
    left_open: float = 2.0
    """Wait for the end of the message after the format's own end marker; Envoy closes a second later."""
    size: int = 8 * 1024 * 1024


class ResponseSink(Protocol):
    """Receives the reads of one response; `recorder.Recorder` is the main one."""

    ending: Ending | None
    token_seen: bool
    end_marker_seen: bool

    def begin(self, codec: Codec) -> None:
        """Set what the reads are parsed with: the version of HTTP is known by now."""

    def read(self, at: float, data: bytes) -> None:
        """Take one read, *at* seconds after the request's last byte; empty bytes are the peer's close."""


@dataclass(frozen=True, slots=True)
class ExchangeEnd:
    """How the exchange ended, when, and which clock stamped its reads."""

    ending: Ending
    at: float
    clock: Literal["kernel", "monotonic"]
    segments: int | None = None
    """TCP segments with data since the request; None where the kernel does not count them."""


@dataclass(slots=True, eq=False)
class Exchange:
    """One request on its connection, and the state of reading its response."""

    sock: socket.socket
    session: tls.Session | None
    codec: Codec
    sink: ResponseSink
    limits: Limits
    done: "Future[ExchangeEnd]"
    sent: float = 0.0
    """Monotonic time at which the request left."""
    wall_offset: float = 0.0
    segments_before: int | None = None
    last: float = 0.0
    size: int = 0
    stamped: bool = True
    unsent: bytearray = field(default_factory=bytearray)

    def ask(self, request: bytes) -> None:
        """Start the clock, send the request and make the socket non-blocking; raises OSError."""
        self.wall_offset = _wall_offset()
        self.segments_before = _segments(self.sock)
        stamp_departures(self.sock, True)
        # The request is one small write: its end is its beginning, and a thread that is suspended right after it
        # could record a response that predates its request.
        self.sent = time.monotonic()
        self.sock.sendall(request)
        # Python waits until a socket with a timeout is readable before it calls recvmsg, also for the error queue:
        # without a stamp it would wait for the first bytes of the response, or for all of it.
        self.sock.setblocking(False)
        self._correct_departure()

    def receive(self) -> "_Read | ExchangeEnd":
        """Read what is there, stamped but not yet parsed."""
        if self.size == 0:
            self._correct_departure()
        try:
            raw, ancillary, _, _ = self.sock.recvmsg(_READ, socket.CMSG_SPACE(_TIMESPEC.size))
        except BlockingIOError:
            # An entry of the error queue makes a socket readable until it is taken out.
            self._correct_departure()
            return _Read(None, None, self.now())
        except OSError:
            return self.ended(Ending.RESET, self.now())
        stamp = None
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) >= _TIMESPEC.size:
                stamp = _seconds(value)
        return _Read(raw, stamp, self.now())

    def take(self, read: "_Read") -> ExchangeEnd | None:
        """Parse a read; how the exchange ended, once it has."""
        if read.raw is None:
            self.send(b"")  # the socket has become writable, and something is left to send
            return None
        # A close carries no stamp; it says nothing about the clock.
        self.stamped = self.stamped and (read.stamp is not None or not read.raw)
        at = read.now if read.stamp is None else read.stamp - self.wall_offset - self.sent
        # A stamp from before the request or from the future means that the wall clock was set.
        at = max(self.last, at) if -_STEP <= at <= read.now + _STEP else read.now
        data = read.raw
        if self.session is not None and data:
            try:
                data = self.session.unwrap(data)
            except ssl.SSLError:
                return self.ended(Ending.BROKEN, self.now())
            if not data and not self.session.closed:
                return None  # TLS records without application data
        self.last = at
        self.size += len(data)
        self.sink.read(at, data)
        if not data:
            return self.ended(self.sink.ending or Ending.CLOSED, at)
        if self.size > self.limits.size:
            return self.ended(Ending.TOO_LARGE, at)
        self.send(self.codec.replies())
        return None if self.sink.ending is None else self.ended(self.sink.ending, at)

    def send(self, data: bytes) -> None:
        """Send what fits, keep the rest; a broken connection is reported by the next read."""
        self.unsent += self.session.wrap(data) if self.session else data
        with contextlib.suppress(OSError):
            while self.unsent:
                del self.unsent[: self.sock.send(self.unsent)]

    def overdue(self) -> ExchangeEnd | None:
        """How the exchange ended, if one of its time limits has passed."""
        now, limits = self.now(), self.limits
        if not self.sink.token_seen and now >= limits.first_token:
            return self.ended(Ending.SILENT, now)
        if self.sink.end_marker_seen and now - self.last >= limits.left_open:
            return self.ended(Ending.LEFT_OPEN, now)
        if self.sink.token_seen and now - self.last >= limits.stall:
            return self.ended(Ending.STALLED, now)
        return self.ended(Ending.TOO_LONG, now) if now >= limits.total else None

    def now(self) -> float:
        """Seconds since the request."""
        return time.monotonic() - self.sent

    def ended(self, ending: Ending, at: float) -> ExchangeEnd:
        """The end of the exchange, with the clock that its times can be trusted to have."""
        stepped = abs(_wall_offset() - self.wall_offset) > _STEP
        before, after = self.segments_before, _segments(self.sock)
        segments = None if before is None or after is None else after - before
        return ExchangeEnd(ending, at, "kernel" if self.stamped and not stepped else "monotonic", segments)

    def _correct_departure(self) -> None:
        """
        Move the start of the clock to the time at which the kernel says that the request left.

        Before it left, this thread may have waited for the interpreter and for a processor. A stamp that comes after
        the first read is taken out of the queue and ignored.
        """
        stamp = _departure(self.sock)
        if stamp is not None and self.size == 0:
            left = stamp - self.wall_offset
            if self.sent - _STEP <= left <= time.monotonic():
                self.sent = max(self.sent, left)


@dataclass(frozen=True, slots=True)
class _Read:
    """One read: its bytes (empty: the peer's close; None: nothing yet), the kernel's stamp, our clock."""

    raw: bytes | None
    stamp: float | None
    now: float


class ReaderThread:
    """The thread; it sleeps while no exchange is open."""

    def __init__(self) -> None:
        self._new: deque[Exchange] = deque()
        self._open: set[Exchange] = set()
        self._limits_checked = 0.0
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakeups = socket.socketpair()
        # Linux begins to stamp some milliseconds after the first socket asks for it, and ends with the last one.
        self._stamping = socket.socket()
        stamp_arrivals(self._stamping)
        self._selector.register(self._wakeups, selectors.EVENT_READ)
        threading.Thread(target=self._run, name="probe-reader", daemon=True).start()

    def add(self, exchange: Exchange) -> None:
        """Read this response to its end; `exchange.done` gets how it ended, and its socket is closed."""
        self._new.append(exchange)
        self._waker.send(b"\0")

    def _run(self) -> None:
        while True:
            try:
                self._turn()
            except Exception as error:
                log.exception("the reader thread failed; the responses it was reading are lost")
                for exchange in list(self._open):
                    self._fail(exchange, error)

    def _turn(self) -> None:
        """Wait for bytes, for new exchanges or for the next check of the limits."""
        ready = self._selector.select(_TICK if self._open else None)
        # First every read with its stamp, then the parsing: what waits in the kernel meanwhile is joined.
        reads = [(key.data, key.data.receive()) for key, _ in ready if key.data is not None]
        for exchange, read in reads:
            self._take(exchange, read)
        if any(key.data is None for key, _ in ready):
            self._wakeups.recv(_READ)
        while self._new:
            self._register(self._new.popleft())
        if time.monotonic() - self._limits_checked >= _TICK:
            self._limits_checked = time.monotonic()
            for exchange in list(self._open):
                self._finish(exchange, exchange.overdue())

    def _register(self, exchange: Exchange) -> None:
        try:
            self._selector.register(exchange.sock, selectors.EVENT_READ, exchange)
        except (OSError, ValueError) as error:
            exchange.done.set_exception(error)
            exchange.sock.close()
            return
        self._open.add(exchange)

    def _take(self, exchange: Exchange, read: "_Read | ExchangeEnd") -> None:
        try:
            end = read if isinstance(read, ExchangeEnd) else exchange.take(read)
            self._select_events(exchange)
        except Exception as error:  # noqa: BLE001 - it belongs to one exchange: whoever awaits that gets it
            self._fail(exchange, error)
            return
        self._finish(exchange, end)

    def _select_events(self, exchange: Exchange) -> None:
        """Wait for the socket to become writable only while something is left to send."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if exchange.unsent else 0)
        if self._selector.get_key(exchange.sock).events != events:
            self._selector.modify(exchange.sock, events, exchange)

    def _finish(self, exchange: Exchange, end: ExchangeEnd | None) -> None:
        if end is not None:
            self._close(exchange)
            exchange.done.set_result(end)

    def _fail(self, exchange: Exchange, error: Exception) -> None:
        self._close(exchange)
        exchange.done.set_exception(error)

    def _close(self, exchange: Exchange) -> None:
        self._open.discard(exchange)
        with contextlib.suppress(KeyError, ValueError):  # not registered any more
            self._selector.unregister(exchange.sock)
        exchange.sock.close()


def stamp_arrivals(sock: socket.socket) -> None:
    """Ask the kernel to stamp what this socket receives, where it can."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def stamp_departures(sock: socket.socket, wanted: bool) -> None:
    """Ask the kernel to stamp what this socket sends, where it can, or to stop doing so."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _DEPARTURES if wanted else 0)


def _departure(sock: socket.socket) -> float | None:
    """
    Wall clock at which the last write left, taken out of the error queue of a non-blocking socket; None where the
    kernel has no stamp, or none yet.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            ancillary = sock.recvmsg(0, _ANCILLARY, socket.MSG_ERRQUEUE)[1]
            stamp_departures(sock, False)
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING:
                    return _seconds(value)
    return None


def _seconds(timespec: bytes) -> float:
    seconds, nanoseconds = _TIMESPEC.unpack_from(timespec)
    return float(seconds + nanoseconds / 1e9)


def _segments(sock: socket.socket) -> int | None:
    """TCP segments with data received so far."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
            if len(info) >= _DATA_SEGMENTS_IN.size:
                return int(_DATA_SEGMENTS_IN.unpack_from(info)[0])
    return None


def _wall_offset() -> float:
    """Seconds from the monotonic to the wall clock; the closest of some pairs, since a thread can be suspended."""
    pairs = []
    for _ in range(5):
        before, wall, after = time.monotonic(), time.time(), time.monotonic()
        pairs.append((after - before, wall - (before + after) / 2))
    return min(pairs)[1]


_STARTING = threading.Lock()


def reader_thread() -> ReaderThread:
    """The only one, started by the first call."""
    with _STARTING:
        return _started_thread()


SWITCH_SECONDS = 0.0005
"""
Switch interval of the interpreter while the thread exists. A thread that holds the GIL for less than this at a time
(5 ms by default) and releases it for an instant, as a busy event loop does, is never asked to release it: the reader
thread was observed to wait for seconds.
"""


@functools.cache
def _started_thread() -> ReaderThread:
    sys.setswitchinterval(SWITCH_SECONDS)
    return ReaderThread()
