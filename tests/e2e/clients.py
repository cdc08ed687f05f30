"""The clients that people use, through a real edge of the cluster; raw proxies are in `tests/probe/test_clients.py`."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.e2e.endpoints import Endpoint
from tests.e2e.streams import EdgeAddress
from tests.e2e.waiting import wait_for
from tests.probe.clients.browser import Page
from tests.probe.clients.running import NAMES, Client

ANY_ORIGIN = ["--allowed-origins", '["*"]']
"""Flags with which the server lets every page ask."""
TOKENS = 1900
SLOW = {"X-Double-Inter-Token-Latency": "200"}
"""At this pace the answer takes more than six minutes, and nobody here waits for longer than three."""
LEAVES_AFTER = 5


def read_and_leave(edge: EdgeAddress, endpoint: Endpoint, page: Path | None = None) -> None:
    """
    Each reads its tokens while the engine is far from the last one; when all have left, and live on, the engine has
    dropped their requests. *page*: a folder for a browser, which asks too, from an origin of its own.
    """
    base = f"http://{endpoint.host}:{edge.port}/v1"
    pod = endpoint.pod()["metadata"]["name"]
    asked: dict[str, Any] = {
        "leave_after": LEAVES_AFTER,
        "address": edge.address,
        "model": endpoint.name,
        "headers": SLOW,
    }
    clients: list[Client | Page] = [Client(name, base, TOKENS, **asked) for name in NAMES]
    if page is not None:
        clients.append(Page(base, TOKENS, page, **asked))
    with ExitStack() as stack:
        for client in clients:
            stack.enter_context(client)
        for client in clients:
            # One that is late finds several tokens in a read, and reports those behind its abort, too.
            read = 0
            while (ending := client.line().get("ending")) is None:
                read += 1
            assert ending == "left"
            assert LEAVES_AFTER <= read < TOKENS
        wait_for(lambda: endpoint.running_requests(pod) == 0, "the engine to drop the requests", seconds=180)
        assert all(client.alive() for client in clients)
