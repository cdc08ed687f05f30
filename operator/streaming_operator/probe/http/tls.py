"""
A TLS session over memory buffers: the socket's bytes stay the caller's to receive and to stamp.

No sockets here: ciphertext goes in and comes out, and a reader that wants to know when a record arrived asks the
kernel about the segment that brought it.
"""

import functools
import ssl
import time

_READ = 64 * 1024
_ROOTS_KEPT = 300.0
"""Seconds after which renewed roots of the system are seen."""


@functools.lru_cache(maxsize=64)
def _context(ca: str | None, http2: bool, roots: bool, period: int) -> ssl.SSLContext:
    """Made once a period: reading the system's roots takes longer than a handshake."""
    context = ssl.create_default_context(cadata=ca)
    if roots and ca is not None:
        context.load_default_certs()
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


class Session:
    """One client's session; what `pending` gives must be sent."""

    def __init__(self, server_name: str, ca: str | None, *, http2: bool, roots: bool = False) -> None:
        """
        *ca* is a PEM bundle trusted instead of the system's *roots*, or beside them; *http2* is offered before
        HTTP/1.1. Raises ssl.SSLError or ValueError for a bundle or a name that is none.
        """
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.closed = False
        context = _context(ca, http2, roots, int(time.monotonic() // _ROOTS_KEPT))
        self._session = context.wrap_bio(self._in, self._out, server_hostname=server_name)

    @property
    def http2(self) -> bool:
        """Whether the peer chose HTTP/2; a peer without ALPN speaks HTTP/1.1."""
        return self._session.selected_alpn_protocol() == "h2"

    def shake_hands(self, data: bytes) -> bool:
        """Go on with the handshake; whether it is done. Raises ssl.SSLError."""
        self._in.write(data)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def pending(self) -> bytes:
        """Ciphertext that waits to be sent."""
        return self._out.read()

    def wrap(self, data: bytes) -> bytes:
        """The ciphertext of these bytes, and whatever else waits to be sent."""
        if data:
            self._session.write(data)
        return self._out.read()

    def unwrap(self, data: bytes) -> bytes:
        """The bytes that this ciphertext completes; sets `closed` at the peer's end. Raises ssl.SSLError."""
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
