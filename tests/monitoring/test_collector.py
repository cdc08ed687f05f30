"""The example for an OpenTelemetry Collector, in a real one: what it finds at an API server, and what it sends."""

import gzip
import json
import os
import queue
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from tests.apiserver.control_plane import ControlPlane
from tests.cluster import tools
from tests.cluster.programs import listed
from tests.engines.running import RunningEngine, free_port
from tests.monitoring.test_without_operator import MANIFESTS, applied, discovering

pytestmark = [pytest.mark.apiserver, pytest.mark.programs("otelcol")]

CONFIG = MANIFESTS / "monitoring" / "otel-collector.yaml"
RUNNING = "vllm:num_requests_running"
PATIENCE = 180.0
"""Seconds until a test gives up on what the collector sends; it scrapes every second here."""
Received = dict[str, Any]


@contextmanager
def otlp() -> Iterator[tuple[str, "queue.Queue[Received]"]]:
    """Address and queue of a receiver of OTLP by HTTP, as JSON."""
    received: queue.Queue[Received] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            text = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            received.put(json.loads(text) | {"path": self.path})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def collector(config: Path, folder: Path, sink: str) -> Iterator[Callable[[], str]]:
    """The collector with this configuration, killed at the end; what it logged once it has ended by itself."""
    log = folder / "otelcol.log"
    program = tools.build("otelcol")["otelcol"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            listed([program, f"--config={config}"]),
            stdout=out,
            stderr=out,
            env=os.environ | {"OTLP_ENDPOINT": sink},
        )
    try:
        yield lambda: (log.read_text() or "no output") if process.poll() is not None else ""
    finally:
        process.kill()
        process.wait()


def services(received: Received) -> Iterator[tuple[str, set[str]]]:
    """`service.name`, which Prometheus calls job, and the names of the metrics that came with it."""
    for resource in received["resourceMetrics"]:
        names = {pair["key"]: pair["value"].get("stringValue") for pair in resource["resource"]["attributes"]}
        metrics = {metric["name"] for scope in resource["scopeMetrics"] for metric in scope["metrics"]}
        yield names["service.name"], metrics


def test_an_endpoints_metrics_are_sent_under_its_name(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """
    The example as it stands but for what is this machine's: kubeconfig and token, where the pod listens, how often it
    is asked, and JSON instead of protobuf.
    """
    minimal = {"model": {"source": {"huggingFace": {"repo": "org/model"}}}}
    applied(control_plane, namespace, minimal, "plain", "10.9.0.1")
    config = yaml.safe_load(CONFIG.read_text())
    token = tmp_path / "token"
    token.write_text("of the service account")
    with RunningEngine("double") as engine, otlp() as (sink, received):
        receiver = config["receivers"]["prometheus"]["config"]
        jobs = discovering(receiver["scrape_configs"], control_plane, namespace)
        for job in jobs:
            where = {"target_label": "__address__", "replacement": f"127.0.0.1:{engine.port}"}
            job["relabel_configs"].append(where)
            job |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
            if "authorization" in job:
                job["authorization"]["credentials_file"] = str(token)
        config["exporters"]["otlphttp"] |= {"encoding": "json"}
        # Its own metrics have a port of their own, 8888 by default.
        address = {"host": "127.0.0.1", "port": free_port()}
        readers = [{"pull": {"exporter": {"prometheus": address}}}]
        config["service"]["telemetry"] = {"metrics": {"readers": readers}}
        file = tmp_path / "collector.yaml"
        file.write_text(yaml.safe_dump(config))

        with collector(file, tmp_path, sink) as ended:
            sent: dict[str, set[str]] = {}
            deadline = time.monotonic() + PATIENCE
            while RUNNING not in sent.get("plain", set()):
                assert not ended(), ended()
                assert time.monotonic() < deadline, sent
                try:
                    got = received.get(timeout=1)
                except queue.Empty:
                    continue
                assert got["path"] == "/v1/metrics"
                for service, metrics in services(got):
                    sent.setdefault(service, set()).update(metrics)
    assert set(sent) == {"plain"}
    assert "up" in sent["plain"]
