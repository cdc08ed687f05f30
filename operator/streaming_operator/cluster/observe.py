"""
The children of one endpoint as they are, from the caches alone.

Sends no request. The one thing it remembers is which pod template had which hash, so that a scale-up that the
Deployment controller has not handled yet does not look like a new template.
"""

from datetime import datetime
from typing import Any

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import resources, route_status, workload_status
from streaming_operator.cluster.drift import digest
from streaming_operator.cluster.objects import ENDED, Cached, Source, cluster_ip, own
from streaming_operator.kinds import Key
from streaming_operator.kube.objects import Body
from streaming_operator.routes.base import remarks
from streaming_operator.values import Manifest, Observed, ObservedPod, ObservedRoute, Problem

TEMPLATE_HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


class Observer:
    """Translates cached objects into `Observed`."""

    def __init__(self, caches: Source, quotes: bool = True) -> None:
        self._caches = caches
        self._quotes = quotes
        self._templates: dict[Key, tuple[str, str]] = {}

    def forget(self, key: Key) -> None:
        """Drop what is remembered of an endpoint."""
        self._templates.pop(key, None)

    def observe(
        self,
        endpoint: StreamingEndpoint,
        children: tuple[Manifest, ...],
        refused: Problem | None,
        url: str | None,
        retried: str | None = None,
    ) -> Observed:
        """
        Everything that belongs to *endpoint*; *children* are what was rendered, *refused* why its route is not written,
        *url* what users call as far as the route does not say it, *retried* what has its requests sent again.
        """
        deployment = own(self._caches, endpoint, resources.DEPLOYMENTS)
        service = own(self._caches, endpoint, resources.SERVICES)
        every = self._pods(endpoint, deployment)
        pods = [(pod, pod_body) for pod, pod_body in every if pod_body["status"].get("phase") not in ENDED]
        body: Body = deployment.body if deployment else {}
        status = body.get("status") or {}
        wanted = _wanted(children, "Deployment")
        template_hash = self._template_hash(endpoint, deployment, body)
        newest = [
            pod_body
            for _, pod_body in every  # one that the node ended says why another has to start
            if template_hash is None or _template_hash_of(pod_body) == template_hash
        ]
        return Observed(
            desired_replicas=int(((wanted or body).get("spec") or {}).get("replicas") or 0),
            replicas=int(status.get("replicas") or 0),
            ready_replicas=int(status.get("readyReplicas") or 0),
            updated_replicas=int(status.get("updatedReplicas") or 0),
            rolled_out=_rolled_out(body),
            pod_template_hash=template_hash,
            pods=tuple(_observed_pod(*pod) for pod in sorted(pods, key=lambda pod: pod[0].key)),
            workload_problem=workload_status.of_workload(
                body, newest if self._quotes else [_without_quotes(pod) for pod in newest]
            ),
            route=self._route(endpoint, refused, retried),
            route_hash=render.route_hash(children, url),
            service_monitor=own(self._caches, endpoint, resources.SERVICE_MONITORS) is not None,
            service_address=cluster_ip(service.body) if service else None,
        )

    def route_addresses(self, endpoint: StreamingEndpoint) -> tuple[str, ...]:
        """Addresses from the status of the endpoint's Ingress or Gateways."""
        exposure = endpoint.spec.exposure
        if exposure is None or exposure.ingress is None:  # an Ingress of before may still be there
            return self._gateway_addresses(endpoint)
        route = own(self._caches, endpoint, resources.INGRESSES)
        return route_status.ingress_addresses(route) if route is not None else ()

    def _pods(self, endpoint: StreamingEndpoint, deployment: Cached | None) -> list[tuple[Cached, Body]]:
        """
        Pods of the endpoint's Deployment, also ended ones, with their content; none of an earlier Deployment.
        """
        if deployment is None:
            return []
        sets = {
            stored.uid
            for stored in self._caches.of_endpoint(endpoint.key, resources.REPLICA_SETS)
            if stored.is_controlled_by(deployment.uid)
        }
        return [
            (pod, pod.body)
            for pod in self._caches.of_endpoint(endpoint.key, resources.PODS)
            if pod.controller is not None and pod.controller.uid in sets
        ]

    def _template_hash(
        self, endpoint: StreamingEndpoint, deployment: Cached | None, body: Body
    ) -> str | None:
        """`pod-template-hash` of the template as it is now; None until the controller has made one."""
        if deployment is None:
            return None
        template = digest(body["spec"]["template"])
        if is_status_current(body):
            revision = (body["metadata"].get("annotations") or {}).get(REVISION)
            for replica_set in self._caches.of_endpoint(endpoint.key, resources.REPLICA_SETS):
                set_body = replica_set.body
                if replica_set.is_controlled_by(deployment.uid) and set_body["revision"] == revision:
                    self._templates[endpoint.key] = (template, _template_hash_of(set_body))
        known, name = self._templates.get(endpoint.key, ("", ""))
        return name if known == template and name else None

    def _route(
        self, endpoint: StreamingEndpoint, refused: Problem | None, retried: str | None
    ) -> ObservedRoute | None:
        """State of the route; None when nothing is exposed."""
        exposure = endpoint.spec.exposure
        if exposure is None:
            return None
        remark = remarks((self._policy_remark(endpoint), retried))
        if exposure.ingress is not None:
            stored = own(self._caches, endpoint, resources.INGRESSES)
            classes = {known.key[1] for known in self._caches.every(resources.INGRESS_CLASSES)}
            problem = route_status.ingress_problem(exposure.ingress.class_name, classes, refused)
            return ObservedRoute(
                exists=stored is not None,
                admitted=stored is not None and problem is None,
                problem=problem,
                addresses=route_status.ingress_addresses(stored) if stored else (),
                written_at=_written_at(stored),
                remark=remark,
            )
        stored = own(self._caches, endpoint, resources.HTTP_ROUTES)
        gateways = {"/".join(known.key) for known in self._caches.every(resources.GATEWAYS)}
        problem = route_status.http_route_problem(
            stored, endpoint, gateways, self._caches.has(resources.HTTP_ROUTES), refused
        )
        return ObservedRoute(
            exists=stored is not None,
            admitted=stored is not None and problem is None,
            problem=problem,
            addresses=self._gateway_addresses(endpoint),
            written_at=_written_at(stored),
            remark=remark,
        )

    def _policy_remark(self, endpoint: StreamingEndpoint) -> str | None:
        """What an edge says against a policy of the endpoint."""
        kinds = (*resources.POLICIES, resources.BACKEND_TLS_POLICIES)
        policies = ((kind, own(self._caches, endpoint, kind)) for kind in kinds)
        refused = (
            route_status.policy_remark(kind.kind, stored) for kind, stored in policies if stored is not None
        )
        return next((said for said in refused if said is not None), None)

    def _gateway_addresses(self, endpoint: StreamingEndpoint) -> tuple[str, ...]:
        """
        Addresses from the status of the first Gateway that exists of those that carry the endpoint's HTTPRoute: the one
        whose listener users call (`routes.listeners`).
        """
        exposure = endpoint.spec.exposure
        refs = exposure.http_route.parent_refs if exposure and exposure.http_route else ()
        gateways = (
            self._caches.get(resources.GATEWAYS, (ref.namespace or endpoint.namespace, ref.name))
            for ref in refs
        )
        first = next((gateway for gateway in gateways if gateway is not None), None)
        return route_status.gateway_addresses([first] if first is not None else [])


