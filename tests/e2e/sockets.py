"""Sockets of an endpoint through a real edge: what is promised of them, a client that leaves, and idle time."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.contract import sockets
from tests.e2e import kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.streams import EdgeAddress, serves
from tests.e2e.waiting import wait_for

KEY = "key-of-the-sockets"
SECRET = "sockets"
MODEL: str = sockets.request(1)["model"]
LIMIT = 20
"""Seconds after which an edge is told to close a silent connection."""
IDLE = 25
"""Seconds without a request: more than the edge's limit, and little more, since a test waits for them."""
NOT_CUT = 60
"""Seconds after which a silent socket is taken for one that the edge does not close."""
ROUNDS = 4
"""An edge may still run without the limit in the first of them."""


@dataclass(frozen=True)
class Pair:
    """Two endpoints that differ in one thing: the server of one pings its sockets every second, the other's never."""

    pinged: Endpoint
    silent: Endpoint


@dataclass(frozen=True)
class Idle:
    """What became of sockets that were idle for longer than the limit of an edge."""

    silent_was_cut: bool
    tokens_after_pings: int
    """Of an answer on a socket that was pinged all the time, through the route with the limit."""
    tokens_with_our_settings: int
    """Likewise of one without pings, through the route that the operator wrote."""


def pair(namespace: str, **exposure: Any) -> Pair:
    """Both, Ready, with a key."""
    kube.apply(kube.key_secret(SECRET, namespace, KEY))
    both = Pair(Endpoint(namespace, "pinged"), Endpoint(namespace, "silent"))
    for endpoint, seconds in ((both.pinged, 1), (both.silent, 0)):
        engine = {
            "webSocket": True,
            "apiKeySecretRef": {"name": SECRET},
            "env": [{"name": "DOUBLE_WS_PING_SECONDS", "value": str(seconds)}],
        }
        model = {"servedName": MODEL}
        endpoint.apply(endpoint.double(gpu={"count": 0}, model=model, engine=engine, exposure=exposure))
    for endpoint in (both.pinged, both.silent):
        endpoint.await_ready(180)
    return both


def await_route(edge: EdgeAddress, host: str) -> None:
    """Until the edge leads a host to the pods of one of them."""
    wait_for(lambda: serves(edge, host, MODEL, api_key=KEY), f"the route of {host}")


def hold(edge: EdgeAddress, host: str) -> None:
    """Messages, keys, origins, closed paths and EventSource, as at the pod itself."""
    asyncio.run(sockets.holds(edge.port, KEY, host, edge.address))


def drop_what_is_left(edge: EdgeAddress, endpoint: Endpoint) -> None:
    """The engine runs the request of a socket, and drops it when its client closes the socket."""
    pod = endpoint.pod()["metadata"]["name"]

    async def leave() -> None:
        async with (
            sockets.client(edge.port, edge.address) as session,
            session.ws_connect(sockets.CHAT, headers=_headers(endpoint.host, slow=True)) as socket,
        ):
            await socket.send_json(sockets.request(1900))
            await socket.receive_str(timeout=120)
            await asyncio.to_thread(
                wait_for, lambda: endpoint.running_requests(pod) >= 1, "the engine to run the request"
            )

    asyncio.run(leave())
    wait_for(lambda: endpoint.running_requests(pod) == 0, "the engine to drop the request", seconds=60)


def idle(edge: EdgeAddress, both: Pair, limited: Mapping[str, str]) -> Idle:
    """
    All three at once. *limited*: hosts of routes to each of the two, by its name, with the limit of 20 s.

    Again while the silent one is not cut: then its edge may not run with the limit yet.
    """

    async def each() -> Idle:
        cut, pinged, ours = await asyncio.gather(
            _is_cut(edge, limited["silent"]),
            _answered_after(edge, limited["pinged"]),
            _answered_after(edge, both.silent.host),
        )
        return Idle(cut, pinged, ours)

    for _ in range(ROUNDS):
        became = asyncio.run(each())
        if became.silent_was_cut:
            break
    return became


def _headers(host: str, *, slow: bool = False) -> dict[str, str]:
    pace = {"X-Double-Inter-Token-Latency": "200"} if slow else {}
    return {"Host": host, "Authorization": f"Bearer {KEY}", **pace}


async def _is_cut(edge: EdgeAddress, host: str) -> bool:
    """Whether a socket without a request is closed by somebody."""
    async with (
        sockets.client(edge.port, edge.address) as session,
        session.ws_connect(sockets.CHAT, headers=_headers(host)) as socket,
    ):
        try:
            await asyncio.wait_for(socket.receive(), NOT_CUT)
        except TimeoutError:
            return False
        return bool(socket.closed)


async def _answered_after(edge: EdgeAddress, host: str) -> int:
    """Tokens of an answer that is asked for after the idle time; raises when the socket was closed in it."""
    async with (
        sockets.client(edge.port, edge.address) as session,
        session.ws_connect(sockets.CHAT, headers=_headers(host)) as socket,
    ):
        try:
            message = await asyncio.wait_for(socket.receive(), IDLE)
        except TimeoutError:
            await socket.send_json(sockets.request(2))
            return sockets.tokens(await sockets.answered(socket))
        raise AssertionError(
            f"the socket of {host} got {aiohttp.WSMsgType(message.type).name} while it was idle"
        )
