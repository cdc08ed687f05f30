"""A peer is silent only while the reader looks and finds nothing, however late it takes what has come."""

import socket
import time
from collections.abc import Iterator

import pytest

from streaming_operator.probe.http.http1 import Http1Codec
from streaming_operator.probe.http.reader import Exchange, Limits, _Read
from streaming_operator.probe.http.response import Ending
from streaming_operator.probe.stream.recorder import Recorder
from tests.unit.probe.streams import DONE, HEAD, chunk, token

LIMITS = Limits(first_token=20.0, stall=20.0, total=3600.0, left_open=2.0)
AGE = 60.0
"""Seconds since the request."""
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
TOKEN, MARKED = CHUNKED + chunk(token()), CHUNKED + chunk(token()) + chunk(DONE)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """One whose request left a minute ago, upon which nothing has come."""
    with socket.socket() as sock:
        codec, sink = Http1Codec(), Recorder()
        sink.begin(codec)
        sent = time.monotonic() - AGE
        yield Exchange(sock, None, codec, sink, LIMITS, None, sent=sent, looked_at=sent)  # type: ignore[arg-type]


def take(exchange: Exchange, data: bytes, came: float, read: float) -> None:
    """Bytes that came and were read so many seconds after the request; they are not parsed yet."""
    exchange.looked_at = exchange.sent + read
    assert exchange.take(_Read(data, exchange.sent + came, read, read - came)) is None


def parse(exchange: Exchange) -> None:
    assert exchange.parse(60.0) is None


def ending(exchange: Exchange) -> Ending | None:
    """How the exchange has ended by its time limits."""
    end = exchange.overdue()
    return end and end.ending


@pytest.mark.parametrize("data", [TOKEN, MARKED])
def test_bytes_that_waited_to_be_read_are_no_silence(exchange: Exchange, data: bytes) -> None:
    """They came long ago, were read just now, and more may wait behind them."""
    take(exchange, data, came=5.0, read=59.0)
    parse(exchange)
    assert ending(exchange) is None


@pytest.mark.parametrize("data", [TOKEN, MARKED])
def test_bytes_that_wait_to_be_parsed_are_no_silence(exchange: Exchange, data: bytes) -> None:
    """The socket is not looked at meanwhile, whether they hold the first token or a later one."""
    take(exchange, data, came=5.0, read=6.0)
    assert ending(exchange) is None


@pytest.mark.parametrize(
    ("data", "looked_at", "expected"),
    [
        pytest.param(TOKEN, 24.0, None, id="within the limit"),
        pytest.param(TOKEN, 26.0, Ending.STALLED, id="beyond it"),
        pytest.param(MARKED, 7.0, None, id="shortly after the end marker"),
        pytest.param(MARKED, 9.0, Ending.LEFT_OPEN, id="long after the end marker"),
        pytest.param(CHUNKED, 59.0, Ending.SILENT, id="no token"),
    ],
)
def test_silence_lasts_from_a_read_to_a_look_that_finds_nothing(
    exchange: Exchange, data: bytes, looked_at: float, expected: Ending | None
) -> None:
    """However much time has passed since the last look."""
    take(exchange, data, came=5.0, read=5.5)
    parse(exchange)
    exchange.looked_at = exchange.sent + looked_at
    assert ending(exchange) == expected
