"""A name with several addresses: the first that accepts is connected to, and the others are not waited for."""

import contextlib
import socket

import pytest

from streaming_operator.probe.http.race import Race, in_turn, race
from tests.engines.running import free_port


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["::1", "127.0.0.1"], ["::1", "127.0.0.1"]),
        (["::1", "::2", "1.1.1.1", "1.1.1.2"], ["::1", "1.1.1.1", "::2", "1.1.1.2"]),
        (["1.1.1.1", "1.1.1.2", "1.1.1.3", "::1"], ["1.1.1.1", "::1", "1.1.1.2", "1.1.1.3"]),
    ],
)
def test_the_families_take_turns(addresses: list[str], expected: list[str]) -> None:
    """The resolver's first address stays the first."""
    assert in_turn(addresses) == expected


def test_a_refusal_starts_the_next_address_at_once() -> None:
    """The server listens on one of two addresses, as Ollama does: that one wins, and the other's refusal is kept."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = race(["127.0.0.2", "127.0.0.1"], server.getsockname()[1], 20)
    assert result == Race("127.0.0.1", (("127.0.0.2", "connection refused"),))


def test_an_address_that_is_silent_is_overtaken() -> None:
    """Its queue is full, so that it answers nothing: the next one is tried beside it."""
    with contextlib.ExitStack() as stack:
        # The port is taken on the usual address first: there, and not on the other, somebody else may have it.
        served = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = served.getsockname()[1]
        stack.enter_context(socket.create_server(("127.0.0.2", port), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", port))
        assert race(["127.0.0.2", "127.0.0.1"], port, 20) == Race("127.0.0.1", ())


def test_every_address_that_failed_is_named() -> None:
    """Nobody listens."""
    result = race(["127.0.0.1", "127.0.0.2"], free_port(), 20)
    assert result == Race(None, (("127.0.0.1", "connection refused"), ("127.0.0.2", "connection refused")))
