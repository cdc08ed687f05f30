"""The rendered container, started as processes of this machine."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.engines.base import DRAIN_OVER_FILE, FILES_PATH, TLS_PATH
from streaming_operator.values import Capabilities, Manifest
from tests.cluster.programs import listed
from tests.engines.running import Kind, RunningEngine, free_port


class Pod:
    """The rendered container with its mounted files, as processes of this machine."""

    def __init__(
        self,
        kind: Kind,
        folder: Path,
        *more: str,
        wait: bool = True,
        exposure: Mapping[str, Any] | None = None,
        engine: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.port = folder, free_port()
        body = {
            "metadata": {"name": "tiny"},
            "spec": {
                "model": {"source": {"local": {"path": "/opt/model"}}},
                "engine": {
                    "version": "0.32.0",
                    "port": self.port,
                    "sseKeepAliveSeconds": 1,
                    **(engine or {}),
                },
                "gpu": {"count": 0},
                **({"exposure": exposure} if exposure else {}),
            },
        }
        children = render.children(StreamingEndpoint.from_body(body), Capabilities(False, False))
        by_kind: dict[str, Manifest] = {child["kind"]: child for child in children}
        for name, content in by_kind["ConfigMap"]["data"].items():
            (folder / name).write_text(content)
        pod = by_kind["Deployment"]["spec"]["template"]["spec"]
        self.container = pod["containers"][0]
        self._grace_seconds: int = pod["terminationGracePeriodSeconds"]
        given = {one["name"]: self.mounted(one["value"]) for one in self.container["env"]}
        self.env = {
            name: text
            for name, text in given.items()
            if name.startswith(("PYTHONPATH", "STREAMING_", "DOUBLE_", "VLLM_HTTP_"))
        }
        args = [*map(self.mounted, self.container["args"][1:]), "--host", "127.0.0.1", *more]
        self.engine = RunningEngine(kind, args, self.env, wait=wait, port=self.port)

    def mounted(self, text: str) -> str:
        """The same path, where the files lie on this machine."""
        for path in (FILES_PATH, TLS_PATH, str(Path(DRAIN_OVER_FILE).parent)):
            text = text.replace(path, str(self.folder))
        return text

    @property
    def rest_seconds(self) -> int:
        """What the kubelet's grace leaves after the hook's two times; then it kills the server."""
        times = ("--pre-stop-seconds=", "--drain-seconds=")
        rendered = [word for word in self._hook if word.startswith(times)]
        return self._grace_seconds - sum(int(word.partition("=")[2]) for word in rendered)

    def pre_stop(self, drain_seconds: int) -> subprocess.Popen[str]:
        """What the kubelet runs first; PID 1 is the server's process here."""
        command = [sys.executable, *map(self.mounted, self._hook[1:]), f"--pid={self.engine.pid}"]
        times = ["--pre-stop-seconds=0", f"--drain-seconds={drain_seconds}"]
        return subprocess.Popen(listed([*command, *times]), env=self.env, stderr=subprocess.PIPE, text=True)

    @property
    def _hook(self) -> list[str]:
        command: list[str] = self.container["lifecycle"]["preStop"]["exec"]["command"]
        return command


@contextmanager
def running(pod: Pod) -> Iterator[Pod]:
    """The pod's server, stopped at the end whatever happens."""
    with pod.engine:
        yield pod