def _without_quotes(pod: Body) -> Body:
    """A pod without what its containers wrote before they ended."""
    statuses = {
        name: [
            {
                **container,
                **{
                    moment: {
                        state: {key: value for key, value in (of or {}).items() if key != "message"}
                        if state == "terminated"
                        else of
                        for state, of in (container.get(moment) or {}).items()
                    }
                    for moment in ("state", "lastState")
                },
            }
            for container in pod["status"].get(name) or ()
        ]
        for name in ("initContainerStatuses", "containerStatuses")
    }
    return {**pod, "status": {**pod["status"], **statuses}}


def _wanted(children: tuple[Manifest, ...], kind: str) -> Manifest | None:
    """The rendered child of a kind of which there is at most one."""
    return next((child for child in children if child["kind"] == kind), None)


def is_status_current(deployment: dict[str, Any]) -> bool:
    """Whether the controller observed this generation of the Deployment."""
    status = deployment.get("status") or {}
    return int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation") or 1)


def _rolled_out(deployment: dict[str, Any]) -> bool:
    """Whether every replica is of the newest template and no older one is left."""
    if not deployment or not is_status_current(deployment):
        return False
    status = deployment.get("status") or {}
    wanted = int((deployment.get("spec") or {}).get("replicas") or 0)
    return int(status.get("updatedReplicas") or 0) == wanted == int(status.get("replicas") or 0)


def _template_hash_of(body: Body) -> str:
    """The label by which a Deployment tells its templates apart, of a ReplicaSet or pod."""
    return str((body["metadata"].get("labels") or {}).get(TEMPLATE_HASH_LABEL, ""))


def _observed_pod(pod: Cached, body: Body) -> ObservedPod:
    """One pod as a fact."""
    status = body["status"]
    started = [
        running["startedAt"]
        for container in status.get("containerStatuses") or ()
        if (running := (container.get("state") or {}).get("running")) and running.get("startedAt")
    ]
    return ObservedPod(
        name=pod.key[1],
        ip=status.get("podIP"),
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ()),
        template_hash=_template_hash_of(body),
        terminating=pod.deleting,
        started_at=datetime.fromisoformat(min(started)) if started else None,
    )


def _written_at(stored: Cached | None) -> datetime | None:
    """When we last changed an object."""
    return stored.written_at if stored else None
