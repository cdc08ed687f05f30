"""
Whether an endpoint's pods may be made: what the administrator lets tenants ask of a pod. Pure.

The operator writes the Deployment with its own rights, so who may create an endpoint has them for a pod. What reaches
beyond the container is refused here, before the write, unless the chart's `podPolicy` allows it. The rules for security
contexts are those of the Pod Security Standards' level *baseline*.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streaming_operator.api.endpoint import EndpointSpec, StreamingEndpoint
from streaming_operator.settings import PodPolicy
from streaming_operator.values import Manifest

CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
BASELINE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
BASELINE_SELINUX_TYPES = frozenset(
    {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
)
RESTRICTED_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC", "nodeName", "hostAliases")
SHOWN = 4
"""Refusals that a message lists; each is found again when these are corrected."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One part of a spec that the policy does not allow."""

    field: str
    why: str
    setting: str
    """The chart's value that allows it."""

    def __str__(self) -> str:
        return f"{self.field}: {self.why} (podPolicy.{self.setting})"


def message(refused: Iterable[Refused]) -> str:
    """What a condition says: each field, why, and the value to set."""
    parts = [str(one) for one in refused]
    more = f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
    return (
        f"The administrator's podPolicy does not allow {'; '.join(parts[:SHOWN])}{more}. The Deployment is not "
        "written, and one that is there stays as it is. Remove it from the spec, or let the administrator set the "
        "value that is named in the operator's chart"
    )


def refused(
    endpoint: StreamingEndpoint, children: Iterable[Manifest], policy: PodPolicy
) -> tuple[Refused, ...]:
    """Everything of an endpoint's pods that the policy does not allow."""
    spec = endpoint.spec
    pods = [child["spec"]["template"]["spec"] for child in children if child["kind"] == "Deployment"]
    return (
        *_names(spec, policy),
        *_secrets(spec, policy),
        *_scheduling(spec, policy),
        *_metadata(spec, policy),
        *_security(spec, policy),
        *_volumes(spec, policy),
        *(one for pod in pods for one in _host(pod, policy)),
    )


def concern_the_service(refused: Iterable[Refused]) -> bool:
    """Whether the policy refuses something of the Service, which is not written then either."""
    return any(one.field.startswith("spec.service.") for one in refused)


def refused_credentials(endpoint: StreamingEndpoint, policy: PodPolicy) -> tuple[Refused, ...]:
    """
    Secrets that a probe would send although they are not listed. Asked before each probe: pods of an earlier spec go on
    running when the policy refuses a new one, and would get the new one's key.
    """
    return tuple(
        Refused(f"spec.{field}", f"Secret {name} is not listed", "credentialSecretNames")
        for field, name in sent_secrets(endpoint.spec)
        if not _allowed(name, policy.credential_secret_names)
    )


def sent_secrets(spec: EndpointSpec) -> Iterator[tuple[str, str]]:
    """Secrets whose content a probe sends, or proves to have, by their field."""
    verification = spec.verification
    for field, ref in (
        ("engine.apiKeySecretRef", spec.engine.api_key_secret_ref),
        ("verification.headersSecretRef", verification.headers_secret_ref),
        ("verification.tls.clientCertSecretRef", verification.tls.client_cert_secret_ref),
    ):
        if ref is not None:
            yield field, ref.name


