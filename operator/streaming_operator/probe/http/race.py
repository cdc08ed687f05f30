"""
Which of a name's addresses accepts a connection first: Happy Eyeballs (RFC 8305).

`localhost` is ::1 and 127.0.0.1 on most machines while many servers listen on one of them, and a name with an AAAA
record cannot be reached where IPv6 is not routed. The families take turns, each address has a head start before the
next, and a refusal starts the next at once. The connections are closed again: what is wanted is the address.
"""

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

HEAD_START = 0.25
"""Seconds before the next address is tried beside those that have not answered (RFC 8305, section 5)."""


@dataclass(frozen=True, slots=True)
class Race:
    """How it ended."""

    first: str | None
    """The address that accepted first; None if none did."""
    failures: tuple[tuple[str, str], ...]
    """Address and reason of each that failed before that."""


def in_turn(addresses: Sequence[str]) -> list[str]:
    """The addresses in the resolver's order, with the families alternating (RFC 8305, section 4)."""
    first = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    other = [address for address in addresses if address not in first]
    return [address for address in chain.from_iterable(zip_longest(first, other)) if address is not None]


def race(addresses: Sequence[str], port: int, patience: float) -> Race:
    """Connect to these addresses until one accepts, for at most *patience* seconds; blocks."""
    waiting, failures = in_turn(addresses), dict[str, str]()
    deadline = time.monotonic() + patience
    next_start = 0.0
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as sockets:
        while waiting or selector.get_map():
            now = time.monotonic()
            if now >= deadline:
                break
            if waiting and (now >= next_start or not selector.get_map()):
                address = waiting.pop(0)
                try:
                    sock = sockets.enter_context(_connecting(address, port))
                except OSError as error:
                    failures[address] = (error.strerror or str(error)).lower()
                    continue
                selector.register(sock, selectors.EVENT_WRITE, (address, sock))
                next_start = time.monotonic() + HEAD_START
            until = min(deadline, next_start) if waiting else deadline
            for key, _ in selector.select(max(0.0, until - time.monotonic())):
                address, sock = key.data
                selector.unregister(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code == 0:
                    return Race(address, tuple(failures.items()))
                failures[address] = os.strerror(code).lower()
                next_start = 0.0
        late = [key.data[0] for key in selector.get_map().values()] + waiting
    return Race(None, (*failures.items(), *((address, "no answer in time") for address in late)))


def _connecting(address: str, port: int) -> socket.socket:
    """A socket whose connect is under way; raises OSError where it failed at once."""
    family, kind, protocol, _, where = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )[0]
    sock = socket.socket(family, kind, protocol)
    sock.setblocking(False)
    code = sock.connect_ex(where)
    if code not in (0, errno.EINPROGRESS):
        sock.close()
        raise OSError(code, os.strerror(code))
    return sock
