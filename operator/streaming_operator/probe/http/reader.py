"""
The one thread that reads every response, so that a hundred streams cost one turn of the interpreter a token.

Where the kernel stamps segments (Linux), a read has the time at which the segment with its last byte arrived at this
machine, and the request the time at which it left, so neither a busy event loop nor a busy interpreter spoils the
clock. Segments that wait while this thread is late are joined by the kernel and share the last one's stamp, whatever
the size of a read: lateness below the gap between two tokens costs nothing, beyond it the earlier token's time is
lost. How often that happened is in `Timeline.merged`, and it is why every socket is read before any of the bytes are
parsed. Measurements: docs/decisions/0022.

Parsing has turns: a read that takes longer than `FIRST_TURN` is parsed further in turns with the others of its kind,
between which every socket is looked at; its own is not read meanwhile. So a peer whose bytes take long to parse delays
only itself, and each sink gets how late this thread may have come to a read.
"""

import contextlib
import functools
import logging
import selectors
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from streaming_operator.probe.http import stamps, tls
from streaming_operator.probe.http.response import Codec, Ending, Validity

log = logging.getLogger(__name__)

_STEP = 0.002
"""
Seconds by which the wall clock may drift from the monotonic one during an exchange before its stamps are
distrusted.
"""
_READ = 64 * 1024
_TICK = 0.02
"""Seconds by which a limit may be exceeded."""
FIRST_TURN = 0.001
"""Seconds for which a read is parsed at once; a token takes a tenth of this."""
TURN = 0.002
"""Seconds for which the longer work is parsed before every socket is looked at again."""
LATE = 2 * _TICK
"""Seconds between two looks at a connection from which on the second one is late: twice those of an idle thread."""
UNSENT = 64 * 1024
"""Bytes that wait to be sent, such as acknowledgements to a peer that does not read them."""


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
    size: int = 4 * 1024 * 1024


class ResponseSink(Protocol):
    """Receives the reads of one response; `recorder.Recorder` is the main one."""

    ending: Ending | None
    token_seen: bool
    end_marker_seen: bool

    def begin(self, codec: Codec) -> None:
        """Set what the reads are parsed with: the version of HTTP is known by now."""

    def steps(self, at: float, data: bytes, late: float = 0.0) -> Iterator[None]:
        """
        Take one read, *at* seconds after the request's last byte, in bounded pieces of work, one each time that the
        iterator is advanced; empty bytes are the peer's close. All but its last segment may have come up to *late*
        seconds earlier, since the thread did not look at the connection meanwhile; 0 while it was in time.
        """


@dataclass(frozen=True, slots=True)
class ExchangeEnd:
    """How the exchange ended, when, and which clock stamped its reads."""

    ending: Ending
    at: float
    clock: Literal["kernel", "monotonic"]
    segments: int | None = None
    """TCP segments with data since the request; None where the kernel does not count them."""
    alert: str = ""
    """With what the peer, or our side, ended the TLS session; empty if nothing did."""
    certificate: Validity | None = None
    """Of the peer's certificate; None without TLS, or where it was not checked."""


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
    """Seconds from the request to the arrival of the last read."""
    read_at: float = 0.0
    """Seconds from the request to the moment at which this thread took it: later, by as much as the thread was."""
    size: int = 0
    closed: bool = False
    stamped: bool = True
    unsent: bytearray = field(default_factory=bytearray)
    work: Iterator[None] | None = None
    """What is left of parsing the last read; the socket is not read before it is done."""
    is_long: bool = False
    """Whether a read took longer to parse than a first turn."""
    looked_at: float = 0.0
    """Monotonic time at which the socket was last seen without unread bytes."""

    def ask(self, request: bytes) -> None:
        """Start the clock, send the request and make the socket non-blocking; raises OSError."""
        self.wall_offset = stamps.wall_offset()
        self.segments_before = stamps.segments_of(self.sock)
        stamps.stamp_departures(self.sock, True)
        # The request is one small write: its end is its beginning, and a thread that is suspended right after it
        # could record a response that predates its request.
        self.sent = time.monotonic()
        self.sock.sendall(request)
        self.looked_at = self.sent
        # Python waits until a socket with a timeout is readable before it calls recvmsg, also for the error queue:
        # without a stamp it would wait for the first bytes of the response, or for all of it.
        self.sock.setblocking(False)
        self._correct_departure()

    def receive(self) -> "_Read | ExchangeEnd":
        """Read what is there, stamped but not yet parsed."""
        if self.size == 0:
            self._correct_departure()
        try:
            raw, stamp = stamps.receive(self.sock, _READ)
        except BlockingIOError:
            # An entry of the error queue makes a socket readable until it is taken out.
            self._correct_departure()
            return _Read(None, None, self.now(), 0.0)
        except OSError:
            return self.ended(Ending.RESET, self.now())
        late = time.monotonic() - self.looked_at
        return _Read(raw, stamp, self.now(), late if late >= LATE else 0.0)

    def take(self, read: "_Read") -> ExchangeEnd | None:
        """Begin to parse a read, which `parse` goes on with; how the exchange ended, if it has."""
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
            except ssl.SSLError as error:
                return replace(self.ended(Ending.BROKEN, self.now()), alert=tls.words_of(error))
            if not data and not self.session.closed:
                return None  # TLS records without application data
        self.last, self.read_at = at, read.now
        self.size += len(data)
        self.work = self.sink.steps(at, data, read.late)
        self.closed = not data
        return None

    def parse(self, seconds: float) -> ExchangeEnd | None:
        """Parse for at most so long, or until the read is parsed; how the exchange ended, once it has."""
        until = time.monotonic() + seconds
        for _ in self.work or ():
            if time.monotonic() >= until:
                self.is_long = True
                return None
        self.work = None
        if self.sink.ending is not None:
            return self.ended(self.sink.ending, self.last)
        if self.closed:
            return self.ended(Ending.CLOSED, self.last)
        self.send(self.codec.replies())
        if self.size > self.limits.size or len(self.unsent) > UNSENT:
            return self.ended(Ending.TOO_LARGE, self.last)
        return None

    def send(self, data: bytes) -> None:
        """Send what fits, keep the rest; a broken connection is reported by the next read."""
        self.unsent += self.session.wrap(data) if self.session else data
        with contextlib.suppress(OSError):
            while self.unsent:
                del self.unsent[: self.sock.send(self.unsent)]

    def overdue(self) -> ExchangeEnd | None:
        """
        How the exchange ended, if one of its time limits has passed.

        The peer is silent only while this thread looks and finds nothing: what waits to be read or parsed has come.
        """
        now, limits = self.now(), self.limits
        silence = self.looked_at - self.sent - self.read_at
        if not self.sink.token_seen and self.work is None and now >= limits.first_token:
            return self.ended(Ending.SILENT, now)
        if self.sink.end_marker_seen and silence >= limits.left_open:
            return self.ended(Ending.LEFT_OPEN, now)
        if self.sink.token_seen and silence >= limits.stall:
            return self.ended(Ending.STALLED, now)
        return self.ended(Ending.TOO_LONG, now) if now >= limits.total else None

    def now(self) -> float:
        """Seconds since the request."""
        return time.monotonic() - self.sent

    def ended(self, ending: Ending, at: float) -> ExchangeEnd:
        """The end of the exchange, with the clock that its times can be trusted to have."""
        stepped = abs(stamps.wall_offset() - self.wall_offset) > _STEP
        before, after = self.segments_before, stamps.segments_of(self.sock)
        segments = None if before is None or after is None else after - before
        clock: Literal["kernel", "monotonic"] = "kernel" if self.stamped and not stepped else "monotonic"
        certificate = self.session.validity if self.session else None
        return ExchangeEnd(ending, at, clock, segments, certificate=certificate)

    def _correct_departure(self) -> None:
        """
        Move the start of the clock to the time at which the kernel says that the request left.

        Before it left, this thread may have waited for the interpreter and for a processor. A stamp that comes after
        the first read is taken out of the queue and ignored.
        """
        stamp = stamps.departure(self.sock)
        if stamp is not None and self.size == 0:
            left = stamp - self.wall_offset
            if self.sent - _STEP <= left <= time.monotonic():
                self.sent = max(self.sent, left)


