"""Worlds to summarize: each builder gives a healthy one, and takes what is to be wrong."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.status import VerificationState, World
from streaming_operator.values import (
    Capabilities,
    Edge,
    HopResult,
    Observed,
    ObservedPod,
    ObservedRoute,
    ProbeResult,
)

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
CAPABILITIES = Capabilities(
    service_monitors=True, http_routes=True, ingress_classes={"nginx": Edge(profile="ingress-nginx")}
)


def an_endpoint(**spec: Any) -> StreamingEndpoint:
    """The four-line resource, with parts of its spec replaced."""
    return StreamingEndpoint.from_body(
        {
            "metadata": {"name": "qwen", "namespace": "chat", "uid": "u-1", "generation": 3},
            "spec": {
                "model": {"source": {"huggingFace": {"repo": "Qwen/Qwen2.5-0.5B-Instruct"}}},
                "exposure": {"host": "qwen.example.com", "ingress": {"className": "nginx"}},
                **spec,
            },
        }
    )


def observed(**changes: Any) -> Observed:
    """One replica that runs, behind an admitted route."""
    return replace(
        Observed(
            desired_replicas=1,
            replicas=1,
            ready_replicas=1,
            updated_replicas=1,
            rolled_out=True,
            pod_template_hash="t1",
            pods=(ObservedPod("qwen-t1-a", "10.0.0.7", True, "t1"),),
            workload_problem=None,
            route=ObservedRoute(exists=True, admitted=True),
            route_hash="r1",
            service_monitor=True,
            service_address="10.96.0.9",
        ),
        **changes,
    )


def a_result(verdict: Verdict = Verdict.STREAMING, *, at: datetime = NOON, **changes: Any) -> ProbeResult:
    """A verification of that replica."""
    hop = HopResult(Hop.EXPOSURE, "10.0.0.1:80", verdict, f"told {verdict}", ttft_milliseconds=40, done=True)
    return replace(
        ProbeResult(
            verdict, Hop.EXPOSURE, f"told {verdict}", (hop,), "t1", "r1", frozenset({"qwen-t1-a"}), at
        ),
        **changes,
    )


def a_state(verdict: Verdict = Verdict.STREAMING, failures: int = 0) -> VerificationState:
    """What that verification adds up to."""
    result = a_result(verdict)
    return VerificationState(
        verdict, result.hop, result.message, result.hops, "t1", "r1", result.at, failures
    )


def a_world(**changes: Any) -> World:
    """Everything fine and verified."""
    return replace(World(observed=observed(), capabilities=CAPABILITIES, verification=a_state()), **changes)
