"""
Chat completions by WebSocket through real edges: the rendered middleware in the double, behind each proxy.

The real vLLM keeps the same promises without an edge (`test_rendered_engine.py`). Idle time is made small at both ends:
the server pings every second instead of every 20, and an edge cuts a silence after 20 s instead of minutes.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.contract import sockets
from tests.contract.rendered import Pod, running
from tests.probe.packages import Missing
from tests.probe.zoo.running import Running, Setup

KEY = "sesame"
HOST = "tiny.example.com"
IDLE_PINGS = 25
"""More seconds than an edge leaves a silent connection open."""
OF_INGRESS_NGINX = """
proxy_http_version 1.1; proxy_buffering off;
proxy_read_timeout 20s; proxy_send_timeout 20s; proxy_set_header Host $host;
proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
proxy_set_header X-Forwarded-For $remote_addr;
"""
UPGRADE = "http: map $http_upgrade $connection_upgrade { default upgrade; '' ''; }"
OF_ENVOY_GATEWAY = (
    '{"manager": {"upgrade_configs": [{"upgrade_type": "websocket"}], "stream_idle_timeout": "20s"}}'
)
EDGES = {
    "nginx": Setup("nginx", OF_INGRESS_NGINX, UPGRADE),
    "envoy": Setup("envoy", '{"timeout": "0s"}', OF_ENVOY_GATEWAY),
    "haproxy": Setup("haproxy", "option forwardfor\ntimeout tunnel 20s"),
    "caddy": Setup("caddy"),
    "traefik": Setup("traefik"),
}
PROXIES = [pytest.param(name, marks=pytest.mark.programs(name)) for name in EDGES]
WITH_IDLE_LIMIT = ("nginx", "envoy", "haproxy")


def a_pod(folder: Path, ping_seconds: int) -> Pod:
    """The rendered double, which asks for a key and pings its sockets so often."""
    exposure = {"host": HOST, "ingress": {"className": "nginx"}}
    pings = [{"name": "DOUBLE_WS_PING_SECONDS", "value": str(ping_seconds)}]
    folder.mkdir()
    engine = {"webSocket": True, "env": pings}
    return Pod("double", folder, "--api-key", KEY, exposure=exposure, engine=engine)


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """One pod for all edges."""
    with running(a_pod(tmp_path_factory.mktemp("pods") / "pod", 1)) as started:
        yield started


def edge(name: str, port: int, folder: Path) -> Running:
    """The proxy before this port, or the reason why it is not there."""
    try:
        return Running(EDGES[name], port, folder, folder)
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", PROXIES)
def test_sockets_and_event_source_pass_each_edge(name: str, pod: Pod, tmp_path: Path) -> None:
    """One message an event, keys by header and message, other origins and closed paths refused: as at the pod."""
    with edge(name, pod.port, tmp_path) as before:
        asyncio.run(sockets.holds(before.port, KEY, HOST))


@pytest.mark.parametrize("name", PROXIES)
def test_a_client_that_leaves_an_edge_ends_its_request(name: str, pod: Pod, tmp_path: Path) -> None:
    """The engine drops it, and it is not finished for nobody."""
    with edge(name, pod.port, tmp_path) as before:
        sockets.drops_what_is_left(pod.port, before.port, KEY)


@pytest.mark.programs(*WITH_IDLE_LIMIT)
def test_pings_keep_an_idle_socket_open_where_silence_is_cut(pod: Pod, tmp_path: Path) -> None:
    """Idle for longer than the limit, a socket still answers; without pings the same edges close it."""
    with ExitStack() as stack:
        silent = stack.enter_context(running(a_pod(tmp_path / "silent", 0)))
        pairs = {
            name: [
                stack.enter_context(edge(name, one.port, tmp_path / f"{name}-{one.port}")).port
                for one in (pod, silent)
            ]
            for name in WITH_IDLE_LIMIT
        }

        async def all_at_once() -> dict[str, tuple[int, bool]]:
            results = await asyncio.gather(*(idle(*ports) for ports in pairs.values()))
            return dict(zip(pairs, results, strict=True))

        assert asyncio.run(all_at_once()) == dict.fromkeys(WITH_IDLE_LIMIT, (2, True))


async def idle(pinged: int, silent: int) -> tuple[int, bool]:
    """Tokens of the socket that was pinged through the idle time, and whether the one without pings was closed."""
    headers = {"Authorization": f"Bearer {KEY}", "Host": HOST}
    async with (
        sockets.client(pinged) as session,
        sockets.client(silent) as other,
        session.ws_connect(sockets.CHAT, headers=headers, autoping=False) as socket,
        other.ws_connect(sockets.CHAT, headers=headers) as quiet,
    ):
        for _ in range(IDLE_PINGS):
            ping = await socket.receive(timeout=120)
            assert ping.type == aiohttp.WSMsgType.PING
            await socket.pong(ping.data)
        await socket.send_json(sockets.request(2))
        messages: list[str] = []
        while sockets.DONE not in messages:
            message = await socket.receive(timeout=120)
            messages += [message.data] if message.type == aiohttp.WSMsgType.TEXT else []
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PING)
        await quiet.receive(timeout=120)
        return sockets.tokens(messages), quiet.closed
