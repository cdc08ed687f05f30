"""
The Deployment of the model servers.

Every field is one that we own. The pod template depends on the spec alone: whatever else slipped in (a
version, a time, a capability) would restart GPUs for nothing.
"""

import math

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.workload import ResourceClaim
from streaming_operator.engines.base import Engine, grace_seconds
from streaming_operator.kinds import Kind
from streaming_operator.render import volumes
from streaming_operator.values import Manifest

DEPLOYMENTS = Kind("apps/v1", "Deployment", "deployments")
CONTAINER_NAME = "engine"
PORT_NAME = "http"
CONTAINER_SECURITY_CONTEXT: Manifest = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

STARTUP_PERIOD_SECONDS = 5
PROGRESS_MARGIN_SECONDS = 120
"""Scheduling and the image's pull, on top of the old pod's grace and the new one's start."""


def deployment(endpoint: StreamingEndpoint, engine: Engine) -> Manifest:
    """One Deployment, its replicas always ours."""
    spec = endpoint.spec
    start = spec.startup.timeout_seconds
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _workload_metadata(endpoint),
        "spec": {
            "replicas": spec.replicas if endpoint.alone_among is None else endpoint.alone_among,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": grace_seconds(endpoint) + start + PROGRESS_MARGIN_SECONDS,
            "strategy": strategy(endpoint),
            "selector": {"matchLabels": naming.selector(endpoint)},
            "template": {"metadata": _pod_metadata(endpoint), "spec": _pod_spec(endpoint, engine)},
        },
    }


def _workload_metadata(endpoint: StreamingEndpoint) -> Manifest:
    """Our metadata, the user's labels below ours, and the user's annotations."""
    given = endpoint.spec.workload_metadata
    metadata = naming.metadata(endpoint)
    metadata["labels"] = given.labels | metadata["labels"]
    if given.annotations:
        metadata["annotations"] = dict(given.annotations)
    return metadata


def strategy(endpoint: StreamingEndpoint) -> Manifest:
    """How pods are replaced: in place unless the user asks for surge, since a surge pod needs a free GPU."""
    rollout = endpoint.spec.rollout
    if rollout.strategy == "Recreate":
        return {"type": "Recreate"}
    if rollout.strategy == "Auto":
        surge, unavailable = 0, 1
    else:
        surge = 1 if rollout.max_surge is None else rollout.max_surge
        unavailable = rollout.max_unavailable or 0
    if endpoint.alone_among is not None:
        surge, unavailable = (1, 0) if surge else (0, 1)
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def _pod_metadata(endpoint: StreamingEndpoint) -> Manifest:
    """The user's labels below ours, and the user's annotations."""
    given = endpoint.spec.pod_metadata
    metadata: Manifest = {"labels": given.labels | naming.labels(endpoint)}
    if given.annotations:
        metadata["annotations"] = dict(given.annotations)
    return metadata


def _pod_spec(endpoint: StreamingEndpoint, engine: Engine) -> Manifest:
    """Everything of the pod but its scheduling."""
    spec = endpoint.spec
    pod: Manifest = {
        # A Service named vllm would inject VLLM_PORT=tcp://..., with which vLLM does not start.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds(endpoint),
        "securityContext": _given(endpoint, spec.pod_security_context, _pod_security_context()),
        "containers": [_container(endpoint, engine)],
        "volumes": volumes.volumes(endpoint),
    }
    if others := [*map(_sidecar, spec.sidecars), *map(_other_container, spec.init_containers)]:
        pod["initContainers"] = others
    if spec.service_account_name is None:
        pod["automountServiceAccountToken"] = False
    else:
        pod["serviceAccountName"] = spec.service_account_name
    if spec.gpu.resource_claims:
        pod["resourceClaims"] = [_pod_claim(claim) for claim in spec.gpu.resource_claims]
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in spec.image_pull_secrets]
    return pod | _scheduling(endpoint)


def _scheduling(endpoint: StreamingEndpoint) -> Manifest:
    """Where the pods may run; only what the user set."""
    spec = endpoint.spec
    own_pods = {"labelSelector": {"matchLabels": naming.selector(endpoint)}}
    fields: Manifest = {
        "schedulerName": spec.scheduler_name,
        "runtimeClassName": spec.runtime_class_name,
        "priorityClassName": spec.priority_class_name,
        "nodeSelector": dict(spec.node_selector),
        "tolerations": list(spec.tolerations),
        "affinity": spec.affinity,
        "topologySpreadConstraints": [own_pods | given for given in spec.topology_spread_constraints],
    }
    return {key: value for key, value in fields.items() if value}


