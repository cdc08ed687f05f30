"""No field of a spec gives a tenant more than a container, unless the administrator allows that very thing."""

import re
from dataclasses import replace
from typing import Any

import pytest

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import pod_policy
from streaming_operator.settings import PodPolicy
from streaming_operator.values import Capabilities

OPEN = PodPolicy(
    security_context="any",
    capabilities=("ALL", "SYS_ADMIN"),
    service_account_names=("*",),
    priority_class_names=("*",),
    env_secret_names=("*",),
    control_plane_nodes=True,
    host_access=True,
    labels=("*",),
    annotations=("*",),
    service_annotations=("*",),
)
"""What the chart's values can open."""
UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "privileged": ({"securityContext": {"privileged": True}}, "securityContext"),
    "all capabilities": ({"securityContext": {"capabilities": {"add": ["ALL"]}}}, "capabilities"),
    "SYS_ADMIN": ({"securityContext": {"capabilities": {"add": ["CHOWN", "SYS_ADMIN"]}}}, "capabilities"),
    "procMount": ({"securityContext": {"procMount": "Unmasked"}}, "securityContext"),
    "seccomp": ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "securityContext"),
    "seccomp of the pod": ({"podSecurityContext": {"seccompProfile": {"type": "Unconfined"}}}, "securityContext"),
    "AppArmor": ({"podSecurityContext": {"appArmorProfile": {"type": "Unconfined"}}}, "securityContext"),
    "SELinux type": ({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}, "securityContext"),
    "SELinux user": ({"podSecurityContext": {"seLinuxOptions": {"user": "system_u"}}}, "securityContext"),
    "Windows host process": ({"podSecurityContext": {"windowsOptions": {"hostProcess": True}}}, "securityContext"),
    "Windows of the container": ({"securityContext": {"windowsOptions": {"hostProcess": True}}}, "securityContext"),
    "sysctl": ({"podSecurityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}, "securityContext"),
    "account": ({"serviceAccountName": "argocd-deployer"}, "serviceAccountNames"),
    "default account": ({"serviceAccountName": "default"}, "serviceAccountNames"),
    "rank": ({"priorityClassName": "system-node-critical"}, "priorityClassNames"),
    "Secret by envFrom": ({"engine": {"envFrom": [{"secretRef": {"name": "cloud"}}]}}, "envSecretNames"),
    "Secret by env": (
        {"engine": {"env": [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]}},
        "envSecretNames",
    ),
    "taints of control planes": (
        {"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]},
        "controlPlaneNodes",
    ),
    "old taints of control planes": (
        {"tolerations": [{"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"}]},
        "controlPlaneNodes",
    ),
    "every taint": ({"tolerations": [{"operator": "Exists"}]}, "controlPlaneNodes"),
    "every taint with an effect": (
        {"tolerations": [{"operator": "Exists", "effect": "NoSchedule"}]},
        "controlPlaneNodes",
    ),
    "nodes of the control plane": (
        {"nodeSelector": {"node-role.kubernetes.io/control-plane": ""}},
        "controlPlaneNodes",
    ),
    "affinity to the control plane": (
        {
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {
                                "matchExpressions": [
                                    {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}
                                ]
                            }
                        ]
                    }
                }
            }
        },
        "controlPlaneNodes",
    ),
    "label of a Service": ({"podMetadata": {"labels": {"app": "payments"}}}, "labels"),
    "label of Kubernetes": ({"podMetadata": {"labels": {"k8s-app": "kube-dns"}}}, "labels"),
    "label of a chart": ({"podMetadata": {"labels": {"app.kubernetes.io/component": "db"}}}, "labels"),
    "AppArmor by annotation": (
        {"podMetadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/engine": "unconfined"}}},
        "annotations",
    ),
    "second network": (
        {"podMetadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "kube-system/host-net"}}},
        "annotations",
    ),
    "host path of a sidecar": (
        {"podMetadata": {"annotations": {"sidecar.istio.io/userVolume": '[{"hostPath":{"path":"/"}}]'}}},
        "annotations",
    ),
    "label of a GitOps tool on the Deployment": (
        {"workloadMetadata": {"labels": {"argocd.argoproj.io/instance": "platform"}}},
        "labels",
    ),
    "label by which Flux prunes the Deployment": (
        {"workloadMetadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "platform"}}},
        "labels",
    ),
    "tracking id of a GitOps tool": (
        {"workloadMetadata": {"annotations": {"argocd.argoproj.io/tracking-id": "platform:apps/Deployment:prod/api"}}},
        "annotations",
    ),
    "restarts by a reloader": (
        {"workloadMetadata": {"annotations": {"secret.reloader.stakater.com/reload": "db"}}},
        "annotations",
    ),
    "Secrets by a controller of Deployments": (
        {"workloadMetadata": {"annotations": {"wave.pusher.com/update-on-config-change": "true"}}},
        "annotations",
    ),
    "DNS name by a Service's annotation": (
        {"service": {"annotations": {"external-dns.alpha.kubernetes.io/hostname": "www.example.com"}}},
        "serviceAnnotations",
    ),
    "label of another tool on the Service": ({"service": {"labels": {"k8s-app": "kube-dns"}}}, "labels"),
    "Secret by a volume": ({"volumes": [{"name": "s", "secret": {"secretName": "db"}}]}, "envSecretNames"),
    "Secret by a projected volume": (
        {"volumes": [{"name": "s", "projected": {"sources": [{"secret": {"name": "db"}}]}}]},
        "envSecretNames",
    ),
    "Secret of a driver": (
        {"volumes": [{"name": "s", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "db"}}}]},
        "envSecretNames",
    ),
    "Secret of a share": (
        {"volumes": [{"name": "s", "azureFile": {"secretName": "db", "shareName": "s"}}]},
        "envSecretNames",
    ),
    "Secret by an init container's env": (
        {"initContainers": [{"name": "i", "image": "i", "env": [
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "db", "key": "k"}}}]}]},
        "envSecretNames",
    ),
    "Secret by a sidecar's envFrom": (
        {"sidecars": [{"name": "s", "image": "s", "envFrom": [{"secretRef": {"name": "db"}}]}]},
        "envSecretNames",
    ),
    "privileged init container": (
        {"initContainers": [{"name": "i", "image": "i", "securityContext": {"privileged": True}}]},
        "securityContext",
    ),
    "capabilities of a sidecar": (
        {"sidecars": [{"name": "s", "image": "s", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]},
        "capabilities",
    ),
    "token of the default account": (
        {"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]},
        "serviceAccountNames",
    ),
    "Secrets by an agent": (
        {"podMetadata": {"annotations": {"vault.hashicorp.com/agent-inject": "true"}}},
        "annotations",
    ),
}  # fmt: skip
FIT: dict[str, dict[str, Any]] = {
    "nothing": {},
    "credentials": {
        "engine": {"apiKeySecretRef": {"name": "key"}},
        "model": {"source": {"huggingFace": {"repo": "a/b", "tokenSecretRef": {"name": "hf"}}}},
    },
    "context of the cluster (OpenShift)": {"podSecurityContext": {}, "securityContext": {}},
    "root": {"podSecurityContext": {"runAsUser": 0}},
    "read-only": {"securityContext": {"readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}},
    "GPU nodes": {
        "nodeSelector": {"example.com/pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    },
    "RuntimeClass": {"runtimeClassName": "nvidia"},
    "settings from a ConfigMap": {"engine": {"envFrom": [{"configMapRef": {"name": "engine"}}]}},
    "name of the pod": {
        "engine": {"env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}
    },
    "volumes and containers": {
        "volumes": [
            {"name": "templates", "configMap": {"name": "templates"}},
            {"name": "weights", "nfs": {"server": "nfs.example.com", "path": "/models"}},
        ],
        "initContainers": [{"name": "pull", "image": "i", "envFrom": [{"configMapRef": {"name": "c"}}]}],
        "sidecars": [{"name": "proxy", "image": "i", "securityContext": {"runAsNonRoot": True}}],
    },
    "queues": {
        "podMetadata": {
            "labels": {"kai.scheduler/queue": "a", "kueue.x-k8s.io/queue-name": "gpu"},
            "annotations": {"karpenter.sh/do-not-disrupt": "true", "prometheus.io/scrape": "true"},
        }
    },
    "time limits of an edge at the Service": {
        "service": {"annotations": {"konghq.com/read-timeout": "3600000", "cloud.google.com/neg": "{}"}}
    },
    "certificate of the pods": {"engine": {"tls": {"secretName": "qwen-tls"}}},
    "queues of Deployments": {
        "workloadMetadata": {
            "labels": {"kueue.x-k8s.io/queue-name": "gpu"},
            "annotations": {"kueue.x-k8s.io/safe-to-forcefully-delete": "false"},
        }
    },
}


def an_endpoint(**spec: Any) -> StreamingEndpoint:
    model = {"source": {"huggingFace": {"repo": "a/b"}}}
    return StreamingEndpoint.from_body(
        {"metadata": {"name": "chat", "namespace": "tenant", "uid": "u"}, "spec": {"model": model, **spec}}
    )


@pytest.mark.parametrize(("spec", "setting"), UNFIT.values(), ids=UNFIT)
def test_what_reaches_beyond_a_container_is_refused(spec: dict[str, Any], setting: str) -> None:
    """By default; the message names the field and the value of the chart, and that value allows it."""
    endpoint = an_endpoint(**spec)
    refused = pod_policy.refused(endpoint, (), PodPolicy())
    assert [one.setting for one in refused] == [setting]
    message = pod_policy.message(refused)
    assert refused[0].field.split(".")[1].split("[")[0] in spec
    assert f"podPolicy.{setting}" in message
    assert pod_policy.refused(endpoint, (), OPEN) == ()
    name = re.sub("(.)([A-Z])", r"\1_\2", setting).lower()
    only = replace(PodPolicy(), **{name: getattr(OPEN, name)})
    assert pod_policy.refused(endpoint, (), only) == ()


@pytest.mark.parametrize("spec", FIT.values(), ids=FIT)
def test_what_model_servers_need_is_allowed(spec: dict[str, Any]) -> None:
    """By default."""
    assert pod_policy.refused(an_endpoint(**spec), (), PodPolicy()) == ()


@pytest.mark.parametrize(
    ("policy", "spec"),
    [
        (PodPolicy(security_context="restricted"), {"podSecurityContext": {"runAsUser": 0}}),
        (PodPolicy(security_context="restricted"), {"securityContext": {"runAsNonRoot": False}}),
        (PodPolicy(security_context="restricted"), {"securityContext": {"allowPrivilegeEscalation": True}}),
        (PodPolicy(runtime_class_names=("gvisor",)), {"runtimeClassName": "kata"}),
        (PodPolicy(credential_secret_names=("llm-*",)), {"engine": {"apiKeySecretRef": {"name": "db"}}}),
        (PodPolicy(credential_secret_names=("llm-*",)), {"engine": {"tls": {"secretName": "db"}}}),
    ],
)
def test_more_can_be_closed(policy: PodPolicy, spec: dict[str, Any]) -> None:
    """Root, runtime classes, and the Secrets that keys come from."""
    assert pod_policy.refused(an_endpoint(**spec), (), PodPolicy()) == ()
    assert len(pod_policy.refused(an_endpoint(**spec), (), policy)) == 1


def test_a_capability_can_be_allowed_alone() -> None:
    """Gaudi's and RDMA's images need one each."""
    endpoint = an_endpoint(securityContext={"capabilities": {"add": ["SYS_NICE"]}})
    assert len(pod_policy.refused(endpoint, (), PodPolicy())) == 1
    assert pod_policy.refused(endpoint, (), PodPolicy(capabilities=("SYS_NICE",))) == ()


@pytest.mark.parametrize(
    "pod",
    [
        {"hostNetwork": True},
        {"hostPID": True},
        {"hostIPC": True},
        {"nodeName": "node"},
        {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]},
        {"initContainers": [{"ports": [{"hostPort": 80}]}]},
    ],
)
def test_nothing_of_the_node_is_rendered(pod: dict[str, Any]) -> None:
    """Whatever field may come to lead there: it is the rendered pod that is looked at."""
    deployment = {"kind": "Deployment", "spec": {"template": {"spec": pod}}}
    assert [one.setting for one in pod_policy.refused(an_endpoint(), [deployment], PodPolicy())] == [
        "hostAccess"
    ]
    assert pod_policy.refused(an_endpoint(), [deployment], OPEN) == ()


@pytest.mark.parametrize(
    "spec",
    [
        {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]},
        {"sidecars": [{"name": "s", "image": "s", "ports": [{"containerPort": 80, "hostPort": 80}]}]},
        {"initContainers": [{"name": "i", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80}]}]},
    ],
)
def test_paths_and_ports_of_the_node_are_refused(spec: dict[str, Any]) -> None:
    """Volumes and containers of users reach no node, unless the administrator gives `hostAccess`."""
    endpoint = an_endpoint(**spec)
    children = render.children(endpoint, Capabilities(False, False))
    assert [one.setting for one in pod_policy.refused(endpoint, children, PodPolicy())] == ["hostAccess"]
    assert pod_policy.refused(endpoint, children, replace(PodPolicy(), host_access=True)) == ()


def test_the_restricted_level_takes_its_kinds_of_volumes() -> None:
    """As the Pod Security Standards have it."""
    nfs = an_endpoint(volumes=[{"name": "w", "nfs": {"server": "s", "path": "/"}}])
    mapped = an_endpoint(volumes=[{"name": "w", "configMap": {"name": "c"}}])
    restricted = PodPolicy(security_context="restricted")
    assert [one.setting for one in pod_policy.refused(nfs, (), restricted)] == ["securityContext"]
    assert pod_policy.refused(mapped, (), restricted) == ()
