"""Owns the cluster itself: creates, finds and deletes it, and knows what its node and its API server offer.

The kubeconfig lives in the cache, never in ~/.kube, so that no other cluster can be changed by mistake.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from . import cache, clients, docker, engine_images, network, node_image, steps
from .versions import HERE, Mode

# Another name, with a STREAMING_CACHE of its own, is a second cluster beside the first.
CLUSTER = os.environ.get("STREAMING_CLUSTER") or "streaming"
NODE = f"{CLUSTER}-control-plane"
KUBECONFIG = cache.STATE / "kubeconfig"
AUDIT_LOG = "/var/log/kubernetes/audit.log"
GPU = "nvidia.com/gpu"
GPUS = 32  # what the node advertises unless a test asks for another number: the demo and several tests side by side
_FILES = HERE / "files"
_SYSTEM = (
    ("kube-system", "daemonset/kube-proxy"),
    ("kube-system", "deployment/coredns"),
    ("local-path-storage", "deployment/local-path-provisioner"),
)
_MOUNTS = "    extraMounts:\n"
# Docker Desktop and Podman keep containers in a virtual machine, whose addresses this machine does not reach.
_PORTS = "    extraPortMappings: [{containerPort: 80, hostPort: 0, listenAddress: 127.0.0.1}]\n"
_MARK = "/kind/streaming-digest"  # in the node: what the cluster was made from
_ALREADY_THERE = "node(s) already exist"  # kind's words
_COREFILE_DROPS = ("forward ", "loop")  # they ask a resolver outside, which nothing can reach


def kubectl_argv(*words: str) -> list[str]:
    """A kubectl command line for this cluster."""
    return [str(clients.find("kubectl")), f"--kubeconfig={KUBECONFIG}", *words]


def kubectl(*words: str, stdin: str | None = None) -> str:
    """What kubectl prints; a failure carries its error text."""
    return steps.output(kubectl_argv(*words), stdin=None if stdin is None else stdin.encode())


def apply(manifest: str) -> None:
    """Server-side apply: some CRDs are too large for the annotation of the client-side kind."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)


def node(*words: str, stdin: bytes | None = None) -> str:
    """What a command in the node prints."""
    return steps.output(
        [docker.engine(), "exec", *(["-i"] if stdin is not None else []), NODE, *words], stdin=stdin
    )


def running() -> bool:
    """Whether the cluster's API server answers."""
    return (
        KUBECONFIG.exists()
        and docker.running()
        and steps.succeeds(kubectl_argv("get", "--raw", "/readyz"), seconds=10)
    )


def exists() -> bool:
    """Whether the node's container is there, running or not."""
    return docker.running() and steps.succeeds([docker.engine(), "container", "inspect", NODE])


def up(mode: Mode) -> bool:
    """Leave with a running cluster made from today's sources; whether it had to be created.

    A new one counts as made only after `finished()`: an interrupted `up` begins again.
    """
    closed = network.should_be_closed(mode)
    if closed:
        network.close()
    image = node_image.ensure() if mode == "build" else engine_images.ensure("node")
    config = _config(image, mode)
    # An open network is a matter of registry mode alone: it marks the cluster there.
    digest = cache.key(config, _FILES / "audit-policy.yaml", *([] if closed else ["open"]))
    if running() and steps.succeeds([docker.engine(), "exec", NODE, "grep", "-qx", digest, _MARK]):
        return False
    down()
    _create(config, closed=closed)
    (cache.STATE / "digest").write_text(digest)
    return True


def finished() -> None:
    """Note in the node what the cluster was made from."""
    node("tee", _MARK, stdin=(cache.STATE / "digest").read_bytes() + b"\n")


def _config(image: str, mode: Mode) -> str:
    text = (_FILES / "kind.yaml").read_text()
    if mode == "registry":
        text = text.replace(_MOUNTS, _PORTS + _MOUNTS)
    policy = cache.STATE / "audit-policy.yaml"
    return text.replace("@NAME@", CLUSTER).replace("@IMAGE@", image).replace("@POLICY@", str(policy))


def _create(config: str, *, closed: bool) -> None:
    cache.STATE.mkdir(parents=True, exist_ok=True)
    (cache.STATE / "audit-policy.yaml").write_text((_FILES / "audit-policy.yaml").read_text())
    path = cache.STATE / "kind.yaml"
    path.write_text(config)
    with steps.step("create the kind cluster (about 20 s)"):
        try:
            _make_node(path)
        except steps.Failure as failure:
            if _ALREADY_THERE not in failure.what:
                raise
            # Of a call that was interrupted: the engine went on making its node after `down` had looked.
            down()
            _make_node(path)
    _settle(closed=closed)