def _given(endpoint: StreamingEndpoint, given: Manifest | None, default: Manifest) -> Manifest:
    """The user's own, an empty one too: it leaves everything to the cluster. Before version 3 it meant unset."""
    if given is None or (not given and endpoint.pod_version < 3):
        return default
    return given


def _pod_security_context() -> Manifest:
    """The user that vLLM's image is prepared for; a group of 0 makes its files writable."""
    return {
        "runAsNonRoot": True,
        "runAsUser": 2000,
        "runAsGroup": 0,
        "fsGroup": 0,
        # A claim full of weights must not be walked through at every start.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _container(endpoint: StreamingEndpoint, engine: Engine) -> Manifest:
    """The model server."""
    spec = endpoint.spec
    container: Manifest = {
        "name": CONTAINER_NAME,
        "image": spec.engine.image,
        "imagePullPolicy": spec.engine.image_pull_policy,
        "args": engine.args(endpoint),
        "env": engine.env(endpoint),
        "ports": [{"name": PORT_NAME, "containerPort": spec.engine.port, "protocol": "TCP"}],
        **_probes(endpoint, engine),
        "lifecycle": {"preStop": {"exec": {"command": engine.drain_command(endpoint)}}},
        # So that a condition can quote the last line of a server that crashed.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _given(endpoint, spec.security_context, CONTAINER_SECURITY_CONTEXT),
        "volumeMounts": volumes.mounts(endpoint),
    }
    command = engine.command(endpoint)
    if command is not None:
        container["command"] = command
    if spec.engine.env_from:
        container["envFrom"] = list(spec.engine.env_from)
    resources = _resources(endpoint)
    if resources:
        container["resources"] = resources
    return container


def _sidecar(container: Manifest) -> Manifest:
    """A container beside the server, as Kubernetes has them: an init container that is started again when it ends."""
    return _other_container(container) | {"restartPolicy": "Always"}


def _other_container(container: Manifest) -> Manifest:
    """One of the user's containers; what it leaves open is as in the server's."""
    defaults = {
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": CONTAINER_SECURITY_CONTEXT,
    }
    return defaults | container


def _probes(endpoint: StreamingEndpoint, engine: Engine) -> Manifest:
    """
    The health path for all three: the port refuses connections until the model is loaded.

    Liveness is slow on purpose: a saturated engine answers late, and a kill cuts its streams.
    """
    get: Manifest = {"httpGet": {"path": engine.health_path, "port": PORT_NAME}}
    if endpoint.spec.engine.tls is not None:
        get["httpGet"]["scheme"] = "HTTPS"
    budget = math.ceil(endpoint.spec.startup.timeout_seconds / STARTUP_PERIOD_SECONDS)
    startup = {"periodSeconds": STARTUP_PERIOD_SECONDS, "timeoutSeconds": 5, "failureThreshold": budget}
    return {
        "startupProbe": get | startup,
        "readinessProbe": get | {"periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6},
        "livenessProbe": get | {"periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 30},
    }


def _pod_claim(claim: ResourceClaim) -> Manifest:
    """One claim of the pod."""
    names = {
        "resourceClaimName": claim.resource_claim_name,
        "resourceClaimTemplateName": claim.resource_claim_template_name,
    }
    return {"name": claim.name} | {key: name for key, name in names.items() if name}


def _resources(endpoint: StreamingEndpoint) -> Manifest:
    """The user's amounts, and the GPUs in both: an extended resource cannot be overcommitted."""
    spec = endpoint.spec
    counted = spec.gpu.count and not spec.gpu.resource_claims
    gpus = {spec.gpu.resource_name: str(spec.gpu.count)} if counted else {}
    amounts: Manifest = {"requests": spec.resources.requests | gpus, "limits": spec.resources.limits | gpus}
    amounts["claims"] = [
        {"name": claim.name} | ({"request": claim.request} if claim.request else {})
        for claim in spec.gpu.resource_claims
    ]
    return {key: value for key, value in amounts.items() if value}
