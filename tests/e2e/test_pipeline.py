"""The last step of a pipeline, as it runs there: a diff, an apply, and the verdict of the operator."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import kind
from tests.cluster.programs import listed
from tests.e2e.endpoints import Endpoint

LONGEST = 300
"""Seconds for one command; a few are usual."""


def streamctl(*words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report."""
    command = [sys.executable, "-m", "streaming_operator", *words, "--kubeconfig", str(kind.KUBECONFIG)]
    done = subprocess.run(
        listed([*command, "--output", "json"]), capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_pipeline_sees_what_it_changes_and_ends_with_a_verdict(endpoint: Endpoint, tmp_path: Path) -> None:
    """A new flag replaces the pods, and is said to; once applied, nothing differs and the new pods are verified."""
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    file = tmp_path / "endpoint.yaml"
    file.write_text(yaml.safe_dump(endpoint.double(podMetadata={"annotations": {"example.com/run": "2"}})))
    code, report = streamctl("diff", "-f", str(file))
    assert (code, report["effect"]) == (11, "pods"), report

    endpoint.apply(yaml.safe_load(file.read_text()))
    assert streamctl("diff", "-f", str(file))[0] == 0
    code, report = streamctl("verify", endpoint.name, "-n", endpoint.namespace, "--timeout", "240")
    assert (code, report["verdict"], report["hop"]) == (0, "Streaming", "Exposure"), report
    assert report["url"] == f"http://{endpoint.host}"
    status = endpoint.body()["status"]
    assert status["requestedVerification"]["request"] == report["request"]
    replaced = [
        pod["metadata"]["labels"]["pod-template-hash"]
        for pod in endpoint.pods()
        if pod["metadata"].get("annotations", {}).get("example.com/run") == "2"
    ]
    assert replaced == [status["verification"]["podTemplateHash"]]
