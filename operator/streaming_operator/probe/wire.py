"""
The only sockets of the probe: one new connection, one request, raw reads with the time at which they
arrived.

Every exchange has a thread of its own that blocks in `recvmsg`, so a busy event loop does not spoil the
clock; where the kernel stamps received segments (Linux), neither does a busy interpreter: the stamp is of the
segment that brought the read's last byte. Segments that wait while the thread is late are joined by the kernel and
share the last one's stamp, whatever the size of a read; how many were is told (`Timeline.merged`). TLS runs over memory
buffers, so that its records are stamped as well. No redirects, no reuse of connections, every wait and every size has
a cap.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, Protocol

from streaming_operator.api.conditions import Hop
from streaming_operator.probe import http1, http2, tls
from streaming_operator.probe.answer import Broken, Reset, Response
from streaming_operator.probe.request import CHAT_PATH, ApiKey, Request
from streaming_operator.probe.safety import Guard, forbidden, key_refused
from streaming_operator.probe.timeline import Ending, Trouble

_SO_TIMESTAMPNS = 35
"""Linux, every architecture that Kubernetes runs on; Python's socket module does not name it."""
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
_THREADS = ThreadPoolExecutor(max_workers=128, thread_name_prefix="probe")


@dataclass(frozen=True, slots=True)
class Target:
    """One place to ask. `address` is an IP, or a name that is resolved once and then pinned."""

    hop: Hop
    address: str
    port: int
    scheme: Literal["http", "https"] = "http"
    host: str = ""
    """Host header and, without its port, the server name of TLS; the address if empty."""
    path: str = CHAT_PATH
    ca: str | None = field(default=None, repr=False)
    """PEM bundle that is trusted instead of the system's roots."""
    http2: bool = False
    """HTTP/2 is wanted: offered by ALPN over TLS, taken for granted (prior knowledge) without TLS."""

    @property
    def host_header(self) -> str:
        """What the edge routes by; the port only where it is not the scheme's own."""
        if self.host:
            return self.host
        bare = f"[{self.address}]" if ":" in self.address else self.address
        return bare if self.port == {"http": 80, "https": 443}[self.scheme] else f"{bare}:{self.port}"

    @property
    def server_name(self) -> str:
        """What the certificate must be for."""
        return self.host.removeprefix("[").rpartition("]")[0] or self.host.partition(":")[0] or self.address

    def __str__(self) -> str:
        return f"{self.scheme}://{f'[{self.address}]' if ':' in self.address else self.address}:{self.port}"


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


class NoAnswer(Exception):
    """No connection, or none that could carry the request; `detail` is a clause for people."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble
        self.detail = detail


class Reader(Protocol):
    """Who takes the reads; `timeline.Recorder` is the one."""

    ending: Ending | None
    token_seen: bool

    def begin(self, response: Response) -> None:
        """What the reads are to be parsed with: the version of HTTP is known by now."""

    def read(self, at: float, data: bytes) -> None:
        """One read at so many seconds after the request's last byte; empty bytes are the peer's close."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the exchange ended, when, and by which clock its reads were stamped."""

    ending: Ending
    at: float
    clock: Literal["kernel", "monotonic"]
    segments: int | None = None
    """TCP segments with data since the request; None where the kernel does not tell."""


async def resolve(target: Target, guard: Guard, key: ApiKey | None) -> Target:
    """The target with its address judged and pinned; raises NoAnswer."""
    by_dns = not _is_ip(target.address)
    addresses = await _look_up(target) if by_dns else [target.address]
    refusals = []
    for address in addresses:
        refusal = forbidden(address, guard, by_dns=by_dns)
        # Pods and Services are named by the API server, and in an IPv6 cluster their addresses may be
        # public ones.
        if refusal is None and key is not None and target.hop is Hop.EXPOSURE and not guard.local:
            refusal = key_refused(address, target.scheme)
        if refusal is None:
            return replace(target, address=address, host=target.host_header)
        refusals.append(refusal)
    raise NoAnswer(Trouble.REFUSED_BY_US, "; ".join(refusals))


