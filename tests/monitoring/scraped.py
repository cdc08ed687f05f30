"""A real Prometheus on loopback that scrapes what a test gives it; and the queries of our dashboards."""

import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster import tools
from tests.cluster.programs import listed

PATIENCE = 180.0
"""Seconds until a test gives up on Prometheus; it takes about two."""
DASHBOARDS = Path(__file__).resolve().parents[2] / "charts" / "streaming-operator" / "dashboards"
Sample = dict[str, Any]


class Prometheus:
    """The process and its API."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self._log = process, log
        self._address = self.until(self._listening, "a port")
        self.until(self._ready, "ready")

    def ask(self, query: str) -> list[Sample]:
        """The samples of a query now, as the API gives them."""
        return self._get("query", query=query)["result"]  # type: ignore[no-any-return]

    def ask_over(self, query: str, begin: float, end: float) -> list[Sample]:
        """The series of a query between two Unix times, a value each second."""
        return self._get("query_range", query=query, start=f"{begin:.3f}", end=f"{end:.3f}", step="1s")[  # type: ignore[no-any-return]
            "result"
        ]

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes, reachable or not."""
        return self._get("targets", state="active")["activeTargets"]  # type: ignore[no-any-return]

    def until(self, holds: Any, what: str) -> Any:
        """What *holds* returns once that is something."""
        deadline = time.monotonic() + PATIENCE
        while not (value := holds()):
            assert self._process.poll() is None, f"it ended:\n{self._log.read_text()}"
            assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}"
            time.sleep(0.1)
        return value

    def _listening(self) -> str:
        match = re.search(r"Listening on.* address=(127\.0\.0\.1:\d+)", self._log.read_text())
        return match[1] if match else ""

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=30) as answer:
                return bool(answer.status == 200)
        except urllib.error.URLError:
            return False

    def _get(self, path: str, **words: str) -> Any:
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]


def a_job(name: str, port: int, **labels: str) -> dict[str, Any]:
    """A scrape, with the labels that a ServiceMonitor brings about."""
    return {
        "job_name": name,
        "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": labels}],
    }


@contextmanager
def prometheus(folder: Path, jobs: list[dict[str, Any]], rules: list[dict[str, Any]]) -> Iterator[Prometheus]:
    """Scrape these jobs (`scrape_configs`) every second and evaluate these PrometheusRules; killed at the end."""
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    files = [folder / f"{rule['metadata']['name']}.json" for rule in rules]
    for file, rule in zip(files, rules, strict=True):
        file.write_text(json.dumps(rule["spec"]))
    config = {"global": every, "scrape_configs": jobs, "rule_files": list(map(str, files))}
    (folder / "prometheus.yaml").write_text(json.dumps(config))
    log = folder / "prometheus.log"
    words = [
        tools.build("prometheus-server")["prometheus"],
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(listed(words), stdout=out, stderr=out)
    try:
        yield Prometheus(process, log)
    finally:
        process.kill()
        process.wait()


def dashboards() -> dict[str, dict[str, Any]]:
    """By the name of the file."""
    return {path.name: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def queries(dashboard: Mapping[str, Any], values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Title of the panel and each of its queries, with Grafana's variables filled in."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], filled(target["expr"], values)


def filled(text: str, values: Mapping[str, str]) -> str:
    """A query without variables; a variable without a value is an error."""
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], text)
