"""What `make demo` says before it begins and when it has ended: its parts and their usual times, what to try next."""

from __future__ import annotations

import json
import shlex

from .versions import Mode

# On two cores without other load; in registry mode pulling takes what the registry takes.
_PARTS: dict[Mode, tuple[tuple[str, str, str], ...]] = {
    "build": (
        ("programs from the Go proxy: Kubernetes, kind, ingress-nginx, helm", "9 min", "-"),
        ("images from Debian packages: the node, ingress-nginx, the operator", "4 min", "-"),
        ("a kind cluster with ingress-nginx, in a closed network", "45 s", "5 s"),
        ("vLLM for the CPU from PyPI, a tiny model trained to count, both as an image", "3 min", "-"),
        ("the operator by helm, from charts/", "10 s", "5 s"),
        ("manifests/samples/demo.yaml, until a stream came through: vLLM starts slowly", "90 s", "1 s"),
        ("a stream through the ingress", "1 s", "1 s"),
    ),
    "registry": (
        ("images pulled: the node, ingress-nginx, Python, vLLM (4 GB)", "pull", "-"),
        ("a kind cluster with ingress-nginx", "45 s", "5 s"),
        ("the operator's image, and a tiny model trained to count, built on what was pulled", "2 min", "-"),
        ("the operator by helm, from charts/", "10 s", "5 s"),
        ("manifests/samples/demo.yaml, until a stream came through: vLLM starts slowly", "90 s", "1 s"),
        ("a stream through the ingress", "1 s", "1 s"),
    ),
}
_EDGE = (
    "kubectl",
    "-n",
    "ingress-nginx",
    "patch",
    "configmap",
    "ingress-nginx-controller",
    "--type=merge",
    "-p",
)


def opening(mode: Mode) -> str:
    """The parts with their usual times, the first time and again."""
    rows = [f"  {number}. {about:<80} {first:>6} {again:>6}" for number, (about, first, again) in
            enumerate(_PARTS[mode], 1)]  # fmt: skip
    return "\n".join([f"What will be done{'first time':>76}{'again':>7}", *rows, ""])


def breaking(service: str) -> str:
    """The command that makes the edge collect and compress this Service's streams, whatever the Ingress says."""
    location = (
        f"location = /v1/chat/completions {{ proxy_pass http://{service}; proxy_ignore_headers X-Accel-Buffering;"
        " proxy_buffering on; gzip on; gzip_types text/event-stream; gzip_min_length 1; }"
    )
    return shlex.join([*_EDGE, json.dumps({"data": {"server-snippet": location}})])


def repairing() -> str:
    """The command that takes it back."""
    return shlex.join([*_EDGE, json.dumps({"data": {"server-snippet": None}})])


def next_steps(*, namespace: str, name: str, service: str, edge: str) -> str:
    """Three things worth trying, as commands to copy."""
    return f"""
Worth trying next, in a shell with the cluster's tools: eval "$(python3 -m tests.cluster env)"

Watch the endpoint; it is verified every 30 s:
  kubectl get sep -n {namespace} -w

Ask pod, Service and route from here, side by side:
  .venv/bin/streamctl diagnose {name} -n {namespace} --via {edge}

Break it, as an administrator might who compresses everything at the edge:
  {breaking(service)}
Within a minute READY is False; `kubectl describe sep {name} -n {namespace}` says Buffered, at the hop Exposure,
and which setting of nginx to change. Mend it:
  {repairing()}
"""
