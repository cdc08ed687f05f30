"""The PrometheusRule of an endpoint, and promtool, which evaluates it."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.values import Capabilities, Edge
from tests.cluster import tools
from tests.cluster.programs import listed

CAPABILITIES = Capabilities(True, True, {"nginx": Edge("ingress-nginx")}, prometheus_rules=True)
ENGINE = 'namespace="models",job="qwen",pod="qwen-1"'
PROBE = 'namespace="models",name="qwen"'
Series = Mapping[str, str]


def a_rule(**spec: Any) -> dict[str, Any]:
    """The PrometheusRule of an endpoint."""
    body = {
        "metadata": {"name": "qwen", "namespace": "models"},
        "spec": {
            "model": {"source": {"huggingFace": {"repo": "org/model"}}},
            "exposure": {"host": "qwen.example.com", "ingress": {"className": "nginx"}},
            **spec,
        },
    }
    children = render.children(StreamingEndpoint.from_body(body), CAPABILITIES)
    return next(child for child in children if child["kind"] == "PrometheusRule")


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    """The program, ended."""
    program = tools.build("promtool")["promtool"]
    return subprocess.run(listed([program, *words]), capture_output=True, text=True, check=False)


def alerts(rule: dict[str, Any]) -> list[dict[str, Any]]:
    """Its alerting rules."""
    return [one for group in rule["spec"]["groups"] for one in group["rules"] if "alert" in one]


def judged(folder: Path, rule: dict[str, Any], cases: list[dict[str, Any]], every: str = "1m") -> None:
    """Evaluate the rule over the series of each case; the sample expressions of a case must hold."""
    (folder / "rules.yaml").write_text(json.dumps(rule["spec"]))
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": every, "tests": cases}
    (folder / "test.yaml").write_text(json.dumps(document))
    ended = promtool("test", "rules", str(folder / "test.yaml"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
