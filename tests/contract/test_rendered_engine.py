"""
What the renderer makes is started for real: command line, environment, middleware and preStop script.

The double is asked always, the real vLLM where it is installed; both must keep the same promises.
"""

import asyncio
import http.client
import json
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.contract import sockets
from tests.contract.engines import until
from tests.contract.rendered import Pod, running
from tests.contract.scraped import value
from tests.engines.running import START_SECONDS, Kind
from tests.security.targets import CLOSED, ask

KINDS = pytest.mark.parametrize("kind", ["double", pytest.param("vllm", marks=pytest.mark.real_vllm)])

KEY = "sesame"
TOKENS_A_SECOND = 100
"""
About as many, of either server. A stream of as many as fit the rest of the grace, and that still ends with an error,
was ended before the cluster would have killed the server: a busy machine makes its tokens late as well.
"""


class Stream:
    """One streamed completion, read in a thread."""

    def __init__(self, port: int, tokens: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        body = {"model": "tiny", "stream": True, "max_tokens": tokens, "ignore_eos": True}
        body["messages"] = [{"role": "user", "content": "count"}]
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        self.answer = connection.getresponse()
        self.events = [self.answer.readline()]
        self._reader = threading.Thread(target=lambda: self.events.extend(self.answer))
        self._reader.start()

    def end(self) -> tuple[str, str]:
        """How the stream says that it ended (the finish reason, or `error`), and its last event."""
        self._reader.join()
        parsed = [line[6:].decode().strip() for line in self.events if line.startswith(b"data: ")]
        return next(filter(None, map(_ending, reversed(parsed[:-1])))), parsed[-1]


def _ending(event: str) -> str | None:
    """What one event says of the end."""
    fields = json.loads(event)
    reasons = [choice["finish_reason"] for choice in fields.get("choices", []) if choice["finish_reason"]]
    return "error" if "error" in fields else next(iter(reasons), None)


class Kept:
    """A connection that stays open after its first answer, as an edge keeps it for the next request."""

    SECONDS = 7
    """Longer than the 5 s after which uvicorn closes it unless it is told otherwise."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._status()
        self._since = time.monotonic()

    def _status(self) -> int:
        self._connection.request("GET", "/health")
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def status_after_idling(self) -> int:
        """Of a second request; raises if the server has closed the connection."""
        time.sleep(max(0.0, self._since + self.SECONDS - time.monotonic()))
        return self._status()


@KINDS
def test_streams_that_fit_the_drain_end_by_themselves(kind: Kind, tmp_path: Path) -> None:
    """
    The hook returns when the stream has ended; one that outlives it gets an error event before the server stops.

    And every stream carries the headers of the middleware, each once; from outside no path but those of users' APIs is
    answered, however it is written; WebSockets and EventSource are answered behind the server's own check of the key.
    A connection that an edge keeps is not closed under its next request.
    """
    with running(Pod(kind, tmp_path, "--api-key", KEY, engine={"webSocket": True})) as pod:
        kept = Kept(pod.port)
        asyncio.run(sockets.holds(pod.port, KEY))
        sockets.drops_what_is_left(pod.port, pod.port, KEY)
        answers = {path: ask("127.0.0.1", pod.port, path, "tiny.example.com") for path in CLOSED}
        assert [path for path, (status, _) in answers.items() if status not in (400, 404)] == []
        with_key = f"Authorization: Bearer {KEY}"
        assert ask("127.0.0.1", pod.port, "/v1/models", "tiny.example.com", with_key)[0] == 200
        assert "vllm:" in ask("127.0.0.1", pod.port, "/metrics", f"127.0.0.1:{pod.port}")[1]
        assert kept.status_after_idling() == 200

        fits = Stream(pod.port, tokens=300)
        hook = pod.pre_stop(drain_seconds=120)

        assert fits.end() == ("length", "[DONE]")
        assert hook.communicate()[1] == "drain: nothing runs any more\n"
        assert fits.answer.headers.get_all("x-accel-buffering") == ["no"]
        assert fits.answer.headers.get_all("cache-control") == ["no-cache"]

        outlives = Stream(pod.port, tokens=pod.rest_seconds * TOKENS_A_SECOND)
        hook = pod.pre_stop(drain_seconds=2)

        assert outlives.end() == ("error", "[DONE]")
        assert hook.communicate()[1].startswith("drain: the drain time is over\n")
        # A busy machine takes longer than the hook waits for; about as long as a cluster gives after it.
        until(lambda: running_requests(pod.port) == 0, pod.rest_seconds)
        pod.engine.signal(signal.SIGTERM)
        pod.engine.wait()


@KINDS
def test_a_server_that_loads_leaves_at_once(kind: Kind, tmp_path: Path) -> None:
    """A pod deleted while its model loads gives its GPU back, and does not wait for the grace to end."""
    slow = ["--startup-duration", "600"] if kind == "double" else []
    with running(Pod(kind, tmp_path, *slow, wait=False)) as pod:
        if kind == "vllm":
            until_bound(pod.port)
        hook = pod.pre_stop(drain_seconds=600)

        pod.engine.wait(60)
        assert hook.communicate()[1] == "drain: the server still loads\n"


def running_requests(port: int) -> float:
    """The server's own gauge."""
    text = ask("127.0.0.1", port, "/metrics", f"127.0.0.1:{port}")[1].partition("\r\n\r\n")[2]
    return value(text, "vllm:num_requests_running")


def until_bound(port: int) -> None:
    """vLLM takes its port long before it listens; from then on it swallows the first signal."""
    deadline = time.monotonic() + START_SECONDS["vllm"]
    while time.monotonic() < deadline:
        with socket.socket() as other:
            try:
                other.bind(("127.0.0.1", port))
            except OSError:
                return
        time.sleep(0.2)
    raise TimeoutError(f"port {port} was not taken")
