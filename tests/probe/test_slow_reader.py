"""
A client that stops reading in the middle of an answer, behind real edges: who keeps what it has not read.

The answer is large, so that a buffer without a bound shows in the memory of the edge or of the pod.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.programs import listed
from tests.contract.engines import until
from tests.engines.running import ROOT, end, free_port
from tests.probe.clients.flood import EVENT
from tests.probe.test_clients import EDGES, NGINX_WAITS, PROXIES, before
from tests.probe.zoo.running import Setup

SIZE = 64 * 2**20
"""Bytes of the answer: several times what the kernel holds for the two connections of an edge, 8 to 11 MB here."""
SMALL = 2**20
"""Of one that is read whole first, so that whoever grows by its first request has done so."""
BOUND = SIZE // 8
"""Bytes by which a process may grow."""
STILL = 20
"""Looks at the server, one after the other, between which it has sent nothing."""
RECEIVE_BUFFER = 64 * 1024
TEMPLATES = ROOT / "operator" / "streaming_operator" / "render" / "templates"
MIDDLEWARE = "streaming_middleware.StreamingMiddleware"


@dataclass(frozen=True)
class Flood:
    """The model server as a process of its own."""

    port: int
    pid: int

    def taken(self) -> int:
        """Bytes of the latest answer that it has got rid of."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/taken", timeout=120) as answer:
            return int(answer.read())

    def held_back(self) -> int:
        """The same, once it can send no more."""
        looks = [-1]
        while len(looks) < STILL or len(set(looks[-STILL:])) > 1:
            time.sleep(0.05)
            looks.append(self.taken())
        return looks[-1]


@contextmanager
def flooding(*middleware: str) -> Iterator[Flood]:
    """The server, with the pod's own middleware or without."""
    port = free_port()
    command = [sys.executable, "-m", "tests.probe.clients.flood", str(port), *middleware]
    paths = os.pathsep.join([str(TEMPLATES), str(ROOT)])
    process = subprocess.Popen(listed(command), cwd=ROOT, env=os.environ | {"PYTHONPATH": paths})
    flood = Flood(port, process.pid)
    try:
        until(lambda: listens(port))
        yield flood
    finally:
        end(process, 30)


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def pod() -> Iterator[Flood]:
    """The server with the middleware that every pod has."""
    with flooding(MIDDLEWARE) as flood:
        yield flood


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def resident(pid: int) -> int:
    """Bytes of memory of a process and its children, without what is only read from their files."""
    statuses = [Path(f"/proc/{one}/status").read_text() for one in family(pid)]
    anonymous = (status.partition("RssAnon:")[2].split() or ["0"] for status in statuses)  # a zombie has none
    return 1024 * sum(int(words[0]) for words in anonymous)


def on_disk(pid: int) -> int:
    """Bytes of the files without a name that a process and its children have open."""
    opened = [link for one in family(pid) for link in Path(f"/proc/{one}/fd").iterdir()]
    return sum(link.stat().st_size for link in opened if str(link.readlink()).endswith(" (deleted)"))


class Reader:
    """One request for `size` bytes; it reads when it is told to."""

    def __init__(self, port: int, size: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.settimeout(120)
        self._socket.connect(("127.0.0.1", port))
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: edge\r\nContent-Length: {len(str(size))}\r\n"
        self._socket.sendall(f"{head}Connection: close\r\n\r\n{size}".encode())
        self._read = b""
        while b"\r\n\r\n" not in self._read:
            self._read += self._socket.recv(1024)

    def rest(self) -> int:
        """The letters of all events, read to the end."""
        letters = self._read.partition(b"\r\n\r\n")[2].count(b"x")
        while data := self._socket.recv(2**20):
            letters += data.count(b"x")
        self._socket.close()
        return letters


def letters(size: int) -> int:
    """How many there are in an answer of this size."""
    return size // len(EVENT) * EVENT.count(b"x")


def grown_while_unread(port: int, flood: Flood, *pids: int) -> tuple[int, list[int], int]:
    """
    Have a client stop in the middle, and go on when the server can send no more.

    Bytes that had left the server by then, growth of each process, and letters that the client had in the end.
    """
    assert Reader(port, SMALL).rest() == letters(SMALL)
    memory = [resident(pid) for pid in pids]
    reader = Reader(port, SIZE)
    taken = flood.held_back()
    grown = [resident(pid) - earlier for pid, earlier in zip(pids, memory, strict=True)]
    return taken, grown, reader.rest()


def test_a_pod_waits_for_a_client_that_stops_reading(pod: Flood) -> None:
    """Without an edge: the middleware keeps nothing, and the server makes no more than the connection holds."""
    taken, grown, read = grown_while_unread(pod.port, pod, pod.pid)

    assert taken < SIZE
    assert max(grown) < BOUND
    assert read == letters(SIZE)


@pytest.mark.parametrize("name", PROXIES)
def test_an_edge_waits_for_a_client_that_stops_reading(name: str, pod: Flood, tmp_path: Path) -> None:
    """Neither the edge nor the pod keeps the answer; all of it comes when the client reads on."""
    with before(EDGES[name], pod.port, tmp_path) as edge:
        taken, grown, read = grown_while_unread(edge.port, pod, edge.pid, pod.pid)

    assert taken < SIZE
    assert max(grown) < BOUND
    assert read == letters(SIZE)


@pytest.mark.programs("nginx")
def test_nginx_by_default_keeps_for_such_a_client_what_the_middleware_forbids(
    pod: Flood, tmp_path: Path
) -> None:
    """It takes the whole answer of a server without it, on its disk, up to 1 GiB each; of the pod it does not."""
    default = Setup("nginx", NGINX_WAITS)
    with before(default, pod.port, tmp_path / "pod") as edge:
        taken, _, _ = grown_while_unread(edge.port, pod, edge.pid)
    assert taken < SIZE

    with flooding() as plain, before(default, plain.port, tmp_path / "plain") as edge:
        memory = resident(edge.pid)
        reader = Reader(edge.port, SIZE)
        until(lambda: plain.taken() == SIZE)
        assert resident(edge.pid) - memory < BOUND
        assert on_disk(edge.pid) > SIZE // 2
        assert reader.rest() == letters(SIZE)
