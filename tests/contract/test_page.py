"""A page in a real browser that asks by WebSocket and EventSource: the rendered middleware behind real edges."""

import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from tests.contract.rendered import Pod, running
from tests.contract.scraped import value
from tests.contract.test_web_socket import HOST, edge
from tests.engines.running import free_port
from tests.probe.clients.browser import Page

TOKENS = 5
WAYS = ("WebSocket", "EventSource")


def told(page: Page) -> Counter[tuple[str, str]]:
    """Messages by the way that they came, `[DONE]` and the end of each way apart."""
    counted: Counter[tuple[str, str]] = Counter()
    while counted[WAYS[1], "closed"] == 0:
        line = page.line()
        kind = line.get("ending") or ("[DONE]" if line["text"] == "[DONE]" else "token")
        counted[line["way"], kind] += 1
    return counted


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.programs(name, "chromium")) for name in ("nginx", "envoy")]
)
def test_a_page_reads_both_and_asks_no_second_time_by_itself(name: str, tmp_path: Path) -> None:
    """
    From an origin that is listed; a page of another one gets no token. An EventSource connects again when its stream
    has ended: it is told to stop, and the engine has answered one request, besides the two of the socket.
    """
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    engine = {"webSocket": True, "env": [{"name": "STREAMING_ALLOWED_ORIGINS", "value": origin}]}
    exposure = {"host": HOST, "ingress": {"className": "nginx"}}
    started = Pod("double", tmp_path, "--allowed-origins", f'["{origin}"]', engine=engine, exposure=exposure)
    with running(started) as pod, edge(name, pod.port, tmp_path / "edge") as before:
        base = f"http://127.0.0.1:{before.port}/v1"
        with Page(base, TOKENS, tmp_path / "other", file="sockets.html") as other:
            assert told(other) == {(way, "closed"): 1 for way in WAYS}
        with Page(base, TOKENS, tmp_path / "listed", file="sockets.html", port=port) as listed:
            assert told(listed) == {
                ("WebSocket", "token"): 2 * TOKENS,
                ("WebSocket", "[DONE]"): 2,
                ("WebSocket", "closed"): 1,
                ("EventSource", "token"): TOKENS,
                ("EventSource", "[DONE]"): 1,
                ("EventSource", "closed"): 1,
            }
        with urllib.request.urlopen(f"http://127.0.0.1:{pod.port}/metrics", timeout=120) as answer:
            finished = value(answer.read().decode(), "vllm:request_success_total", finished_reason="length")
        assert finished == 3
