"""
An edge that begins to buffer, as the dashboard of its endpoint shows it: a real Prometheus, the operator's verifier.

`DRAW=1 make test PYTEST=tests/monitoring/test_picture.py` writes docs/images/buffering-edge.svg anew.
"""

import asyncio
import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import start_http_server

from streaming_operator import metrics
from streaming_operator.api.reasons import STREAMS
from streaming_operator.api.verification import Verification
from streaming_operator.probe import Verifier
from streaming_operator.values import ProbeResult
from tests.engines.double.knobs import Knobs
from tests.engines.running import RunningEngine
from tests.monitoring.drawn import Panel, Points, svg
from tests.monitoring.scraped import Prometheus, a_job, dashboards, filled, prometheus
from tests.probe import proxies
from tests.probe.conftest import plan
from tests.probe.proxies import Proxy

pytestmark = pytest.mark.programs("prometheus-server")

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "buffering-edge.svg"
ENDPOINT = ("models", "picture")
ROUNDS = 8
"""Verifications before the edge begins to buffer, and after it."""
TOKENS = Verification().request.max_tokens
TOKEN_SECONDS = Knobs().inter_token_latency / 1000
TITLES = {
    "Ready": "",
    "First token: users and engine": " s",
    "Longest pause between tokens": " s",
    "Verifications": "",
}
"""The panels that show it, with their units."""
WINDOW = "10s"
"""In the place of the dashboard's 30 minutes: the whole picture is shorter."""


class Edge:
    """Passes each byte on, until somebody switches buffering on."""

    buffers = False

    def relay(self, upstream: socket.socket, client: socket.socket) -> None:
        (proxies.store_and_forward if self.buffers else proxies.healthy)(upstream, client)


async def verified(ports: list[int]) -> ProbeResult:
    """One verification, as the operator makes and counts it."""
    ended = asyncio.Event()
    verifier = Verifier(1, lambda key: ended.set())
    verifier.start(ENDPOINT, plan(ports))
    await ended.wait()
    result = verifier.take(ENDPOINT)
    await verifier.close()
    assert isinstance(result, ProbeResult)
    return result


def test_an_edge_that_begins_to_buffer_is_seen_in_the_dashboard(tmp_path: Path) -> None:
    """The users' first token leaves the engine's behind, and Ready falls."""
    edge = Edge()
    with ExitStack() as stack:
        engine = stack.enter_context(RunningEngine("double", ("--enable-per-request-metrics",)))
        proxy = stack.enter_context(Proxy(engine.port, edge.relay))
        server, thread = start_http_server(0, "127.0.0.1", metrics.REGISTRY)
        for end in (thread.join, server.server_close, server.shutdown):
            stack.callback(end)
        jobs = [
            a_job(ENDPOINT[1], engine.port, namespace=ENDPOINT[0], pod="picture-1"),
            {**a_job("operator", server.server_port), "honor_labels": True},
        ]
        running = stack.enter_context(prometheus(tmp_path, jobs, []))
        begin = time.time()
        for buffers in (False, True):
            edge.buffers = buffers
            for _ in range(ROUNDS):
                result = asyncio.run(verified([engine.port, proxy.port]))
                metrics.set_ready(ENDPOINT, result.verdict in STREAMS)
                _scraped(running)
        seconds = time.time() - begin
        panels = [_panel(running, title, begin, seconds) for title in TITLES]

    picture = svg(panels, seconds)
    if os.environ.get("DRAW"):
        PICTURE.write_text(picture)
    first = panels[1].series
    users, engines = (first[name][-1][1] for name in ("probe at Exposure", "engine"))
    assert users > max(engines, TOKENS * TOKEN_SECONDS / 2)
    assert panels[0].series["Ready"][-1][1] == 0
    assert "Buffered at Exposure" in panels[3].series
    assert picture.count("<path") > len(TITLES)


def _scraped(running: Prometheus) -> None:
    """Wait until all that was counted so far has been scraped."""
    now = time.time()
    up = 'up{job="operator"}'
    running.until(lambda: running.ask(f"(timestamp({up}) > {now}) and ({up} == 1)"), "a scrape")


def _panel(running: Prometheus, title: str, begin: float, seconds: float) -> Panel:
    """What a panel of the dashboard shows."""
    (panel,) = (one for one in dashboards()["streamingendpoint.json"]["panels"] if one["title"] == title)
    series: dict[str, Points] = {}
    for target in panel["targets"]:
        values = {"namespace": ENDPOINT[0], "name": ENDPOINT[1], "datasource": "prometheus"}
        query = filled(target["expr"], values).replace("[30m]", f"[{WINDOW}]")
        for one in running.ask_over(query, begin, begin + seconds):
            series[_legend(target.get("legendFormat"), one["metric"], title)] = [
                (float(at) - begin, float(value)) for at, value in one["values"] if value != "NaN"
            ]
    return Panel(title, TITLES[title], series)


def _legend(form: str | None, labels: dict[str, Any], title: str) -> str:
    """As Grafana fills it in."""
    if not form or form == "__auto":
        return title
    for name, value in labels.items():
        form = form.replace(f"{{{{{name}}}}}", value)
    return form
