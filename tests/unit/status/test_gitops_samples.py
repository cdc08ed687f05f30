"""The objects with which Argo CD's health check is tested are what the operator writes."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from streaming_operator.api.crd import UNOBSERVED
from streaming_operator.api.endpoint import API_VERSION, KIND
from streaming_operator.api.reasons import Reason, Verdict
from streaming_operator.status import World, summarize
from streaming_operator.values import Problem

from .worlds import NOON, a_state, a_world, an_endpoint, observed

TESTDATA = Path(__file__).resolve().parents[3] / "manifests" / "gitops" / "argocd" / "testdata"
LOADING = Problem(Reason.MODEL_LOADING, "the engine loads the model")
CRASHING = Problem(Reason.CRASHING, "the engine ends at start: ValueError")
MINIMAL = {
    "model": {"source": {"huggingFace": {"repo": "Qwen/Qwen2.5-0.5B-Instruct"}}},
    "exposure": {"host": "qwen.example.com", "ingress": {"className": "nginx"}},
}


def down(problem: Problem) -> World:
    """No replica is ready."""
    return a_world(observed=observed(ready_replicas=0, rolled_out=False, workload_problem=problem))


def a_body(world: World | None, *, generation: int = 3, after: float = 0, **spec: Any) -> dict[str, Any]:
    """The endpoint with the status of a world that lasts for *after* seconds; as it was applied when None."""
    body: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "qwen", "namespace": "chat", "uid": "u-1", "generation": generation},
        "spec": {**MINIMAL, **spec},
    }
    body["status"] = {"observedGeneration": UNOBSERVED}
    if world is not None:
        first = summarize(an_endpoint(**spec), world, {}, NOON)
        body["status"] = summarize(an_endpoint(**spec), world, first, NOON + timedelta(seconds=after))
    return body


BODIES = {
    "healthy": a_body(a_world()),
    "new": a_body(None, generation=1),
    "edited": a_body(a_world(), generation=4),
    "progressing": a_body(down(LOADING)),
    "degraded-crashing": a_body(down(CRASHING), after=3600),
    "degraded-buffered": a_body(a_world(verification=a_state(Verdict.BUFFERED, 3))),
    "scaled-to-zero": a_body(a_world(observed=observed(replicas=0, ready_replicas=0)), replicas=0),
    "suspended": a_body(a_world(), suspend=True),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_sample_is_what_the_operator_writes(name: str) -> None:
    """A changed condition changes the sample, and with it what Argo CD is shown."""
    assert yaml.safe_load((TESTDATA / f"{name}.yaml").read_text()) == BODIES[name]


def test_every_sample_is_compared() -> None:
    """No file is left from a state that is no more."""
    assert {file.stem for file in TESTDATA.glob("*.yaml")} == set(BODIES)
