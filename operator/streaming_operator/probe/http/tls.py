"""
A TLS session over memory buffers: the caller reads the socket, and knows when each segment arrived.

No sockets here: ciphertext goes in and comes out, so that a record has the arrival time of the segment that carried it.
"""

import contextlib
import math
import os
import ssl
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from streaming_operator.probe.http.response import Validity

_READ = 64 * 1024
LARGEST_CA = 256 * 1024
"""Bytes of a CA bundle: more than a system's roots have. OpenSSL keeps about ten times as much for it."""
LARGEST_CHAIN = 64 * 1024
"""Characters of a client's certificate with its chain: read anew for each session."""
LARGEST_KEY = 8 * 1024
"""Characters of a private key: more than RSA's with 8,192 bits, whose signature takes a tenth of a second."""
KEPT = 1024 * 1024
"""Bytes of the bundles whose contexts are kept; another is read anew, in about a millisecond."""
SMALLEST = 16 * 1024
"""What a context counts for at least."""
_ROOTS_KEPT = 3600.0
"""Seconds after which the system's roots are read again: an administrator may have changed them."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A client certificate, with its chain, and its private key, both as PEM."""

    certificate: str = field(repr=False)
    key: str = field(repr=False)

    def problem(self) -> str:
        """Why no session can use it; empty if one can."""
        for part, text, largest in (
            ("certificate", self.certificate, LARGEST_CHAIN),
            ("private key", self.key, LARGEST_KEY),
        ):
            if len(text) > largest:
                return f"the {part} has {len(text)} characters, more than {largest}"
        try:
            self.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        except (OSError, ValueError) as error:
            if isinstance(error, ssl.SSLError):
                return words_of(error) if error.reason else "it is no certificate with its private key in PEM"
            return str(error)
        return ""

    def load_into(self, context: ssl.SSLContext) -> None:
        """Raises ssl.SSLError or ValueError where certificate and key are none, or none of one pair."""
        with _as_file(f"{self.key}\n{self.certificate}") as path:
            context.load_cert_chain(path, password=_no_password)


def words_of(error: ssl.SSLError) -> str:
    """OpenSSL's reason as words, such as `tlsv13 alert certificate required`."""
    return (error.reason or "protocol error").replace("_", " ").lower()


def _no_password() -> str:
    raise ValueError("the private key is encrypted: give a key without a password")


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A file of this text while the block lasts, in memory where that can be: the ssl module reads files alone."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("identity")
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    with tempfile.NamedTemporaryFile("wb") as named:  # readable by its owner alone
        named.write(text.encode())
        named.flush()
        yield named.name


@dataclass(frozen=True, slots=True)
class _Kept:
    context: ssl.SSLContext
    size: int
    expires: float


_contexts: OrderedDict[tuple[bytes, bool, bool], _Kept] = OrderedDict()
"""By the digest of the CA bundle, HTTP/2 and the system's roots; what was used last is at the end."""
_LOCK = threading.Lock()


def _context(ca: str | None, http2: bool, roots: bool) -> ssl.SSLContext:
    """One context for all sessions with the same CA: it takes longer to make than a handshake, and half a MiB."""
    size = len(ca or "")
    if size > LARGEST_CA:
        raise ValueError(
            f"the CA bundle has {size} bytes, more than {LARGEST_CA}: leave only the CAs of this address"
        )
    roots = roots or ca is None
    wanted = (sha256((ca or "").encode()).digest(), http2, roots)
    with _LOCK:
        kept = _contexts.get(wanted)
        if kept is None or kept.expires < time.monotonic():
            expires = time.monotonic() + _ROOTS_KEPT if roots else math.inf
            size = max(size, SMALLEST) + (LARGEST_CA if roots else 0)
            _contexts[wanted] = kept = _Kept(_made(ca, http2, roots), size, expires)
        _contexts.move_to_end(wanted)
        while sum(each.size for each in _contexts.values()) > KEPT:
            _contexts.popitem(last=False)
        return kept.context


def _made(ca: str | None, http2: bool, roots: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca)
    # The verdict must not depend on the Python that runs the probe, and 3.13 changed both defaults: the first refuses
    # what other clients accept, such as certificates of a private CA without an Authority Key Identifier; the second
    # accepts a bundle with the issuing CA alone, as other clients do.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if roots and ca is not None:
        context.load_default_certs()
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


class Session:
    """One client's session; what `pending` returns must be sent."""

    def __init__(
        self,
        server_name: str,
        ca: str | None,
        *,
        http2: bool,
        roots: bool = False,
        identity: ClientCertificate | None = None,
        insecure: bool = False,
    ) -> None:
        """
        *ca* is a PEM bundle trusted instead of the system's roots, with *roots* in addition to them; *http2* is offered
        before HTTP/1.1; *insecure* accepts every certificate. Raises ssl.SSLError or ValueError for an invalid bundle,
        name or identity.
        """
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.closed = False
        self.validity: Validity | None = None
        """Of the peer's certificate, after the handshake; None where it was not checked: then it is not parsed."""
        if identity is None and not insecure:
            context = _context(ca, http2, roots)
        else:  # not kept: it holds a private key, or it trusts anybody
            context = _made(ca, http2, roots)
            if identity is not None:
                identity.load_into(context)
            if insecure:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._session = context.wrap_bio(self._in, self._out, server_hostname=server_name)

    @property
    def http2(self) -> bool:
        """Whether the peer chose HTTP/2; a peer without ALPN speaks HTTP/1.1."""
        return self._session.selected_alpn_protocol() == "h2"

    def _validity(self) -> Validity | None:
        certificate = self._session.getpeercert() or {}
        begins, ends = certificate.get("notBefore"), certificate.get("notAfter")
        if not isinstance(begins, str) or not isinstance(ends, str):
            return None
        try:
            return Validity(ssl.cert_time_to_seconds(begins), ssl.cert_time_to_seconds(ends))
        except ValueError:  # a year before 1000, as Go writes where nobody set one: OpenSSL verifies it
            return None

    def handshake(self, data: bytes) -> bool:
        """Continue the handshake; whether it is done. Raises ssl.SSLError."""
        self._in.write(data)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.validity = self._validity()  # now: after an alert OpenSSL gives it away no more
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
