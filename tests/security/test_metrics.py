"""The operator's own metrics: for whom the API server lets read them, at a bounded size and cost."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import generate_latest

from streaming_operator import metrics
from streaming_operator.cluster import Access, Cluster
from streaming_operator.cluster.metrics_access import (
    MOST_KEPT,
    MOST_REVIEWS,
    NEW_PER_SECOND,
    TOKEN_REVIEWS,
    MetricsAccess,
)
from streaming_operator.controller import http
from streaming_operator.errors import Unreachable
from streaming_operator.settings import Settings
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import as_service_account

ENDPOINTS = 5000
LINES = 9
"""Ready, the last success, the verdict, and two of each of three durations."""
MOST_BYTES = 6 * 1024 * 1024
PATIENCE = 10.0


@asynccontextmanager
async def scraped(authorize: http.Authorize | None) -> AsyncIterator[str]:
    """The URL of the metrics."""
    runner = await http.serve(http.application(lambda: None, lambda: None, authorize), 0)
    try:
        port = next(address[1] for address in runner.addresses if len(address) == 2)
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        await runner.cleanup()


async def status(url: str, token: str | None = None, scheme: str = "Bearer") -> int:
    """What a caller with this token gets."""
    headers = {} if token is None else {"Authorization": f"{scheme} {token}"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        text = await answer.text()
        assert ("streamingendpoint_" in text) == (answer.status == 200)
        return answer.status


def token_of(kubeconfig: Path) -> str:
    """The token in a kubeconfig."""
    token: str = json.loads(kubeconfig.read_text())["users"][0]["user"]["token"]
    return token


@pytest.mark.apiserver
async def test_the_api_server_says_who_may_read(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """401 without a token that it knows, 403 without the right, 200 with it; the operator needs two rights for that."""
    reader = [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
    operators = [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ]
    names = ("reader", "other", "operator")
    for name in names:
        where = {"name": f"{namespace}-{name}"}
        control_plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": where})
        (tmp_path / name).mkdir()
    allowed = token_of(as_service_account(control_plane, f"{namespace}-reader", tmp_path / "reader", reader))
    known = token_of(as_service_account(control_plane, f"{namespace}-other", tmp_path / "other", []))
    as_operator = as_service_account(control_plane, f"{namespace}-operator", tmp_path / "operator", operators)
    monkeypatch.setenv("KUBECONFIG", str(as_operator))
    monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(as_operator))
    cluster = await Cluster.connect(Settings())
    try:
        async with scraped(cluster.metrics_access) as url:
            assert await status(url) == 401
            assert await status(url, allowed, scheme="Basic") == 401
            assert await status(url, "no token of anybody") == 401
            await asyncio.sleep(2 / NEW_PER_SECOND)
            assert await status(url, known) == 403
            await asyncio.sleep(2 / NEW_PER_SECOND)
            assert await status(url, allowed) == 200
            assert await status(url, allowed) == 200
    finally:
        await cluster.close()


class Server:
    """An API server that knows some tokens, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.up = True
        self.decides = asyncio.Event()
        self.decides.set()

    async def review(self, path: str, manifest: dict[str, Any], doing: str) -> dict[str, Any]:
        """The answer to a review."""
        self.asked += 1
        await self.decides.wait()
        if not self.up:
            raise Unreachable(doing)
        if path == TOKEN_REVIEWS:
            return {"status": {"authenticated": "scraper" in manifest["spec"]["token"], "user": {}}}
        return {"status": {"allowed": True}}


async def test_a_flood_of_tokens_costs_little_and_keeps_no_scraper_away() -> None:
    """1,000 tokens at once from one address: one review. Others come in, with an old token and with a new one."""
    server, seconds = Server(), 0.0
    access = MetricsAccess(server, lambda: seconds)  # type: ignore[arg-type]
    assert await access.decide("scraper", "prometheus") is Access.ALLOWED
    before = server.asked
    decisions = [await access.decide(f"guess {number}", "attacker") for number in range(1000)]
    assert (server.asked - before, set(decisions)) == (1, {Access.UNKNOWN, Access.UNDECIDED})
    assert await access.decide("scraper", "attacker") is Access.ALLOWED
    seconds += 1
    assert await access.decide("scraper, renewed", "prometheus") is Access.ALLOWED

    for number in range(1000):
        seconds += 2 / NEW_PER_SECOND
        await access.decide(f"slow guess {number}", f"address {number}")
    assert (len(access._kept), len(access._paused)) == (MOST_KEPT, 1)


async def test_reviews_leave_the_passes_their_connections() -> None:
    """However many addresses ask at once; whoever is not asked for may ask again."""
    server = Server()
    access = MetricsAccess(server, lambda: 0.0)  # type: ignore[arg-type]
    server.decides.clear()
    asked = [asyncio.create_task(access.decide("scraper", f"address {number}")) for number in range(100)]
    await asyncio.sleep(0)
    assert server.asked == MOST_REVIEWS
    server.decides.set()
    decisions = await asyncio.gather(*asked)
    assert decisions.count(Access.ALLOWED) == MOST_REVIEWS
    assert set(decisions) == {Access.ALLOWED, Access.UNDECIDED}
    assert await access.decide("another scraper", "prometheus") is Access.ALLOWED


async def test_an_error_lets_nobody_in() -> None:
    """The API server cannot be reached: 503, also for who was let in an hour ago, and nothing of it is kept."""
    server, seconds = Server(), 0.0
    access = MetricsAccess(server, lambda: seconds)  # type: ignore[arg-type]
    assert await access.decide("scraper", "prometheus") is Access.ALLOWED
    server.up, seconds = False, 3600.0
    assert await access.decide("scraper", "prometheus") is Access.UNDECIDED
    server.up = True
    assert await access.decide("scraper", "prometheus") is Access.ALLOWED


def test_many_endpoints_have_few_series() -> None:
    """5,000 endpoints, verified at one hop: nine lines each, under 6 MiB of text."""
    keys = [(f"team-{number % 100}", f"endpoint-{number}") for number in range(ENDPOINTS)]
    before = len(generate_latest(metrics.REGISTRY).splitlines())
    try:
        for key in keys:
            metrics.set_ready(key, True)
            metrics.set_last_success(key, 1.0)
            metrics.count_verification(key, "Exposure", "Streaming")
            for durations in (metrics.PROBE_TTFT, metrics.PROBE_GAP, metrics.PROBE_MAX_GAP):
                durations.observe(key, "Exposure", 0.1)
        text = generate_latest(metrics.REGISTRY)
    finally:
        for key in keys:
            metrics.forget(key)
    assert len(text.splitlines()) - before == ENDPOINTS * LINES
    assert len(text) < MOST_BYTES


async def test_many_who_ask_at_once_cost_one_rendering() -> None:
    """Fifty at once get one text; it is given for nine times as long as it took, then rendered anew."""
    seconds, rendered, may_end = 0.0, 0, threading.Event()

    def render() -> bytes:
        nonlocal rendered, seconds
        assert may_end.wait(PATIENCE)
        rendered += 1
        seconds += 2
        return b"text %d" % rendered

    rendering = http.Rendering(render, lambda: seconds)
    asked = [asyncio.create_task(rendering.text()) for _ in range(50)]
    await asyncio.sleep(0)
    asked.pop().cancel()  # a client that disconnects cancels it for no other
    may_end.set()
    assert await asyncio.gather(*asked) == [b"text 1"] * 49
    seconds = 2 + 2 * 9 - 0.1
    assert await rendering.text() == b"text 1"
    seconds += 0.2
    assert await rendering.text() == b"text 2"
