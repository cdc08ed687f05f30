"""Where an edge is asked from a person's machine: only an address that can be reached from there is any use."""

import socket

import pytest

from streaming_operator.api.reasons import Hop
from streaming_operator.diagnose import reachable
from streaming_operator.probe.http.connection import Target
from tests.engines.running import free_port, own_address


def edge(port: int) -> Target:
    return Target(Hop.EXPOSURE, "chat.example.com", port, host="chat.example.com")


async def test_an_address_of_the_status_that_answers_is_taken() -> None:
    """The first that can be connected to; the host's name stays in the request."""
    mine = own_address()
    with socket.create_server((mine, 0)) as server:
        target = await reachable(edge(server.getsockname()[1]), ("no.such.invalid", mine), None)
    assert (target.address, target.host) == (mine, "chat.example.com")


async def test_loopback_in_a_status_means_another_machine() -> None:
    """Whatever listens on this one is not asked; DNS of the host is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = edge(server.getsockname()[1])
        assert await reachable(target, ("127.0.0.1", "localhost"), None) == target


async def test_an_address_that_refuses_connections_is_skipped() -> None:
    """DNS of the host then."""
    target = edge(free_port())
    assert await reachable(target, (own_address(),), None) == target


@pytest.mark.parametrize(("port", "expected"), [(None, 80), (8080, 8080)])
async def test_via_takes_precedence(port: int | None, expected: int) -> None:
    """--via is taken as it is; without a port it is the scheme's default."""
    target = await reachable(edge(80), ("192.0.2.1",), ("203.0.113.7", port))
    assert (target.address, target.port) == ("203.0.113.7", expected)
