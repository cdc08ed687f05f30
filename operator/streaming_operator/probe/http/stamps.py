"""
The kernel's own times and counts of a socket: when segments arrived, when a write left, how many there were. Linux
only; elsewhere nothing is stamped, and the caller's clock has to do.
"""

import contextlib
import socket
import struct
import sys
import time

_SO_TIMESTAMPNS = 35
"""Linux, every architecture that Kubernetes runs on; Python's socket module does not name it."""
_SO_TIMESTAMPING = 37
_DEPARTURES = 1 << 8 | 1 << 4 | 1 << 11
"""SOF_TIMESTAMPING_TX_SCHED, _SOFTWARE, _OPT_TSONLY: when a write's last byte is passed on to the network device."""
_TIMESPEC = struct.Struct("@ll")
_TCP_INFO_SIZE = 160
_DATA_SEGMENTS_IN = struct.Struct("@152xI")
"""tcpi_data_segs_in of Linux' struct tcp_info, there since 4.6."""
_ANCILLARY = 256
"""Bytes for the control messages of one entry of the error queue."""


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


def departure(sock: socket.socket) -> float | None:
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
                    return seconds(value)
    return None


def seconds(timespec: bytes) -> float:
    seconds, nanoseconds = _TIMESPEC.unpack_from(timespec)
    return float(seconds + nanoseconds / 1e9)


def segments_of(sock: socket.socket) -> int | None:
    """TCP segments with data received so far."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
            if len(info) >= _DATA_SEGMENTS_IN.size:
                return int(_DATA_SEGMENTS_IN.unpack_from(info)[0])
    return None


def wall_offset() -> float:
    """Seconds from the monotonic to the wall clock; the closest of some pairs, since a thread can be suspended."""
    pairs = []
    for _ in range(5):
        before, wall, after = time.monotonic(), time.time(), time.monotonic()
        pairs.append((after - before, wall - (before + after) / 2))
    return min(pairs)[1]


def receive(sock: socket.socket, size: int) -> tuple[bytes, float | None]:
    """At most *size* bytes, and the wall clock at which the segment with the last of them came. Raises OSError."""
    raw, ancillary, _, _ = sock.recvmsg(size, socket.CMSG_SPACE(_TIMESPEC.size))
    stamp = None
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) >= _TIMESPEC.size:
            stamp = seconds(value)
    return raw, stamp
