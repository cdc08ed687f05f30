"""When the request left: by the kernel's stamp, early, late or refused. The streams behind it are healthy."""

import errno
import itertools
import socket
import sys
import threading

import pytest

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe.http import connection, reader
from streaming_operator.probe.http.response import Ending
from streaming_operator.probe.verification import verify
from tests.probe.conftest import Engines, plan
from tests.probe.proxies import Proxy
from tests.probe.test_connection import ask
from tests.unit.probe.streams import HEAD

SO_TIMESTAMPNS, SO_TIMESTAMPING, SO_MAX_PACING_RATE = 35, 37, 47
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps departures")


def refuse(monkeypatch: pytest.MonkeyPatch, *options: int) -> None:
    """A kernel that has none of these socket options, as gVisor's."""
    real = socket.socket.setsockopt

    def setsockopt(sock: socket.socket, level: int, option: int, *value: int) -> None:
        if level == socket.SOL_SOCKET and option in options:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        real(sock, level, option, *value)

    monkeypatch.setattr(socket.socket, "setsockopt", setsockopt)


@pytest.mark.parametrize(
    ("options", "clock"),
    [((SO_TIMESTAMPING,), "kernel"), ((SO_TIMESTAMPNS, SO_TIMESTAMPING), "monotonic")],
    ids=["departures", "departures and arrivals"],
)
async def test_a_kernel_without_stamps_spoils_no_verdict(
    engines: Engines, monkeypatch: pytest.MonkeyPatch, options: tuple[int, ...], clock: str
) -> None:
    """A healthy server streams, event by event, where the kernel refuses to stamp what leaves or what comes."""
    refuse(monkeypatch, *options)
    result = await verify(plan([engines().port]))
    (hop,) = result.hops
    assert (result.verdict, hop.timeline.clock) == (Verdict.STREAMING, clock)  # type: ignore[attr-defined]
    assert hop.reads > 1


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> "itertools.count[int]":
    """Counts how often the reading thread wakes up."""
    count = itertools.count()
    turn = reader.ReaderThread._turn

    def counted(thread: reader.ReaderThread) -> None:
        next(count)
        turn(thread)

    monkeypatch.setattr(reader.ReaderThread, "_turn", counted)
    return count


async def test_a_late_departure_stamp_keeps_no_thread_busy(
    engines: Engines, monkeypatch: pytest.MonkeyPatch, turns: "itertools.count[int]"
) -> None:
    """A stamp that comes after the first look at the error queue is taken out of it; the silent server costs no CPU."""
    released = threading.Event()

    def silent(upstream: socket.socket, client: socket.socket) -> None:
        client.sendall(HEAD + b"\r\n")
        released.wait(10)

    connect = socket.create_connection

    def paced(address: tuple[str, int], timeout: float | None = None) -> socket.socket:
        """A socket whose writes the kernel delays, as BBR does: the request leaves 0.1 s after it was written."""
        sock = connect(address, timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(11):  # Linux paces no connection before its tenth segment
            sock.sendall(b"\r\n")
        sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 1200)
        sock.sendall(b"\r\n" * 40)
        return sock

    with Proxy(engines().port, silent) as server:
        monkeypatch.setattr(connection.socket, "create_connection", paced)
        limits = connection.Limits(connect=5.0, first_token=1.0, stall=5.0, total=10.0)
        timeline = await ask(server.port, limits)
        released.set()
    assert timeline.ending is Ending.SILENT
    assert next(turns) < 200  # one for each look at the limits, 50 a second
