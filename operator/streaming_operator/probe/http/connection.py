"""
The way to an answer: one address, one new connection, one request; `listening` reads what comes back.

Connecting and TLS happen in a pool of threads, before any clock starts. TLS runs over memory buffers, so that the
kernel stamps its records as well. No redirects, no reuse of connections, every wait and every size has a cap.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from streaming_operator.api.reasons import Hop
from streaming_operator.probe.http import http1, http2, tls
from streaming_operator.probe.http.guard import Guard, forbidden, key_refused
from streaming_operator.probe.http.reader import (
    Exchange,
    ExchangeEnd,
    Limits,
    ReaderThread,
    ResponseSink,
    reader_thread,
    stamp_arrivals,
)
from streaming_operator.probe.http.request import CHAT_PATH, ApiKey, Request
from streaming_operator.probe.http.response import Broken, Codec, NoResponse, Reset

__all__ = [
    "ExchangeEnd",
    "Limits",
    "NoResponseError",
    "ResponseSink",
    "Target",
    "connect_times",
    "exchange",
    "resolve",
]

_READ = 64 * 1024
_TURN = threading.Lock()
"""Held by the one of the pool that computes: a hundred that want the interpreter would keep the listener from it."""
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
    """PEM bundle that is trusted instead of the system's roots; at the public URL beside them."""
    http2: bool = False
    """HTTP/2 is wanted: offered by ALPN over TLS, taken for granted (prior knowledge) without TLS."""
    named_by_cluster: bool = False
    """The API server or the administrator named the address, not the resource's author."""

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