def _allowed(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name is listed; `*` at the end of an entry stands for any rest."""
    return any(
        name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])) for pattern in patterns
    )


def _names(spec: EndpointSpec, policy: PodPolicy) -> Iterator[Refused]:
    """Objects that a pod names, and that give it rights or rank."""
    for field, name, patterns, setting in (
        (
            "serviceAccountName",
            spec.service_account_name,
            policy.service_account_names,
            "serviceAccountNames",
        ),
        ("priorityClassName", spec.priority_class_name, policy.priority_class_names, "priorityClassNames"),
        ("runtimeClassName", spec.runtime_class_name, policy.runtime_class_names, "runtimeClassNames"),
    ):
        if name is not None and not _allowed(name, patterns):
            yield Refused(f"spec.{field}", f"{name} is not listed", setting)


def _secrets(spec: EndpointSpec, policy: PodPolicy) -> Iterator[Refused]:
    """Secrets whose content a container gets."""
    for field, name in (*_by_env(spec), *_by_volume(spec)):
        if not _allowed(name, policy.env_secret_names):
            yield Refused(f"spec.{field}", f"Secret {name} is not listed", "envSecretNames")
    source = spec.model.source.hugging_face
    for field, key in (
        ("engine.apiKeySecretRef", spec.engine.api_key_secret_ref),
        ("model.source.huggingFace.tokenSecretRef", source.token_secret_ref if source else None),
    ):
        if key is not None and not _allowed(key.name, policy.credential_secret_names):
            yield Refused(f"spec.{field}", f"Secret {key.name} is not listed", "credentialSecretNames")
    tls = spec.engine.tls
    if tls is not None and not _allowed(tls.secret_name, policy.credential_secret_names):
        yield Refused("spec.engine.tls", f"Secret {tls.secret_name} is not listed", "credentialSecretNames")


def _by_env(spec: EndpointSpec) -> Iterator[tuple[str, str]]:
    """Secrets in variables of the server and of the containers beside it, by their field."""
    own = [{"name": one.name, "valueFrom": one.value_from} for one in spec.engine.env]
    server = {"env": own, "envFrom": spec.engine.env_from}
    for field, container in (("engine", server), *_other_containers(spec)):
        for at, one in enumerate(container.get("env") or ()):
            ref = _inner(_inner(one, "valueFrom"), "secretKeyRef")
            if ref:
                yield f"{field}.env[{at}].valueFrom.secretKeyRef", _name(ref)
        for at, one in enumerate(container.get("envFrom") or ()):
            if ref := _inner(one, "secretRef"):
                yield f"{field}.envFrom[{at}].secretRef", _name(ref)


def _other_containers(spec: EndpointSpec) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The containers beside the server, by their field."""
    for field, containers in (("initContainers", spec.init_containers), ("sidecars", spec.sidecars)):
        for at, container in enumerate(containers):
            yield f"{field}[{at}]", container


def _by_volume(spec: EndpointSpec) -> Iterator[tuple[str, str]]:
    """Secrets in volumes, or that a driver gets to mount them, by their field."""
    for at, volume in enumerate(spec.volumes):
        for name in _volume_secrets(volume):
            yield f"volumes[{at}]", name


def _volume_secrets(source: Any) -> Iterator[str]:
    """Names of Secrets in one volume, however deep: plain, projected, of a driver."""
    if isinstance(source, list | tuple):
        for inner in source:
            yield from _volume_secrets(inner)
    if isinstance(source, Mapping):
        for key, inner in source.items():
            if key == "secretName":
                yield str(inner)
            elif key in ("secret", "secretRef", "nodePublishSecretRef") and _name(inner):
                yield _name(inner)
            else:
                yield from _volume_secrets(inner)


def _volumes(spec: EndpointSpec, policy: PodPolicy) -> Iterator[Refused]:
    """The token of an account that may not be named, and kinds of volumes beyond the level *restricted*."""
    for at, volume in enumerate(spec.volumes):
        sources = _inner(volume, "projected").get("sources") or ()
        account = spec.service_account_name or "default"
        if any("serviceAccountToken" in source for source in sources) and not _allowed(
            account, policy.service_account_names
        ):
            yield Refused(f"spec.volumes[{at}]", f"holds the token of {account}", "serviceAccountNames")
        beyond = sorted(set(volume) - {"name"} - RESTRICTED_VOLUMES)
        if policy.security_context == "restricted" and beyond:
            yield Refused(f"spec.volumes[{at}]", ", ".join(beyond), "securityContext")


def _name(ref: Any) -> str:
    return str(ref.get("name") or "") if isinstance(ref, Mapping) else ""


def _scheduling(spec: EndpointSpec, policy: PodPolicy) -> Iterator[Refused]:
    """Nodes of the control plane."""
    if policy.control_plane_nodes:
        return
    setting = "controlPlaneNodes"
    for at, toleration in enumerate(spec.tolerations):
        key = toleration.get("key") or ""
        if key in CONTROL_PLANE or not key:
            what = "tolerates every taint" if not key else "tolerates the taint of control planes"
            yield Refused(f"spec.tolerations[{at}]", what, setting)
    for key in spec.node_selector:
        if key in CONTROL_PLANE:
            yield Refused("spec.nodeSelector", f"{key} selects control planes", setting)
    if any(_has_text(spec.affinity, key) for key in CONTROL_PLANE):
        yield Refused("spec.affinity", "names the label of control planes", setting)


def _has_text(value: Any, text: str) -> bool:
    """Whether plain data holds this text; deeper than a Pod's affinity can be, nothing is looked for."""
    pending = [value]
    while pending:
        one = pending.pop()
        if one == text:
            return True
        if isinstance(one, Mapping):
            pending += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            pending += one
    return False


def _metadata(spec: EndpointSpec, policy: PodPolicy) -> Iterator[Refused]:
    """
    Labels, by which a pod joins other Services and policies and a Deployment or Service another tool's objects, and
    annotations, by which other controllers change them or act for them.
    """
    pods, workload, service = spec.pod_metadata, spec.workload_metadata, spec.service
    for field, given, patterns, setting in (
        ("podMetadata.labels", pods.labels, policy.labels, "labels"),
        ("podMetadata.annotations", pods.annotations, policy.annotations, "annotations"),
        ("workloadMetadata.labels", workload.labels, policy.labels, "labels"),
        ("workloadMetadata.annotations", workload.annotations, policy.annotations, "annotations"),
        ("service.labels", service.labels, policy.labels, "labels"),
        ("service.annotations", service.annotations, policy.service_annotations, "serviceAnnotations"),
    ):
        for key in given:
            if not _allowed(key, patterns):
                yield Refused(f"spec.{field}", f"{key} is not listed", setting)


def _security(spec: EndpointSpec, policy: PodPolicy) -> Iterator[Refused]:
    """Security contexts beyond the level *baseline*."""
    if policy.security_context == "any":
        return
    for field, context in (
        ("podSecurityContext", spec.pod_security_context),
        ("securityContext", spec.security_context),
        *((f"{field}.securityContext", one.get("securityContext")) for field, one in _other_containers(spec)),
    ):
        for why, setting in _beyond_baseline(context or {}, policy):
            yield Refused(f"spec.{field}", why, setting)


def _beyond_baseline(context: Mapping[str, Any], policy: PodPolicy) -> Iterator[tuple[str, str]]:
    """What is beyond the level, and the smallest value of the policy that allows it."""
    added = set(_strings(_inner(context, "capabilities").get("add")))
    if beyond := sorted(added - BASELINE_CAPABILITIES - {*policy.capabilities}):
        yield f"capabilities.add {', '.join(beyond)}", "capabilities"
    for why in _beyond_level(context, policy):
        yield why, "securityContext"


def _beyond_level(context: Mapping[str, Any], policy: PodPolicy) -> Iterator[str]:
    if context.get("privileged"):
        yield "privileged"
    if policy.security_context == "restricted":
        yield from _beyond_restricted(context)
    if context.get("procMount") not in (None, "", "Default"):
        yield "procMount"
    for profile in ("seccompProfile", "appArmorProfile"):
        if _inner(context, profile).get("type") == "Unconfined":
            yield f"{profile} Unconfined"
    options = _inner(context, "seLinuxOptions")
    if (
        options.get("user")
        or options.get("role")
        or (options.get("type") or "") not in BASELINE_SELINUX_TYPES
    ):
        yield "seLinuxOptions"
    if _inner(context, "windowsOptions").get("hostProcess"):
        yield "windowsOptions.hostProcess"
    sysctls = [one.get("name") for one in context.get("sysctls") or () if isinstance(one, Mapping)]
    if beyond := sorted({str(name) for name in sysctls} - BASELINE_SYSCTLS):
        yield f"sysctls {', '.join(beyond)}"


def _beyond_restricted(context: Mapping[str, Any]) -> Iterator[str]:
    if context.get("runAsUser") == 0:
        yield "runAsUser 0"
    if context.get("runAsNonRoot") is False:
        yield "runAsNonRoot false"
    if context.get("allowPrivilegeEscalation"):
        yield "allowPrivilegeEscalation"


def _inner(context: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = context.get(name)
    return value if isinstance(value, Mapping) else {}


def _strings(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else []


def _host(pod: Mapping[str, Any], policy: PodPolicy) -> Iterator[Refused]:
    """What a rendered pod has of its node, whatever field of the spec it came from."""
    if policy.host_access:
        return
    for field in HOST_FIELDS:
        if pod.get(field):
            yield Refused(f"the pod's {field}", "is the node's", "hostAccess")
    for volume in pod.get("volumes") or ():
        if "hostPath" in volume:
            yield Refused(f"the pod's volume {volume.get('name')}", "hostPath is the node's", "hostAccess")
    for container in (*(pod.get("initContainers") or ()), *(pod.get("containers") or ())):
        if any(port.get("hostPort") for port in container.get("ports") or ()):
            yield Refused("the pod's hostPort", "is the node's", "hostAccess")
