"""
The clients that people use, through real edges: each reads a token before the next is made, and who leaves is dropped.

Nothing here is a matter of time: the model server sends a token when the client has reported the one before.
"""

import http.client
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import packages, steps
from tests.cluster.programs import listed
from tests.contract.engines import until
from tests.contract.scraped import value
from tests.engines.running import MODEL
from tests.probe.clients.browser import Page
from tests.probe.clients.running import NAMES, Client
from tests.probe.clients.stepwise import Request, Stepwise
from tests.probe.conftest import Engines
from tests.probe.packages import Missing
from tests.probe.zoo.cases import FLOWS, OFF
from tests.probe.zoo.running import Running, Setup

TOKENS = 40
LEAVES_AFTER = 5
FEW = 10
"""Tokens of an answer that fits nginx's smallest buffer, of 4 KiB."""
NGINX_WAITS = "proxy_read_timeout 1h; proxy_send_timeout 1h; send_timeout 1h;"
ENVOY_WAITS = '{"timeout": "0s", "idle_timeout": "0s"}'
HAPROXY_WAITS = FLOWS + "timeout client 1h\ntimeout server 1h\n"
"""No limit of an edge ends a stream here, on a machine however busy: what closes a connection is the client."""
EDGES = {
    "nginx": Setup("nginx", OFF + NGINX_WAITS),
    "envoy": Setup("envoy", ENVOY_WAITS),
    "haproxy": Setup("haproxy", HAPROXY_WAITS + "option abortonclose"),
    "caddy": Setup("caddy"),
    "traefik": Setup("traefik"),
}
PROXIES = [pytest.param(name, marks=pytest.mark.programs(name)) for name in EDGES]
CLIENTS = [
    pytest.param(name, marks=() if name == "openai-python" else pytest.mark.programs("nodejs"))
    for name in NAMES
]


def body(tokens: int) -> str:
    """A streamed completion of so many tokens."""
    messages = [{"role": "user", "content": "count"}]
    asked = {"model": MODEL, "messages": messages, "stream": True, "max_tokens": tokens, "ignore_eos": True}
    return json.dumps(asked)


def before(setup: Setup, port: int, folder: Path) -> Running:
    """The proxy before this port, or the reason why it is not there."""
    try:
        return Running(setup, port, folder, folder)
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=PROXIES)
def edge(request: pytest.FixtureRequest, engines: Engines, tmp_path: Path) -> Iterator[Running]:
    """Each edge before a double."""
    with before(EDGES[request.param], engines().port, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def engine() -> Iterator[Stepwise]:
    """A model server that sends a token when it is told to."""
    with Stepwise() as server:
        yield server


@pytest.fixture(scope="module", params=PROXIES)
def edge_before_steps(
    request: pytest.FixtureRequest, engine: Stepwise, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Each edge before that server, started once."""
    with before(EDGES[request.param], engine.port, tmp_path_factory.mktemp("edge")) as running:
        yield running


def read_one_by_one(client: Client | Page, request: Request, tokens: int) -> None:
    """Each token is sent when the client has reported the one before."""
    for number in range(tokens):
        request.send(f"token {number} ")
        line = client.line()
        assert line.get("text") == f"token {number} ", line


@pytest.mark.parametrize("name", CLIENTS)
def test_each_client_reads_a_token_before_the_next_is_sent(
    name: str, edge_before_steps: Running, engine: Stepwise
) -> None:
    """To the end of the stream; and one that aborts before it, and lives on, has closed the engine's connection."""
    base = f"http://127.0.0.1:{edge_before_steps.port}/v1"
    with Client(name, base, TOKENS, leave_after=LEAVES_AFTER) as client:
        left = engine.next()
        read_one_by_one(client, left, LEAVES_AFTER)
        assert client.line() == {"ending": "left"}
        assert left.gone.wait(120)
        assert client.alive()

        client.ask_again()
        request = engine.next()
        read_one_by_one(client, request, TOKENS)
        request.finish()
        assert client.line() == {"ending": "whole"}
        assert not request.gone.is_set()


@pytest.mark.programs("haproxy")
def test_haproxy_by_default_drops_who_has_left_when_it_has_something_to_send(
    engine: Stepwise, tmp_path: Path
) -> None:
    """Until the next token or keep-alive the engine works for nobody; `option abortonclose` spares it that."""
    with (
        before(Setup("haproxy", HAPROXY_WAITS), engine.port, tmp_path) as edge,
        Client("openai-python", f"http://127.0.0.1:{edge.port}/v1", TOKENS, leave_after=1) as client,
    ):
        request = engine.next()
        request.send("token")
        assert [line.get("ending") for line in client.to_the_end()] == [None, "left"]

        def dropped() -> bool:
            request.send("token")
            return request.gone.is_set()

        until(dropped)


@pytest.mark.programs("nginx")
@pytest.mark.parametrize("name", [name for name in CLIENTS if name.values[0] != "openai-python"])
def test_behind_an_edge_that_buffers_the_same_client_sees_one_lump(name: str, tmp_path: Path) -> None:
    """nginx's default before a server without chunks: no token while the engine makes them, then all in one read."""
    with (
        Stepwise(chunked=False) as engine,
        before(Setup("nginx", NGINX_WAITS), engine.port, tmp_path) as edge,
        Client(name, f"http://127.0.0.1:{edge.port}/v1", FEW) as client,
    ):
        request = engine.next()
        for number in range(FEW):
            request.send(f"token {number} ")
        until(lambda: request.written == FEW)
        assert client.nothing_yet()
        request.finish()
        *tokens, ending = client.to_the_end()

    assert ([token["text"] for token in tokens], ending) == (
        [f"token {number} " for number in range(FEW)],
        {"ending": "whole"},
    )
    assert len({token["turn"] for token in tokens}) == 1


def test_curl_reads_every_token(edge: Running) -> None:
    """`curl -N`, as the documentation shows it."""
    url = f"http://127.0.0.1:{edge.port}/v1/chat/completions"
    try:
        packages.require("curl", about="curl as a client")
    except steps.Failure as failure:
        pytest.skip(str(failure))
    command = [
        "curl",
        "-sSN",
        "--noproxy",
        "*",
        url,
        "-H",
        "Content-Type: application/json",
        "-d",
        body(TOKENS),
    ]
    done = subprocess.run(listed(command), capture_output=True, text=True, timeout=300, check=True)

    events = [line for line in done.stdout.splitlines() if line.startswith("data: {")]
    contents = [json.loads(event[6:])["choices"] for event in events]
    assert sum(bool(choices and choices[0]["delta"].get("content")) for choices in contents) == TOKENS
    assert done.stdout.rstrip().endswith("data: [DONE]")


def test_who_leaves_in_the_middle_is_dropped(edge: Running, engines: Engines) -> None:
    """The edge tells the engine, whose gauge of running requests falls, and which does not finish the answer."""

    def metric(name: str, **labels: str) -> float:
        with urllib.request.urlopen(f"{engines().base_url}/metrics", timeout=120) as answer:
            return value(answer.read().decode(), name, **labels)

    finished = metric("vllm:request_success_total", finished_reason="length")
    client = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=120)
    client.request("POST", "/v1/chat/completions", body(8_000), {"Content-Type": "application/json"})
    answer = client.getresponse()
    assert answer.readline().startswith((b"data:", b":"))
    answer.close()
    client.close()

    until(lambda: not metric("vllm:num_requests_running"))
    assert metric("vllm:request_success_total", finished_reason="length") == finished
