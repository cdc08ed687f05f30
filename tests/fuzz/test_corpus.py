"""The fuzzer's seeds, and what revealed bugs before, on every run of the tests."""

import zlib
from pathlib import Path

import pytest

from streaming_operator.probe.http import http1
from streaming_operator.probe.http.response import DECODED_LIMIT, SLICE, Broken, Part, Piece
from tests.fuzz.promise import CUT, KINDS, cost_is_linear, hold

CORPUS = Path(__file__).with_name("corpus")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\r\n"
MEBIBYTE = 1 << 20


@pytest.mark.parametrize("seed", sorted(CORPUS.iterdir()), ids=lambda seed: seed.name)
def test_seed_keeps_every_promise(seed: Path) -> None:
    """As every kind of answer: no exception, the same events for any cut, only text that can be shown."""
    first, *stream = seed.read_bytes()
    for kind in range(len(KINDS)):
        hold(bytes([kind << 5 | first & CUT, *stream]))


@pytest.mark.parametrize("seed", sorted(CORPUS.iterdir()), ids=lambda seed: seed.name)
def test_seed_costs_work_that_is_linear_in_its_bytes(seed: Path) -> None:
    """As every kind of answer, thirty-two times and four times as often."""
    first, *stream = seed.read_bytes()
    for kind in range(len(KINDS)):
        cost_is_linear(bytes([kind << 5 | first & CUT, *stream]) + bytes(stream) * 31)


def test_small_body_that_unpacks_to_an_enormous_one() -> None:
    """A gzip bomb ends the reading; no more of it is unpacked than the cap, and little of that at a time."""
    packer, block = zlib.compressobj(wbits=31), bytes(MEBIBYTE)
    bomb = b"".join(packer.compress(block) for _ in range(2 * DECODED_LIMIT // MEBIBYTE)) + packer.flush()
    response, unpacked, parts = http1.Http1Codec(), 0, list[Part]()
    for at in range(0, len(bomb), 4096):
        for part in response.feed(HEAD * (at == 0) + bomb[at : at + 4096]):
            parts.append(part)
            unpacked += len(part.data) if isinstance(part, Piece) else 0
    assert isinstance(parts[-1], Broken)
    assert DECODED_LIMIT - SLICE <= unpacked <= DECODED_LIMIT
    assert max(len(part.data) for part in parts if isinstance(part, Piece)) == SLICE
