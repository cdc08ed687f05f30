"""
One exchange: resolve an address, connect, send one request; `reader` reads the response.

Connecting and TLS happen in a pool of threads, before any clock starts. TLS runs over memory buffers, so that the
kernel stamps its records as well. No redirects, no reuse of connections; every wait and every size is limited.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from streaming_operator.api.reasons import Hop
from streaming_operator.probe.http import http1, http2, stamps, tls, tunnel
from streaming_operator.probe.http.guard import Guard, forbidden, key_refused
from streaming_operator.probe.http.race import race
from streaming_operator.probe.http.reader import (
    Exchange,
    ExchangeEnd,
    Limits,
    ReaderThread,
    ResponseSink,
    reader_thread,
)
from streaming_operator.probe.http.request import ApiKey, Request
from streaming_operator.probe.http.response import Broken, Codec, NoResponse, Reset
from streaming_operator.probe.http.target import Target

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

T = TypeVar("T")

_READ = 64 * 1024
_OPENING = 256 * 1024
"""Bytes that are read before the request: certificates of a handshake, the first frames of HTTP/2."""
_COMPUTING = threading.Lock()
"""Only one pool thread computes at a time, so that the reader thread gets the GIL."""
_JUDGING = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judge")
_THREADS = ThreadPoolExecutor(max_workers=128, thread_name_prefix="probe")


class NoResponseError(Exception):
    """No connection, or none that could carry the request; `detail` is a clause of the message to users."""

    def __init__(self, cause: NoResponse, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


async def resolve(target: Target, guard: Guard, key: ApiKey | None) -> Target:
    """The target with its address checked and pinned; raises NoResponseError."""
    if target.proxy is not None:
        return await _with_proxy_pinned(target, target.proxy)
    is_name = not _is_ip(target.address)
    by_dns = is_name and not target.named_by_cluster
    addresses = await _addresses_of(target.address, target.port) if is_name else [target.address]
    if by_dns:
        guard = await _with_names(guard)
    refusals, allowed = [], []
    for address in addresses:
        refusal = forbidden(address, guard, by_dns=by_dns)
        # Pods and Services are named by the API server, and in an IPv6 cluster their addresses may be
        # public ones.
        if (
            refusal is None
            and target.has_credentials(key)
            and target.hop in (Hop.EXPOSURE, Hop.PUBLIC)
            and not guard.own_key
        ):
            refusal = key_refused(address, target.scheme)
        if refusal is None:
            allowed.append(address)
        else:
            refusals.append(refusal)
    if not allowed:
        raise NoResponseError(NoResponse.REFUSED_BY_US, "; ".join(refusals))
    pinned = replace(target, address=allowed[0], host=target.host_header)
    return pinned if len(allowed) == 1 else await _first_to_accept(pinned, allowed)


async def _with_proxy_pinned(target: Target, proxy: tunnel.HttpProxy) -> Target:
    """The target behind its proxy, whose address is pinned; raises NoResponseError."""
    try:
        addresses = (
            [proxy.address] if _is_ip(proxy.address) else await _addresses_of(proxy.address, proxy.port)
        )
    except NoResponseError as error:
        raise NoResponseError(NoResponse.PROXY, f"{proxy}: {error.detail}") from error
    address = addresses[0]
    if len(addresses) > 1:
        work = partial(race, addresses, proxy.port, Limits().connect)
        result = await asyncio.get_running_loop().run_in_executor(_THREADS, work)
        address = result.first or address
    return replace(target, host=target.host_header, proxy=replace(proxy, address=address))


async def _first_to_accept(pinned: Target, addresses: list[str]) -> Target:
    """The target at the address that accepts a connection first; at the first one if none does."""
    work = partial(race, addresses, pinned.port, Limits().connect)
    result = await asyncio.get_running_loop().run_in_executor(_THREADS, work)
    address = result.first or addresses[0]
    failures = tuple((other, why) for other, why in result.failures if other != address)
    return replace(pinned, address=address, unreachable=failures)


async def exchange(target: Target, request: Request, sink: ResponseSink, limits: Limits) -> ExchangeEnd:
    """
    Send the request to a pinned target and pass every read to *sink*, in the reader thread; raises NoResponseError.
    """
    dial = _Dial(target, limits, reader_thread())
    done: Future[ExchangeEnd] = Future()
    done.set_running_or_notify_cancel()  # it cannot be cancelled any more, only completed
    _THREADS.submit(dial.run, request, sink, done)
    work = asyncio.wrap_future(done)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        dial.abort()
        with contextlib.suppress(NoResponseError, OSError):
            await work
        raise


async def off_loop(work: Callable[[], T]) -> T:
    """
    The result of *work* on what a peer sent, from a thread of its own: however much that is, the event loop goes on.
    """
    return await asyncio.get_running_loop().run_in_executor(_JUDGING, _computed, work)


def _computed(work: Callable[[], T]) -> T:
    with _COMPUTING:
        return work()


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
            socket.create_connection(target.peer, patience).close()
        except OSError:
            break  # the exchange that follows reports the error
        times.append(time.monotonic() - begin)
    return tuple(times)


async def _with_names(guard: Guard) -> Guard:
    """The guard with the addresses of its names; a name without any refuses nothing."""
    refused = guard.refused
    for name in guard.refused_names:
        with contextlib.suppress(NoResponseError):
            refused += tuple(await _addresses_of(name, 443))
    return replace(guard, refused=refused)


async def _addresses_of(name: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    resolve_name = partial(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM)
    try:
        entries = await loop.run_in_executor(_THREADS, resolve_name)
    except (OSError, UnicodeError) as error:
        raise NoResponseError(NoResponse.DNS, f"{name} has no address: {_reason(error)}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def _is_ip(address: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, address.partition("%")[0])
            return True
    return False


class _Dial:
    """Connects and sends the request, in one thread; `abort` may be called from another."""

    def __init__(self, target: Target, limits: Limits, reader: ReaderThread) -> None:
        self._target = target
        self._limits = limits
        self._reader = reader
        self._lock = threading.Lock()
        self._aborted = False
        self._socket: socket.socket | None = None
        self._tls: tls.Session | None = None

    def abort(self) -> None:
        """Shut the connection down: whoever waits for bytes gets a close."""
        with self._lock:
            self._aborted = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def run(self, request: Request, sink: ResponseSink, done: "Future[ExchangeEnd]") -> None:
        """Connect, send and leave the rest to the reader thread; `done` gets how it ended, or NoResponseError."""
        try:
            exchange = self._sent(request, sink, done)
        except Exception as error:  # noqa: BLE001 - whoever awaits `done` gets it
            if self._socket is not None:
                self._socket.close()
            done.set_exception(error)
            return
        self._reader.add(exchange)

    def _sent(self, request: Request, sink: ResponseSink, done: "Future[ExchangeEnd]") -> Exchange:
        try:
            sock = self._connect()
        except OSError as error:
            tried = "".join(f"; {address}: {why}" for address, why in self._target.unreachable)
            cause = NoResponse.PROXY if self._target.proxy else NoResponse.CONNECT
            raise NoResponseError(cause, f"{self._target}: {_reason(error)}{tried}") from error
        with _COMPUTING:
            deadline = time.monotonic() + self._limits.connect  # the wait for other threads is not the peer's
            if self._target.scheme == "https":
                self._tls = self._handshake(sock, deadline)
            speaks_http2 = self._tls.http2 if self._tls else self._target.http2
            codec: Codec = http2.Http2Codec() if speaks_http2 else http1.Http1Codec()
            sink.begin(codec)
            exchange = Exchange(sock, self._tls, codec, sink, self._limits, done)
            try:
                self._open(sock, codec, deadline)
            except OSError as error:
                raise NoResponseError(NoResponse.LOST, f"{self._target}: {_reason(error)}") from error
            plain = codec.request(request, self._target.scheme)
            data = self._tls.wrap(plain) if self._tls else plain
        try:
            sock.settimeout(self._limits.connect)
            exchange.ask(data)
        except OSError as error:
            raise NoResponseError(NoResponse.LOST, f"{self._target}: {_reason(error)}") from error
        return exchange

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(self._target.peer, self._limits.connect)
        with self._lock:
            self._socket = sock
            if self._aborted:
                sock.shutdown(socket.SHUT_RDWR)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stamps.stamp_arrivals(sock)
        if self._target.proxy is not None:
            tunnel.open_through(sock, self._target.proxy, self._target.authority, self._limits.connect)
        return sock

    def _handshake(self, sock: socket.socket, deadline: float) -> tls.Session:
        target, data, done = self._target, b"", False
        try:
            roots = target.hop is Hop.PUBLIC
            received = 0
            session = tls.Session(
                target.server_name,
                target.ca,
                http2=target.http2,
                roots=roots,
                identity=target.identity,
                insecure=target.insecure,
            )
            while True:
                try:
                    done = session.handshake(data)
                finally:
                    sock.sendall(session.pending())  # also the alert that tells the peer why not
                if done:
                    return session
                data = _receive_before(sock, deadline)
                received += len(data)
                if not data or received > _OPENING:
                    how = "closed the connection" if not data else f"sent more than {_OPENING} bytes"
                    raise ConnectionResetError(f"the peer {how} during the handshake")
        except (OSError, ValueError) as error:
            raise NoResponseError(
                NoResponse.TLS, f"{target} as {target.server_name}: {_reason(error)}"
            ) from error

    def _open(self, sock: socket.socket, codec: Codec, deadline: float) -> None:
        """Send and receive what the version of HTTP requires before the request."""
        self._send(sock, codec.opening())
        received, data = 0, b""  # the handshake's last read may hold the first frames already
        while not codec.ready:
            plain = self._tls.unwrap(data) if self._tls else data
            for part in codec.feed(plain):
                if isinstance(part, Broken | Reset):
                    raise NoResponseError(NoResponse.LOST, f"{self._target}: no HTTP/2 there: {part.why}")
            self._send(sock, codec.replies())
            if not codec.ready:
                data = _receive_before(sock, deadline)
                received += len(data)
                if not data or received > _OPENING:
                    how = "closed the connection" if not data else f"sent more than {_OPENING} bytes"
                    raise ConnectionResetError(f"the peer {how} before the request")

    def _send(self, sock: socket.socket, data: bytes) -> None:
        wrapped = self._tls.wrap(data) if self._tls else data
        if wrapped:
            sock.settimeout(self._limits.connect)
            sock.sendall(wrapped)


def _receive_before(sock: socket.socket, deadline: float) -> bytes:
    """What the peer sends before the request; other threads may compute while it is awaited."""
    sock.settimeout(max(deadline - time.monotonic(), 0.001))
    _COMPUTING.release()
    try:
        return sock.recv(_READ)
    finally:
        _COMPUTING.acquire()


def _reason(error: BaseException) -> str:
    """The cause of an error without error numbers and class names."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS session: {tls.words_of(error)}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror.lower() if error.strerror else str(error) or type(error).__name__
    return str(error) or type(error).__name__