class NoResponseError(Exception):
    """No connection, or none that could carry the request; `detail` is a clause for people."""

    def __init__(self, cause: NoResponse, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


async def resolve(target: Target, guard: Guard, key: ApiKey | None) -> Target:
    """The target with its address judged and pinned; raises NoResponseError."""
    is_name = not _is_ip(target.address)
    by_dns = is_name and not target.named_by_cluster
    addresses = await _look_up(target.address, target.port) if is_name else [target.address]
    if by_dns:
        guard = await _with_names(guard)
    refusals = []
    for address in addresses:
        refusal = forbidden(address, guard, by_dns=by_dns)
        # Pods and Services are named by the API server, and in an IPv6 cluster their addresses may be
        # public ones.
        if (
            refusal is None
            and key is not None
            and target.hop in (Hop.EXPOSURE, Hop.PUBLIC)
            and not guard.local
        ):
            refusal = key_refused(address, target.scheme)
        if refusal is None:
            return replace(target, address=address, host=target.host_header)
        refusals.append(refusal)
    raise NoResponseError(NoResponse.REFUSED_BY_US, "; ".join(refusals))


async def exchange(target: Target, request: Request, reader: ResponseSink, limits: Limits) -> ExchangeEnd:
    """
    Send the request to a pinned target and hand every read to `reader`, in the listener's thread; raises
    NoResponseError.
    """
    talk = _Dial(target, limits, reader_thread())
    done: Future[ExchangeEnd] = Future()
    done.set_running_or_notify_cancel()  # from here on only its end ends it
    _THREADS.submit(talk.run, request, reader, done)
    work = asyncio.wrap_future(done)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        talk.abandon()
        with contextlib.suppress(NoResponseError, OSError):
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


async def _with_names(guard: Guard) -> Guard:
    """The guard with its names as addresses; a name that has none hides nothing."""
    refused = guard.refused
    for name in guard.refused_names:
        with contextlib.suppress(NoResponseError):
            refused += tuple(await _look_up(name, 443))
    return replace(guard, refused=refused)


async def _look_up(name: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    look = partial(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM)
    try:
        found = await loop.run_in_executor(_THREADS, look)
    except (OSError, UnicodeError) as error:
        raise NoResponseError(NoResponse.DNS, f"{name} has no address: {_reason(error)}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_ip(address: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, address.partition("%")[0])
            return True
    return False


class _Dial:
    """One exchange up to its request, run by one thread; `abandon` may be called from another."""

    def __init__(self, target: Target, limits: Limits, listener: ReaderThread) -> None:
        self._target = target
        self._limits = limits
        self._listener = listener
        self._lock = threading.Lock()
        self._abandoned = False
        self._socket: socket.socket | None = None
        self._tls: tls.Session | None = None

    def abandon(self) -> None:
        """End it: whoever waits for bytes sees a close."""
        with self._lock:
            self._abandoned = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def run(self, request: Request, reader: ResponseSink, done: "Future[ExchangeEnd]") -> None:
        """Connect, ask and leave the rest to the listener; `done` gets how it ended, or NoResponseError."""
        try:
            line = self._asked(request, reader, done)
        except Exception as error:  # noqa: BLE001 - the one who awaits `done` gets it
            if self._socket is not None:
                self._socket.close()
            done.set_exception(error)
            return
        self._listener.add(line)

    def _asked(self, request: Request, reader: ResponseSink, done: "Future[ExchangeEnd]") -> Exchange:
        try:
            sock = self._connect()
        except OSError as error:
            raise NoResponseError(NoResponse.CONNECT, f"{self._target}: {_reason(error)}") from error
        deadline = time.monotonic() + self._limits.connect
        with _TURN:
            if self._target.scheme == "https":
                self._tls = self._shake_hands(sock, deadline)
            spoken = self._tls.http2 if self._tls else self._target.http2
            response: Codec = http2.Http2Codec() if spoken else http1.Http1Codec()
            reader.begin(response)
            line = Exchange(sock, self._tls, response, reader, self._limits, done)
            try:
                self._open(sock, response, deadline)
            except OSError as error:
                raise NoResponseError(NoResponse.LOST, f"{self._target}: {_reason(error)}") from error
            asked = response.request(request, self._target.scheme)
            data = self._tls.wrap(asked) if self._tls else asked
        try:
            sock.settimeout(self._limits.connect)
            line.ask(data)
        except OSError as error:
            raise NoResponseError(NoResponse.LOST, f"{self._target}: {_reason(error)}") from error
        return line

    def _connect(self) -> socket.socket:
        sock = socket.create_connection((self._target.address, self._target.port), self._limits.connect)
        with self._lock:
            self._socket = sock
            if self._abandoned:
                sock.shutdown(socket.SHUT_RDWR)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stamp_arrivals(sock)
        return sock

    def _shake_hands(self, sock: socket.socket, deadline: float) -> tls.Session:
        target, data, done = self._target, b"", False
        try:
            roots = target.hop is Hop.PUBLIC
            session = tls.Session(target.server_name, target.ca, http2=target.http2, roots=roots)
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
            raise NoResponseError(
                NoResponse.TLS, f"{target} as {target.server_name}: {_reason(error)}"
            ) from error

    def _open(self, sock: socket.socket, response: Codec, deadline: float) -> None:
        """What the version of HTTP wants to have said before the request."""
        self._send(sock, response.opening())
        data = b""  # the handshake's last read may hold the first frames already
        while not response.ready:
            plain = self._tls.unwrap(data) if self._tls else data
            for part in response.feed(plain):
                if isinstance(part, Broken | Reset):
                    raise NoResponseError(NoResponse.LOST, f"{self._target}: no HTTP/2 there: {part.why}")
            self._send(sock, response.replies())
            if not response.ready:
                data = _receive_before(sock, deadline)
                if not data:
                    raise ConnectionResetError("the peer closed the connection before the request")

    def _send(self, sock: socket.socket, data: bytes) -> None:
        wrapped = self._tls.wrap(data) if self._tls else data
        if wrapped:
            sock.settimeout(self._limits.connect)
            sock.sendall(wrapped)


def _receive_before(sock: socket.socket, deadline: float) -> bytes:
    """What the peer says before the request; others have their turn while it is awaited."""
    sock.settimeout(max(deadline - time.monotonic(), 0.001))
    _TURN.release()
    try:
        return sock.recv(_READ)
    finally:
        _TURN.acquire()


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
