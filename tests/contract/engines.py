"""The servers of the contract test: one start for each kind and set of flags, and how they are asked."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.contract.raw import Exchange
from tests.contract.scraped import value
from tests.engines.running import START_SECONDS, Kind, RunningEngine
from tests.engines.vllm.install import InstallError

KEY = "sesame"
AUTH = {"Authorization": f"Bearer {KEY}"}
CHAT, TEXT, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
WAIT_SECONDS = 120.0
"""Longest wait for a state that must come; generous, since two cores are shared with other work."""
TOKENS = 96
"""Of an answer: more than a server sends at once however late it is."""
LOAD_SECONDS = 10.0
"""For which the double loads: a test that is late still finds it loading."""
LOADING = {"double": "Loading", "vllm": "EngineCore"}
"""What the log holds once the load itself has begun."""


class Server:
    """A server that is started when first asked for, and again if a test has ended it."""

    def __init__(self, kind: Kind, args: list[str], env: Mapping[str, str]) -> None:
        slow_load = {"DOUBLE_STARTUP_DURATION": str(LOAD_SECONDS)} if kind == "double" else {}
        self.kind: Kind = kind
        self.refused_while_loading, self.first_status = False, 0
        self._args, self._env = args, {**slow_load, **env}
        self._engine: RunningEngine | None = None

    @property
    def engine(self) -> RunningEngine:
        if self._engine is None or self._engine.ended():
            self._engine = self.loading()
            until(lambda: self._listens(self._engine), START_SECONDS[self.kind])
        return self._engine

    def loading(self) -> RunningEngine:
        """A process that loads; the caller or `stop` ends it."""
        engine = self._engine = RunningEngine(self.kind, self._args, self._env, wait=False)
        try:
            engine.start()
        except InstallError as reason:
            pytest.skip(f"the real vLLM cannot be installed: {reason}")
        until(lambda: LOADING[self.kind] in engine.log() or engine.ended(), START_SECONDS[self.kind])
        return engine

    def stop(self) -> None:
        if self._engine is not None:
            self._engine.stop()

    def ask(
        self, path: str, body: object = None, headers: Mapping[str, str] = AUTH, method: str = ""
    ) -> Exchange:
        return Exchange(self.engine.port, method or ("GET" if body is None else "POST"), path, body, headers)

    def metrics(self) -> str:
        with self.ask("/metrics") as answer:
            return answer.body().decode()

    def running(self) -> float:
        return value(self.metrics(), "vllm:num_requests_running")

    def waiting(self) -> float:
        return value(self.metrics(), "vllm:num_requests_waiting")

    def _listens(self, engine: RunningEngine | None) -> bool:
        assert engine is not None
        assert not engine.ended(), engine.log()[-4000:]
        if not engine.listens():
            self.refused_while_loading = True
            return False
        with Exchange(engine.port, "GET", "/health") as answer:
            self.first_status = answer.status
        return True


def completion(**changes: Any) -> dict[str, Any]:
    """A request that both understand: greedy, exactly `max_tokens` long; for both paths."""
    asked = {"model": "tiny", "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
    return asked | {"messages": [{"role": "user", "content": "hello"}], "prompt": "hello"} | changes


def streamed(**changes: Any) -> dict[str, Any]:
    return completion(stream=True, stream_options={"include_usage": True}, **changes)


def response(**changes: Any) -> dict[str, Any]:
    """The same request for /v1/responses, which has words of its own."""
    asked = {"model": "tiny", "max_output_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
    return asked | {"input": "hello"} | changes


def until(true: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Poll a state that must come; the test fails when it does not."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "the awaited state did not come"
        time.sleep(0.1)


def served(kind: Kind, args: list[str], env: Mapping[str, str]) -> Iterator[Server]:
    server = Server(kind, args, env)
    try:
        yield server
    finally:
        server.stop()


def here() -> Path:
    return Path(__file__).parent
