"""
StreamingEndpoints for the tests: what is applied, and a handle on one that can be waited for and asked.

A failure to reach a state shows conditions, events, pods and the operator's log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.cluster import kind
from tests.cluster.versions import IMAGES
from tests.e2e import kube, release
from tests.e2e.kube import Manifest
from tests.e2e.release import CHART
from tests.e2e.streams import EdgeAddress, Stream
from tests.e2e.waiting import wait_for

SAMPLES = CHART.parents[1] / "manifests" / "samples"
CHILDREN = "configmap,service,poddisruptionbudget,deployment,ingress"
OWNED = "app.kubernetes.io/managed-by=streaming-operator"
ENDPOINT_LABEL = "streamingendpoints.dev/endpoint"


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """*base* with *change* over it, mappings merged all the way down; None removes."""
    result = dict(base)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


@dataclass(frozen=True)
class Endpoint:
    """One StreamingEndpoint of the cluster."""

    namespace: str
    name: str

    # ---- what it is ----------------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """The host name that its users call."""
        return f"{self.name}.{self.namespace}.example.com"

    def double(self, **change: Any) -> Manifest:
        """A resource served by the double: quick to start, quick to drain, verified again every 30 s."""
        spec = {
            "model": {"source": {"local": {"path": "/models/none"}}},
            "engine": {"image": IMAGES["build"]["double"], "imagePullPolicy": "Never", "version": "0.33.0"},
            "gpu": {"count": 1},
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
            "rollout": {"preStopSeconds": 1, "drainSeconds": 60},
            "exposure": {"host": self.host, "ingress": {"className": "nginx"}},
            "verification": {"intervalSeconds": 30, "failureThreshold": 1},
        }
        return self._resource(merged(spec, change))

    def real(self, **change: Any) -> Manifest:
        """The demo's sample, served by the real vLLM, under this name and host."""
        sample = yaml.safe_load((SAMPLES / "demo.yaml").read_text())["spec"]
        ours = {
            "rollout": {"preStopSeconds": 1, "drainSeconds": 60},
            "exposure": {"host": self.host},
            "verification": {"intervalSeconds": 30, "failureThreshold": 1},
        }
        return self._resource(merged(merged(sample, ours), change))

    def _resource(self, spec: Mapping[str, Any]) -> Manifest:
        return {
            "apiVersion": "streamingendpoints.dev/v1alpha1",
            "kind": "StreamingEndpoint",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": dict(spec),
        }

    # ---- what people do with it ----------------------------------------------------------------------------

    def apply(self, resource: Manifest) -> None:
        """`kubectl apply`."""
        kube.apply(resource)

    def change(self, **spec: Any) -> None:
        """`kubectl patch` of parts of the spec; None removes."""
        kube.patch("sep", self.name, {"spec": spec}, self.namespace)

    def delete(self, *options: str) -> None:
        """`kubectl delete`."""
        kube.delete("sep", self.name, self.namespace, *options)

    def stream(self, edge: EdgeAddress | None = None, **request: Any) -> Stream:
        """Begin a streamed completion through the ingress."""
        return Stream(edge or EdgeAddress(kind.address()), self.host, self.name, **request)

    # ---- what the cluster says of it -----------------------------------------------------------------------

    def body(self) -> Manifest:
        """The resource as it is; fails when it is gone."""
        stored = kube.get("sep", self.name, self.namespace)
        assert stored is not None, f"{self.namespace}/{self.name} is gone"
        return stored

    def conditions(self) -> dict[str, dict[str, Any]]:
        """Conditions of the current generation, by type."""
        body = self.body()
        return {
            condition["type"]: condition
            for condition in body.get("status", {}).get("conditions", ())
            if condition["observedGeneration"] == body["metadata"]["generation"]
        }

    def await_condition(
        self, kind_of: str, status: str, reason: str | None = None, *, saying: str = "", seconds: float = 90
    ) -> str:
        """Wait for a condition of this status (and reason, and words in its message); its message."""

        def look() -> dict[str, Any] | None:
            condition = self.conditions().get(kind_of)
            matches = (
                condition is not None
                and condition["status"] == status
                and reason in (None, condition["reason"])
                and saying in condition["message"]
            )
            return condition if matches else None

        what = f"{kind_of}={status}" + (f" ({reason})" if reason else "") + (f": {saying}" if saying else "")
        return str(wait_for(look, f"{what} of {self.name}", seconds=seconds, tell=self.diagnosis)["message"])

    def await_ready(self, seconds: float = 120) -> None:
        """Wait for Ready."""
        self.await_condition("Ready", "True", seconds=seconds)

    def event(self, reason: str, *, seconds: float = 30) -> str:
        """Wait for an event of this reason about the endpoint; its text."""
        return wait_for(
            lambda: next((e["note"] for e in self._events() if e["reason"] == reason), None),
            f"an event {reason} of {self.name}",
            seconds=seconds,
            tell=self.diagnosis,
        )

    def child(self, resource: str, name: str | None = None) -> Manifest:
        """One child; its name is the endpoint's unless given."""
        stored = kube.get(resource, name or self.name, self.namespace)
        assert stored is not None, f"{resource} {name or self.name} is not there"
        return stored

    def children(self, resources: str = CHILDREN) -> list[Manifest]:
        """All children of these kinds."""
        return kube.listing(resources, self.namespace, f"{OWNED},{ENDPOINT_LABEL}={self.name}")

    def pods(self) -> list[Manifest]:
        """All pods, those that are being deleted too."""
        return kube.listing("pods", self.namespace, f"{ENDPOINT_LABEL}={self.name}")

    def pod(self) -> Manifest:
        """The one pod that is not being deleted."""
        staying = [pod for pod in self.pods() if "deletionTimestamp" not in pod["metadata"]]
        assert len(staying) == 1, self.diagnosis()
        return staying[0]

    def running_requests(self, pod: str) -> float:
        """The engine's own gauge of running requests."""
        text = kube.of_pod(self.namespace, pod, 8000, "/metrics")
        lines = [line for line in text.splitlines() if line.startswith("vllm:num_requests_running")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def _events(self) -> list[Manifest]:
        events = kube.listing("events.events.k8s.io", self.namespace)
        return [event for event in events if event["regarding"].get("name") == self.name]

    def diagnosis(self) -> str:
        """Everything that helps to understand why something did not happen."""
        body = kube.get("sep", self.name, self.namespace) or {}
        conditions = body.get("status", {}).get("conditions", ())
        return "\n".join(
            [
                f"generation {body.get('metadata', {}).get('generation')}",
                *(
                    f"  {c['type']}={c['status']} {c['reason']} ({c['observedGeneration']}): {c['message']}"
                    for c in conditions
                ),
                f"verification: {body.get('status', {}).get('verification')}",
                "events:",
                *(f"  {e.get('type')} {e['reason']}: {e.get('note')}" for e in self._events()[-12:]),
                kube.kubectl("-n", self.namespace, "get", "pods,ingress", "-o", "wide"),
                "operator:",
                release.logs(30),
            ]
        )