async def exchange(target: Target, request: Request, reader: Reader, limits: Limits) -> Ended:
    """
    Send the request to a pinned target and hand every read to `reader`, in the exchange's thread; raises
    NoAnswer.
    """
    talk = _Talk(target, limits)
    work = asyncio.get_running_loop().run_in_executor(_THREADS, talk.run, request, reader)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        talk.abandon()
        with contextlib.suppress(NoAnswer, OSError):
            await work
        raise


async def connect_times(target: Target, count: int, limits: Limits) -> tuple[float, ...]:
    """Seconds that TCP connects to a pinned target took; those that failed are left out."""
    return await asyncio.get_running_loop().run_in_executor(
        _THREADS, _connect_times, target, count, limits.connect
    )


def _connect_times(target: Target, count: int, patience: float) -> tuple[float, ...]:
    times = []
    for _ in range(count):
        begin = time.monotonic()
        try:
            socket.create_connection((target.address, target.port), patience).close()
        except OSError:
            break  # the exchange that follows says why
        times.append(time.monotonic() - begin)
    return tuple(times)


async def _look_up(target: Target) -> list[str]:
    loop = asyncio.get_running_loop()
    look = partial(socket.getaddrinfo, target.address, target.port, type=socket.SOCK_STREAM)
    try:
        found = await loop.run_in_executor(_THREADS, look)
    except (OSError, UnicodeError) as error:
        raise NoAnswer(Trouble.DNS, f"{target.address} has no address: {_reason(error)}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_ip(address: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, address.partition("%")[0])
            return True
    return False


class _Talk:
    """One exchange, run by one thread; `abandon` may be called from another."""

    def __init__(self, target: Target, limits: Limits) -> None:
        self._target = target
        self._limits = limits
        self._lock = threading.Lock()
        self._abandoned = False
        self._socket: socket.socket | None = None
        self._tls: tls.Session | None = None
        self._sent = 0.0
        self._wall_offset = 0.0
        self._segments_before: int | None = None

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def run(self, request: Request, reader: Reader) -> Ended:
        try:
            sock = self._connect()
        except OSError as error:
            raise NoAnswer(Trouble.CONNECT, f"{self._target}: {_reason(error)}") from error
        with sock:
            deadline = time.monotonic() + self._limits.connect
            if self._target.scheme == "https":
                self._tls = self._shake_hands(sock, deadline)
            spoken = self._tls.http2 if self._tls else self._target.http2
            response: Response = http2.Response() if spoken else http1.Response()
            try:
                self._open(sock, response, deadline)
                self._ask(sock, response.request(request, self._target.scheme))
            except OSError as error:
                raise NoAnswer(Trouble.LOST, f"{self._target}: {_reason(error)}") from error
            reader.begin(response)
            return self._listen(sock, response, reader)

    def _connect(self) -> socket.socket:
        sock = socket.create_connection((self._target.address, self._target.port), self._limits.connect)
        with self._lock:
            self._socket = sock
            if self._abandoned:
                sock.shutdown(socket.SHUT_RDWR)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        return sock

    def _shake_hands(self, sock: socket.socket, deadline: float) -> tls.Session:
        target, data, done = self._target, b"", False
        try:
            session = tls.Session(target.server_name, target.ca, http2=target.http2)
            while True:
                try:
                    done = session.shake_hands(data)
                finally:
                    sock.sendall(session.pending())  # also the alert that says why not
                if done:
                    return session
                data = _receive_before(sock, deadline)
                if not data:
                    raise ConnectionResetError("the peer closed the connection during the handshake")
        except (OSError, ValueError) as error:
            raise NoAnswer(Trouble.TLS, f"{target} as {target.server_name}: {_reason(error)}") from error

    def _open(self, sock: socket.socket, response: Response, deadline: float) -> None:
        """What the version of HTTP wants to have said before the request."""
        self._send(sock, response.opening())
        data = b""  # the handshake's last read may hold the first frames already
        while not response.ready:
            plain = self._tls.unwrap(data) if self._tls else data
            for part in response.feed(plain):
                if isinstance(part, Broken | Reset):
                    raise NoAnswer(Trouble.LOST, f"{self._target}: no HTTP/2 there: {part.why}")
            self._send(sock, response.replies())
            if not response.ready:
                data = _receive_before(sock, deadline)
                if not data:
                    raise ConnectionResetError("the peer closed the connection before the request")

    def _ask(self, sock: socket.socket, request: bytes) -> None:
        """Start the clock and send the request."""
        data = self._tls.wrap(request) if self._tls else request
        sock.settimeout(self._limits.connect)
        self._wall_offset = _wall_offset()
        self._segments_before = _segments(sock)
        # The request is one small write: its end is its beginning, and a thread that is put to sleep right
        # after it would else see an answer from before the question.
        self._sent = time.monotonic()
        sock.sendall(data)

    def _send(self, sock: socket.socket, data: bytes) -> None:
        wrapped = self._tls.wrap(data) if self._tls else data
        if wrapped:
            sock.settimeout(self._limits.connect)
            sock.sendall(wrapped)

    def _listen(self, sock: socket.socket, response: Response, reader: Reader) -> Ended:
        last = 0.0
        size = 0
        stamped = True
        while reader.ending is None:
            patience, ending = self._patience(reader, last)
            sock.settimeout(max(patience, 0.001))
            try:
                data, stamp = self._receive(sock)
            except TimeoutError:
                return self._ended(sock, ending, self._now(), stamped)
            except ssl.SSLError:
                return self._ended(sock, Ending.BROKEN, self._now(), stamped)
            except OSError:
                return self._ended(sock, Ending.RESET, self._now(), stamped)
            now = self._now()
            # A close carries no stamp; it says nothing about the clock.
            stamped = stamped and (stamp is not None or data == b"")
            at = now if stamp is None else stamp - self._wall_offset - self._sent
            if data is None:
                continue  # TLS bytes without application data
            # A stamp from before the request or from the future is a stepped wall clock.
            last = max(last, at) if -_STEP <= at <= now + _STEP else now
            reader.read(last, data)
            size += len(data)
            if not data:
                return self._ended(sock, reader.ending or Ending.CLOSED, last, stamped)
            if size > self._limits.size:
                return self._ended(sock, Ending.TOO_LARGE, last, stamped)
            with contextlib.suppress(OSError):  # the next read says how it ended
                self._send(sock, response.replies())
        return self._ended(sock, reader.ending, last, stamped)

    def _now(self) -> float:
        return time.monotonic() - self._sent

    def _patience(self, reader: Reader, last: float) -> tuple[float, Ending]:
        now = time.monotonic() - self._sent
        total = self._limits.total - now
        if not reader.token_seen:
            return min((self._limits.first_token - now, Ending.SILENT), (total, Ending.TOO_LONG), key=_first)
        return min((self._limits.stall - (now - last), Ending.STALLED), (total, Ending.TOO_LONG), key=_first)

    def _receive(self, sock: socket.socket) -> tuple[bytes | None, float | None]:
        raw, ancillary, _, _ = sock.recvmsg(_READ, socket.CMSG_SPACE(_TIMESPEC.size))
        stamp = None
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) >= _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack(value[: _TIMESPEC.size])
                stamp = seconds + nanoseconds / 1e9
        if self._tls is None or not raw:
            return raw, stamp
        plain = self._tls.unwrap(raw)
        return (plain or (b"" if self._tls.closed else None)), stamp

    def _ended(self, sock: socket.socket, ending: Ending, at: float, stamped: bool) -> Ended:
        stepped = abs(_wall_offset() - self._wall_offset) > _STEP
        before, after = self._segments_before, _segments(sock)
        segments = None if before is None or after is None else after - before
        return Ended(ending, at, "kernel" if stamped and not stepped else "monotonic", segments)


def _receive_before(sock: socket.socket, deadline: float) -> bytes:
    sock.settimeout(max(deadline - time.monotonic(), 0.001))
    return sock.recv(_READ)


def _segments(sock: socket.socket) -> int | None:
    """TCP segments with data that have come so far."""
    if sys.platform != "linux":
        return None
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


def _first(choice: tuple[float, Ending]) -> float:
    return choice[0]


def _reason(error: BaseException) -> str:
    """The cause in words, without the interpreter's decoration."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS session: {(error.reason or 'protocol error').replace('_', ' ').lower()}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return (error.strerror or str(error) or type(error).__name__).lower()
    return str(error) or type(error).__name__