@dataclass(frozen=True, slots=True)
class _Read:
    """One read: its bytes (empty: the peer's close; None: nothing yet), the kernel's stamp, our clock, its lateness."""

    raw: bytes | None
    stamp: float | None
    now: float
    late: float


class ReaderThread:
    """The thread; it sleeps while no exchange is open."""

    def __init__(self) -> None:
        self._new: deque[Exchange] = deque()
        self._open: set[Exchange] = set()
        self._limits_checked = 0.0
        self._long: deque[Exchange] = deque()
        """Whose reads are being parsed in turns."""
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakeups = socket.socketpair()
        # Linux begins to stamp some milliseconds after the first socket asks for it, and ends with the last one.
        self._stamping = socket.socket()
        stamps.stamp_arrivals(self._stamping)
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
        ready = self._selector.select(0 if self._long else _TICK if self._open else None)
        now = time.monotonic()
        readable = [key.data for key, _ in ready if key.data is not None and key.data.work is None]
        # First every read with its stamp, then the parsing: what waits in the kernel meanwhile is joined.
        reads = [(exchange, exchange.receive()) for exchange in readable]
        for exchange in self._open:
            if exchange.work is None:
                exchange.looked_at = now
        for exchange, read in reads:
            self._take(exchange, read)
        self._parse_long()
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

    def _parse_long(self) -> None:
        """Go on with the longer work, whose turn it is first, until it is time to look at the sockets."""
        until = time.monotonic() + TURN
        while self._long and (left := until - time.monotonic()) > 0:
            self._parse(self._long.popleft(), min(left, FIRST_TURN))

    def _take(self, exchange: Exchange, read: "_Read | ExchangeEnd") -> None:
        try:
            end = read if isinstance(read, ExchangeEnd) else exchange.take(read)
        except Exception as error:  # noqa: BLE001 - it belongs to one exchange: whoever awaits that gets it
            self._fail(exchange, error)
            return
        if end is not None:
            self._finish(exchange, end)
        elif exchange.work is not None and exchange.is_long:
            self._long.append(exchange)
        else:
            self._parse(exchange, FIRST_TURN)

    def _parse(self, exchange: Exchange, seconds: float) -> None:
        if exchange not in self._open:
            return  # a time limit ended it meanwhile
        try:
            end = exchange.parse(seconds) if exchange.work is not None else None
            self._select_events(exchange)
        except Exception as error:  # noqa: BLE001 - it belongs to one exchange: whoever awaits that gets it
            self._fail(exchange, error)
            return
        if exchange.work is not None:
            self._long.append(exchange)
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
