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
RUN = {"name": "RUN", "value": "2"}


def streamctl(*words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report."""
    command = [sys.executable, "-m", "streaming_operator", *words, "--kubeconfig", str(kind.KUBECONFIG)]
    done = subprocess.run(
        listed([*command, "--output", "json"]), capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_pipeline_sees_what_it_changes_and_ends_with_a_verdict(endpoint: Endpoint, tmp_path: Path) -> None:
    """A new variable replaces the pods, and is said to; once applied, nothing differs and the new pods are verified."""
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    file = tmp_path / "endpoint.yaml"
    file.write_text(yaml.safe_dump(endpoint.double(engine={"env": [RUN]})))
    code, report = streamctl("diff", "-f", str(file))
    assert (code, report["effect"]) == (11, "pods"), report

    endpoint.apply(yaml.safe_load(file.read_text()))
    assert streamctl("diff", "-f", str(file))[0] == 0
    code, report = streamctl("verify", endpoint.name, "-n", endpoint.namespace, "--timeout", "240")
    assert (code, report["verdict"], report["hop"]) == (0, "Streaming", "Exposure"), report
    assert report["url"] == f"http://{endpoint.host}"
    status = endpoint.body()["status"]
    assert status["requestedVerification"]["request"] == report["request"]
    pod = endpoint.pod()
    assert RUN in pod["spec"]["containers"][0]["env"]
    assert status["verification"]["podTemplateHash"] == pod["metadata"]["labels"]["pod-template-hash"]


def test_a_pipeline_whose_edit_is_refused_does_not_end_with_the_old_pods_stream(
    endpoint: Endpoint,
) -> None:
    """The administrator's policy refuses an annotation: the pods that run stream on, and the pipeline fails."""
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    endpoint.change(podMetadata={"annotations": {"example.com/run": "2"}})
    endpoint.await_condition("Stalled", "True", "PodNotAllowed")
    code, report = streamctl("verify", endpoint.name, "-n", endpoint.namespace)
    assert (code, report["verdict"]) == (1, "PodNotAllowed"), report
