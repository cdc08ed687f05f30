"""Where an edge is asked from a person's machine: only an address that can be reached from there is any use."""

import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from streaming_operator.api.reasons import Hop
from streaming_operator.diagnose import NotVerified, pin, reachable
from streaming_operator.probe import ApiKey, Plan
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.connection import Target
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import ExtraHeader
from streaming_operator.probe.plan import Further
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


PUBLIC, PRIVATE = "8.8.8.8", "10.0.0.9"


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the address that every name has from now on."""

    def answer(address: str) -> None:
        entry = (socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 80))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry])

    return answer


async def test_the_address_that_was_judged_is_the_one_that_gets_the_key(dns: Callable[[str], None]) -> None:
    """A name that leads elsewhere a moment later takes no key there over plain http."""
    dns(PRIVATE)
    plan = await pin(Plan((edge(80),), "tiny", key=ApiKey("sesame"), guard=Guard(local=True)))
    assert isinstance(plan, Plan)
    dns(PUBLIC)
    target = await connection.resolve(plan.targets[0], plan.guard, plan.key)
    assert (target.address, target.host_header) == (PRIVATE, "chat.example.com")


async def test_a_key_of_the_cluster_goes_over_plain_http_to_no_public_address(
    dns: Callable[[str], None],
) -> None:
    """Nothing is asked; the report says how to serve it, or how to give a key."""
    dns(PUBLIC)
    refused = await pin(Plan((edge(80),), "tiny", key=ApiKey("sesame"), guard=Guard(local=True)))
    assert isinstance(refused, NotVerified)
    assert refused.evidence == f"nothing secret is sent over plain http to the public address {PUBLIC}"
    assert refused.remedy == "serve chat.example.com over https, or give the key yourself with --api-key-env"


async def test_what_is_asked_besides_goes_to_the_address_that_was_judged(dns: Callable[[str], None]) -> None:
    """An adapter at the very address of its model, a further host at the one that its own name had by then."""
    dns(PRIVATE)
    second = replace(edge(80), address="second.example.com", host="second.example.com")
    further = (Further("adapter sql", "sql", edge(80)), Further("host second.example.com", "tiny", second))
    plan = await pin(Plan((edge(80),), "tiny", guard=Guard(local=True), further=further))
    assert isinstance(plan, Plan)
    assert plan.further[0].target == plan.targets[0]
    assert (plan.further[1].target.address, plan.further[1].target.host) == (PRIVATE, "second.example.com")


async def test_a_header_that_an_edge_routes_by_goes_over_plain_http(dns: Callable[[str], None]) -> None:
    """It is no secret: a canary at a public address is asked."""
    dns(PUBLIC)
    routed = replace(edge(80), headers=(ExtraHeader("X-Canary", ApiKey("always"), routes=True),))
    plan = await pin(Plan((routed,), "tiny", guard=Guard(local=True)))
    assert isinstance(plan, Plan)
    assert plan.targets[0].address == PUBLIC


async def test_a_name_without_an_address_is_left_to_the_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reports it as for any other endpoint."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    plan = Plan((edge(80),), "tiny", guard=Guard(local=True))
    assert await pin(plan) == plan