def _make_node(config: Path) -> None:
    steps.run(
        [
            clients.find("kind"),
            "create",
            "cluster",
            "--config",
            config,
            "--kubeconfig",
            KUBECONFIG,
            "--wait",
            "180s",
            "--retain",
        ],
        cache.log("kind-create"),
        env=docker.kind_provider(),
        remedy=f"the node still stands: {docker.engine()} exec {NODE} journalctl -u kubelet | tail",
    )


def _settle(*, closed: bool) -> None:
    """Wait until a pod can be made and a name be looked up."""
    with steps.step("wait for the system pods"):
        await_true(lambda: _found("default", "serviceaccount/default"), "the default service account")
        if closed:
            _answer_foreign_names_at_once()
        for namespace, name in _SYSTEM:
            await_true(partial(_found, namespace, name), name)
            kubectl("-n", namespace, "rollout", "status", name, "--timeout=600s")


def _found(namespace: str, name: str) -> bool:
    return steps.succeeds(kubectl_argv("-n", namespace, "get", name))


def _answer_foreign_names_at_once() -> None:
    """CoreDNS passes foreign names on to a resolver that nothing reaches: without that they fail at once."""
    settings = json.loads(kubectl("-n", "kube-system", "get", "configmap", "coredns", "-o", "json"))
    corefile = without_forwarding(settings["data"]["Corefile"])
    patch = json.dumps({"data": {"Corefile": corefile}})
    kubectl("-n", "kube-system", "patch", "configmap", "coredns", "--type=merge", "-p", patch)
    kubectl("-n", "kube-system", "scale", "deployment", "coredns", "--replicas=1")
    kubectl("-n", "kube-system", "rollout", "restart", "deployment", "coredns")


def without_forwarding(corefile: str) -> str:
    """The Corefile without the plugins that ask outside."""
    kept, depth = [], 0
    for line in corefile.splitlines():
        word = line.strip()
        if depth or word.startswith(_COREFILE_DROPS):
            depth += word.count("{") - word.count("}")
            continue
        kept.append(line)
    return "\n".join(kept) + "\n"


def set_gpus(count: int) -> None:
    """Make the node advertise this many GPUs; it has none, which the scheduler need not know."""
    name = GPU.replace("/", "~1")
    patch = [
        {"op": "add", "path": f"/status/{part}/{name}", "value": str(count)}
        for part in ("capacity", "allocatable")
    ]
    kubectl("patch", "node", NODE, "--subresource=status", "--type=json", "-p", json.dumps(patch))


def audit_entries() -> list[dict[str, Any]]:
    """What the API server noted about the operator's service accounts, oldest first."""
    text = node("sh", "-c", f"cat {AUDIT_LOG} 2>/dev/null || true")
    return [json.loads(line) for line in text.splitlines() if line]


def address() -> str:
    """The node's address, which this machine reaches: host ports and NodePorts answer there."""
    template = f'{{{{(index .NetworkSettings.Networks "{network.NAME}").IPAddress}}}}'
    return steps.output([docker.engine(), "inspect", "--format", template, NODE]).strip()


def edge() -> tuple[str, int]:
    """Where this machine reaches port 80 of the node: the published port, else the node's own address."""
    text = steps.output([docker.engine(), "inspect", "--format", "{{json .NetworkSettings.Ports}}", NODE])
    for published in json.loads(text).get("80/tcp") or ():
        return "127.0.0.1", int(published["HostPort"])
    return address(), 80


def down() -> None:
    """Delete the cluster if there is one."""
    if exists():
        with steps.step("delete the kind cluster"):
            program = clients.find("kind")
            steps.run(
                [program, "delete", "cluster", "--name", CLUSTER, "--kubeconfig", KUBECONFIG],
                cache.log("kind-delete"),
                env=docker.kind_provider(),
            )
    Path(KUBECONFIG).unlink(missing_ok=True)


def await_true(ready: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Poll until `ready()`; a `Failure` that names what was waited for otherwise."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise steps.Failure(
                f"not within {seconds:.0f} s: {what}",
                remedy=f"kubectl --kubeconfig={KUBECONFIG} get pods -A",
            )
        time.sleep(0.3)
