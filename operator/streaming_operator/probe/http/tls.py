"""
A TLS session over memory buffers: the caller reads the socket, and knows when each segment arrived.

No sockets here: ciphertext goes in and comes out, so that a record has the arrival time of the segment that carried it.
"""

import functools
import ssl
import time

_READ = 64 * 1024
_ROOTS_CACHED = 300.0
"""Seconds for which the system's roots are cached."""


@functools.lru_cache(maxsize=64)
def _context(ca: str | None, http2: bool, roots: bool, period: int) -> ssl.SSLContext:
    """Made once a period, since reading the system's roots takes longer than a handshake."""
    context = ssl.create_default_context(cadata=ca)
    if roots and ca is not None:
        context.load_default_certs()
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


class Session:
    """One client's session; what `pending` returns must be sent."""

    def __init__(self, server_name: str, ca: str | None, *, http2: bool, roots: bool = False) -> None:
        """
        *ca* is a PEM bundle trusted instead of the system's roots, with *roots* in addition to them; *http2* is offered
        before HTTP/1.1. Raises ssl.SSLError or ValueError for an invalid bundle or name.
        """
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.closed = False
        context = _context(ca, http2, roots, int(time.monotonic() // _ROOTS_CACHED))
        self._session = context.wrap_bio(self._in, self._out, server_hostname=server_name)

    @property
    def http2(self) -> bool:
        """Whether the peer chose HTTP/2; a peer without ALPN speaks HTTP/1.1."""
        return self._session.selected_alpn_protocol() == "h2"

    def handshake(self, data: bytes) -> bool:
        """Continue the handshake; whether it is done. Raises ssl.SSLError."""
        self._in.write(data)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def pending(self) -> bytes:
        """Ciphertext to be sent."""
        return self._out.read()

    def wrap(self, data: bytes) -> bytes:
        """The ciphertext of these bytes, and whatever else is to be sent."""
        if data:
            self._session.write(data)
        return self._out.read()

    def unwrap(self, data: bytes) -> bytes:
        """The plaintext that this ciphertext completes; sets `closed` at a close_notify. Raises ssl.SSLError."""
        self._in.write(data)
        plain = bytearray()
        while True:
            try:
                piece = self._session.read(_READ)
            except ssl.SSLWantReadError:
                return bytes(plain)
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.closed = True
                return bytes(plain)
            plain += piece
