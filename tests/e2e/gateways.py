"""What an administrator makes for the Gateway API, a user's own route without any settings, and what both look at."""

import json
import subprocess
import sys
from collections.abc import Collection
from typing import Any

from tests.cluster.programs import listed
from tests.e2e.endpoints import Endpoint
from tests.e2e.kube import Manifest
from tests.e2e.streamctl import streamctl
from tests.e2e.streams import EdgeAddress, Stream
from tests.e2e.waiting import wait_for

API = "gateway.networking.k8s.io/v1"
FURTHER = 3
"""Probes at most after one that a busy machine left undecided: that says nothing of the edge."""
INCONCLUSIVE = ("Inconclusive",)
UNDECIDED = (*INCONCLUSIVE, "Truncated")
"""A cut is no more than that where two streams were cut at ages that differ."""


def gateway_class(name: str, controller: str, parameters: Manifest | None = None) -> Manifest:
    """A GatewayClass."""
    spec: dict[str, Any] = {"controllerName": controller}
    if parameters is not None:
        group = parameters["apiVersion"].partition("/")[0]
        metadata = parameters["metadata"]
        spec["parametersRef"] = {
            "group": group,
            "kind": parameters["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
        }
    return {"apiVersion": API, "kind": "GatewayClass", "metadata": {"name": name}, "spec": spec}


def gateway(name: str, namespace: str, class_name: str, port: int = 80) -> Manifest:
    """A Gateway with one listener without TLS, for the routes of every namespace."""
    listener = {
        "name": "http",
        "port": port,
        "protocol": "HTTP",
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return {
        "apiVersion": API,
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"gatewayClassName": class_name, "listeners": [listener]},
    }


def plain_route(name: str, namespace: str, parent: Manifest, host: str, service: str) -> Manifest:
    """An HTTPRoute as somebody writes it who knows nothing of streams: the edge's defaults hold for it."""
    metadata = parent["metadata"]
    return {
        "apiVersion": API,
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": metadata["name"], "namespace": metadata["namespace"]}],
            "hostnames": [host],
            "rules": [{"backendRefs": [{"name": service, "port": 80}]}],
        },
    }


def conditions(stored: Manifest | None) -> dict[str, tuple[str, str]]:
    """Status and reason of a Gateway's conditions, by type."""
    entries = (stored or {}).get("status", {}).get("conditions", ())
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in entries}


def one_that_fits_and_one_that_does_not(
    endpoint: Endpoint, edge: EdgeAddress, drain_seconds: int
) -> tuple[Stream, Stream]:
    """
    Two streams under way: one that ends well within the edge's drain, and one that takes at least five times as long.

    The first is silent for a third of it, so that it is still there when whoever drains the edge has begun.
    """
    silence = {"X-Double-Silence-After-Tokens": "5", "X-Double-Silence-Seconds": str(drain_seconds / 3)}
    short = endpoint.stream(edge, max_tokens=10, headers=silence)
    pace = {"X-Double-Inter-Token-Latency": "50"}
    long = endpoint.stream(edge, max_tokens=100 * drain_seconds, headers=pace)
    for stream in (short, long):
        stream.await_events(5)
    return short, long


def probe(edge: EdgeAddress, host: str, *words: str) -> dict[str, Any]:
    """The report of `streamctl probe`, as an administrator runs it from outside of the cluster."""
    command = [sys.executable, "-m", "streaming_operator", "probe", f"http://{host}"]
    command += ["--via", f"{edge.address}:{edge.port}", "--output", "json", *words]
    for _ in range(1 + FURTHER):
        done = subprocess.run(listed(command), capture_output=True, text=True, check=False)
        assert done.stdout, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        if report["verdict"] not in UNDECIDED:
            break
    return report


def verify(endpoint: Endpoint, again: Collection[str] = UNDECIDED) -> dict[str, Any]:
    """Have the operator verify it now, anew after a verdict of *again*: it streams through the edge; the report."""
    for _ in range(1 + FURTHER):
        code, report = streamctl("verify", endpoint.name, "-n", endpoint.namespace, "--timeout", "240")
        if report["verdict"] not in again:
            break
    assert (code, report["verdict"], report["hop"]) == (0, "Streaming", "Exposure"), report
    return report


def await_verdict(endpoint: Endpoint, verdict: str) -> None:
    """The operator comes to this verdict, asked again until the edge runs with what it was told."""

    def said() -> bool:
        _, report = streamctl("verify", endpoint.name, "-n", endpoint.namespace, "--timeout", "240")
        return bool(report["verdict"] == verdict)

    wait_for(said, f"{verdict} of {endpoint.name}", seconds=180, tell=endpoint.diagnosis)


def await_every_check(endpoint: Endpoint) -> None:
    """The operator judges every check of it, asked again: on a busy machine the engine may be late with its metrics."""

    def judged() -> bool:
        code, report = streamctl("verify", endpoint.name, "-n", endpoint.namespace, "--timeout", "240")
        return code == 0 and "not judged" not in report["message"]

    wait_for(judged, f"every check of {endpoint.name}", seconds=180, tell=endpoint.diagnosis)
