"""
The operator as a platform team runs it: installed from the chart with helm, stopped, started, killed.

One release in one namespace for the whole run; the values are those of README's "edges" example.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import cache, helm_release, images, traefik
from tests.cluster.programs import listed
from tests.cluster.versions import IMAGES
from tests.e2e import kube
from tests.e2e.waiting import wait_for

CHART = Path(__file__).resolve().parents[2] / "charts" / "streaming-operator"
RELEASE = "streaming-operator"
NAMESPACE = "streaming-system"
SERVICE_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
PODS = "app.kubernetes.io/component=operator"
TRAEFIK = {"gatewayClass": traefik.CLASS, "service": f"{traefik.NAMESPACE}/traefik"}
"""It has no address in the status of its Gateways, and no Service with their names."""
TRAEFIK_FOR_NGINX = {
    "className": traefik.INGRESS_CLASS,
    "profile": "ingress-nginx",
    "service": f"{traefik.NAMESPACE}/traefik",
}
"""Its provider reads the annotations of ingress-nginx."""
EDGE = {"className": "nginx", "profile": "ingress-nginx", "service": "ingress-nginx/ingress-nginx-controller"}


def install(chart: Path = CHART, **changes: Any) -> None:
    """`helm upgrade --install` of the chart, with the working tree's image; a new image restarts the operator."""
    values = _values() | changes
    path = cache.STATE / "e2e-values.json"
    path.write_text(json.dumps(values, indent=1))
    helm_release.give_up_interrupted(RELEASE, NAMESPACE)
    helm(
        "upgrade", "--install", RELEASE, str(chart), "--create-namespace", "--values", str(path),
        "--wait", "--timeout", "3m",
    )  # fmt: skip


def added(**changes: Any) -> list[kube.Manifest]:
    """The objects that the chart has with these values and not without them; nothing is installed."""

    def rendered(values: dict[str, Any]) -> dict[tuple[str, str], kube.Manifest]:
        path = cache.STATE / "e2e-template-values.json"
        path.write_text(json.dumps({**_values(), "crds": {"install": False}, **values}))
        text = helm("template", RELEASE, str(CHART), "--values", str(path))
        docs = [doc for doc in yaml.load_all(text, Loader=yaml.CSafeLoader) if doc]
        return {(doc["kind"], doc["metadata"]["name"]): doc for doc in docs}

    before, after = rendered({}), rendered(changes)
    return [after[key] for key in after.keys() - before.keys()]


def uninstall() -> None:
    """`helm uninstall`."""
    helm("uninstall", RELEASE, "--wait", "--timeout", "2m")


def helm(*words: str) -> str:
    """What `helm WORDS` prints, in the release's namespace."""
    done = subprocess.run(
        listed(helm_release.argv(*words, namespace=NAMESPACE)),
        capture_output=True,
        text=True,
        env=os.environ | helm_release.environment(),
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"helm {words[0]}: {done.stderr}\n{logs()}"
    return done.stdout


def stop() -> None:
    """No operator from here on."""
    kube.kubectl("-n", NAMESPACE, "scale", f"deployment/{RELEASE}", "--replicas=0")
    wait_for(lambda: not pods(), "the operator's end", seconds=60, tell=logs)


def start() -> None:
    """One operator again, its caches filled."""
    kube.kubectl("-n", NAMESPACE, "scale", f"deployment/{RELEASE}", "--replicas=1")
    await_running()


@contextmanager
def stopped() -> Iterator[None]:
    """No operator for as long as the block lasts."""
    stop()
    try:
        yield
    finally:
        start()


def kill() -> None:
    """The process is killed at once, with no chance to finish anything; its Deployment starts another."""
    for pod in pods():
        kube.delete("pod", pod["metadata"]["name"], NAMESPACE, "--force", "--grace-period=0", "--wait=false")


def await_running() -> None:
    """Wait until an operator runs that is not being deleted, and is ready."""
    wait_for(lambda: any(_is_ready(pod) for pod in pods()), "a ready operator", seconds=120, tell=logs)


def pods() -> list[kube.Manifest]:
    """The operator's pods."""
    return kube.listing("pods", NAMESPACE, PODS)


def logs(lines: int = 40) -> str:
    """The end of the operator's log, or why there is none."""
    try:
        return kube.kubectl("-n", NAMESPACE, "logs", f"--selector={PODS}", f"--tail={lines}")
    except kube.Refused as refused:
        return str(refused)


def _is_ready(pod: kube.Manifest) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def _values() -> dict[str, Any]:
    image = IMAGES["build"]["operator"]
    repository, _, tag = image.rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "edges": [EDGE, TRAEFIK, TRAEFIK_FOR_NGINX],
        "edgePolicies": ["envoy-gateway"],
        # The name stays the same when the image changes: without this the old one would run on.
        "podAnnotations": {"streamingendpoints.dev/image": images.loaded()[image]},
    }
