"""A client as a process of its own, and what it prints as it reads."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from tests.cluster.programs import listed
from tests.engines.running import MODEL, end
from tests.probe.clients import installed
from tests.probe.packages import unpacked

HERE = Path(__file__).parent
WAIT_SECONDS = 120.0
"""Longest wait for a line that must come; generous, since two cores are shared with other work."""
NAMES = ("openai-python", "openai-node", "ai-sdk", "fetch")
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_SCRIPTS = {"openai-node": "openai.cjs", "ai-sdk": "ai.cjs", "fetch": "fetch.cjs"}
_LOCK = HERE.parent / "clients.lock"


class Client:
    """One of `NAMES`, which asks at `base` (with /v1) for a stream."""

    def __init__(
        self,
        name: str,
        base: str,
        tokens: int,
        *,
        leave_after: int = 0,
        address: str = "",
        model: str = MODEL,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """*address* is where it finds every host, as DNS would have it; by default it asks DNS."""
        asked = {"base": base, "model": model, "tokens": tokens, "leaveAfter": leave_after}
        asked |= {"address": address, "headers": dict(headers)}
        self._command, self._environment = _command(name, json.dumps(asked))
        self._lines: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            listed(self._command),
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self._process, WAIT_SECONDS)
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def line(self) -> dict[str, Any]:
        """The next line that it prints; what is none of its JSON, such as an error, fails."""
        text = self._lines.get(timeout=WAIT_SECONDS)
        try:
            parsed: dict[str, Any] = json.loads(text)
        except ValueError:
            raise AssertionError(text + "".join(self._rest())) from None
        return parsed

    def to_the_end(self) -> list[dict[str, Any]]:
        """The lines up to the one that says how it ended."""
        lines = [self.line()]
        while "ending" not in lines[-1]:
            lines.append(self.line())
        return lines

    def ask_again(self) -> None:
        """It has left; now it asks once more, and reads to the end."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def nothing_yet(self) -> bool:
        """Whether it has printed nothing so far."""
        return self._lines.empty()

    def alive(self) -> bool:
        """Whether its process goes on."""
        return self._process.poll() is None

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("the client has ended\n")

    def _rest(self) -> list[str]:
        self._reader.join(WAIT_SECONDS)
        return list(self._lines.queue)


def _command(name: str, asked: str) -> tuple[list[str], dict[str, str]]:
    if name in _SCRIPTS:
        node = installed.node()
        return node.command(HERE / _SCRIPTS[name], asked), node.environment()
    sdk = unpacked("clients", _LOCK, "OpenAI's SDK from PyPI (about 12 MB, once)")
    environment = os.environ | {"PYTHONPATH": str(sdk), "NO_PROXY": "*", "no_proxy": "*"}
    return [sys.executable, str(HERE / "openai_sdk.py"), asked], environment
