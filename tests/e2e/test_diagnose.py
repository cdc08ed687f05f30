"""`streamctl diagnose` from outside of the cluster, as a person with a kubeconfig runs it."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.cluster import kind
from tests.cluster.programs import listed
from tests.e2e import kube
from tests.e2e.endpoints import Endpoint

KEY = "a-key-of-this-test"
NOWHERE = "localhost/nowhere:dev"
LONGEST = 300
"""Seconds for one diagnosis; a few are usual."""
FURTHER = 3
"""Diagnoses at most after an inconclusive one."""


def diagnose(endpoint: Endpoint, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report; nothing of the key is in either output."""
    command = [
        sys.executable,
        "-m",
        "streaming_operator",
        "diagnose",
        endpoint.name,
        "-n",
        endpoint.namespace,
    ]
    done = subprocess.run(
        listed([*command, "--kubeconfig", str(kind.KUBECONFIG), "--output", "json", *words]),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert KEY not in done.stdout + done.stderr
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def conclusive(endpoint: Endpoint, *words: str) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    """
    Exit code, report and its hops; again where a hop was inconclusive.

    A busy machine is late by more than what is judged, the tunnel to a pod included: that says nothing of a hop.
    """
    for _ in range(1 + FURTHER):
        code, report = diagnose(endpoint, *words)
        hops = report["runs"][0]["hops"]
        if "Inconclusive" not in {hop["verdict"] for hop in hops}:
            break
    return code, report, hops


@pytest.fixture(scope="module")
def keyed(shared_namespace: str) -> Endpoint:
    """An endpoint whose engine asks for a key, up and verified."""
    endpoint = Endpoint(shared_namespace, "keyed")
    kube.apply(
        kube.key_secret("key", shared_namespace, KEY),
        endpoint.double(engine={"apiKeySecretRef": {"name": "key"}}),
    )
    endpoint.await_ready(180)
    return endpoint


def test_every_hop_of_a_healthy_endpoint(keyed: Endpoint) -> None:
    """Pod and Service through the API server with the Secret's key, the route through the edge; all stream."""
    code, report, found = conclusive(keyed, "--via", kind.address())
    hops = {hop["hop"]: hop for hop in found}
    assert (code, report["verdict"]) == (0, "Streaming"), report
    assert list(hops) == ["Exposure", "Service", "Pod"]
    assert {hop["verdict"] for hop in found} == {"Streaming"}, [hop["note"] for hop in found]
    assert hops["Pod"]["address"] == f"pod/{keyed.pod()['metadata']['name']}:8000"
    assert "not judged" in hops["Pod"]["note"]
    states = {f"{child['kind']}/{child['name']}": child for child in report["children"]}
    assert states["Deployment/keyed"]["healthy"]
    assert states["Condition/Ready"]["state"] == "True (Ready)"


def test_an_edge_that_is_not_there_is_told_from_the_pod(keyed: Endpoint) -> None:
    """Nobody listens where it is sent: the route is at fault, the pod streams."""
    code, report, hops = conclusive(keyed, "--via", f"{kind.address()}:1")
    assert (code, report["verdict"], report["hop"]) == (4, "Unreachable", "Exposure"), report
    pods = [hop for hop in hops if hop["hop"] == "Pod"]
    assert "Streaming" in {hop["verdict"] for hop in pods}, [hop["note"] for hop in pods]


def test_a_pod_that_does_not_start(endpoint: Endpoint) -> None:
    """The kubelet's reason in words that help, and no request to anybody."""
    endpoint.apply(endpoint.double(engine={"image": NOWHERE, "imagePullPolicy": "IfNotPresent"}))
    endpoint.await_condition("WorkloadAvailable", "False", "ImageNotPulled")
    code, report = diagnose(endpoint)
    assert (code, report["verdict"], report["hop"]) == (1, "ImageNotPulled", "Workload"), report
    assert report["runs"][0]["hops"] == []
    assert "engine.image" in report["remedy"]
    assert "ImageNotPulled" in {child["state"] for child in report["children"] if child["kind"] == "Pod"}
