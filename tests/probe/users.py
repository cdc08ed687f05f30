"""Users of a model server: streams that run while a probe asks, so that gauges and queues are not empty."""

import http.client
import json
import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.engines.running import MODEL, RunningEngine

PATIENCE = 10.0


class User:
    """Long streams at one server, as many as wanted; they end when the block does."""

    def __init__(self, engine: RunningEngine, streams: int = 1, tokens: int = 1500) -> None:
        self._engine, self._streams, self._tokens = engine, streams, tokens
        self._lines: list[http.client.HTTPConnection] = []

    def __enter__(self) -> Self:
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": "go on"}],
            "max_tokens": self._tokens,
            "ignore_eos": True,
            "stream": True,
        }
        for _ in range(self._streams):
            line = http.client.HTTPConnection("127.0.0.1", self._engine.port)
            line.request(
                "POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"}
            )
            self._lines.append(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        self._await("running", lambda count: count == 0)

    def leave(self) -> None:
        """End their streams now."""
        for line in self._lines:
            line.close()

    def await_running(self, expected: int) -> None:
        """Wait until the server says that so many run."""
        self._await("running", lambda count: count >= expected)

    def await_waiting(self, expected: int) -> None:
        """Wait until the server says that so many wait."""
        self._await("waiting", lambda count: count >= expected)

    def _await(self, state: str, holds: Callable[[float], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds(gauge(self._engine, state)):
            assert time.monotonic() < deadline, f"the server's gauge of {state} requests does not move"
            time.sleep(0.02)


def gauge(engine: RunningEngine, state: str) -> float:
    """The server's gauge of running or waiting requests."""
    return metric(engine, f"vllm:num_requests_{state}")


def metric(engine: RunningEngine, name: str) -> float:
    """The sum of one metric of the server."""
    line = http.client.HTTPConnection("127.0.0.1", engine.port)
    line.request("GET", "/metrics")
    text = line.getresponse().read().decode()
    line.close()
    return sum(
        float(number) for number in re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.M)
    )
