"""Istio on the test cluster, as an implementation of the Gateway API alone, by the chart of its Go module.

Not here: sidecars, webhooks, and its own kinds but EnvoyFilter, whose `Gateway` makes `kubectl get gateway` ambiguous.
"""

from __future__ import annotations

import json
from pathlib import Path

from . import cache, helm_release, images, kind, mirror, modes, prometheus, steps, tools
from .versions import HERE

NAMESPACE = "edge-istio"
CLASS = "edge-istio"
CONTROLLER = "istio.io/gateway-controller"
SERVED = ("example.com/edge", NAMESPACE)
"""The label of the namespaces that it sees. In each of them it writes ConfigMaps; all others it leaves alone."""
_RELEASE = "istiod"
_IMAGES = ("istio-pilot", "istio-proxy")
_FILTERS = "  name: envoyfilters.networking.istio.io\n"
_OWN_CLASSES = ("istio", "istio-remote")
"""Classes that istiod makes when it starts, and makes again when they are deleted."""


def install() -> None:
    """Leave with istiod running, and its class."""
    mode = modes.current()
    for name in _IMAGES:
        images.load(name, mode)
    helm_release.give_up_interrupted(_RELEASE, NAMESPACE)
    with steps.step("install Istio"):
        _let_an_earlier_one_end()
        kind.apply("\n---\n".join((_filters(), json.dumps(_namespace()), json.dumps(_class()))))
        _helm("upgrade", "--install", _RELEASE, _chart(), "--values", _values(), "--wait", "--timeout", "5m")


def uninstall() -> None:
    """Take it away, with its classes; without it its Gateways must be gone already. The CRD of EnvoyFilter stays."""
    _helm("uninstall", _RELEASE, "--ignore-not-found", "--wait", "--timeout", "2m")
    kind.kubectl("delete", "gatewayclass", CLASS, *_OWN_CLASSES, "--ignore-not-found")
    kind.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


def _let_an_earlier_one_end() -> None:
    """Nothing can be installed into a namespace that is being deleted; the pods of its Gateway take half a minute."""
    look = ("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "jsonpath={.status.phase}")
    if kind.kubectl(*look) == "Terminating":
        kind.kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=120s")


def _helm(*words: str | Path) -> None:
    steps.run(
        helm_release.argv(*words, namespace=NAMESPACE),
        cache.log(f"helm-{_RELEASE}"),
        env=helm_release.environment(),
    )


def _chart() -> Path:
    return tools.source("istio", "istio.io/istio") / "manifests/charts/istio-control/istio-discovery"


def _values() -> Path:
    """The chart's values with today's names of the images."""
    text = (HERE / "files" / "istio" / "values.yaml").read_text()
    for name in _IMAGES:
        text = text.replace(f"@{name}@", mirror.image(name, modes.current()))
    path = cache.STATE / "istio-values.yaml"
    path.write_text(text)
    return path


def _filters() -> str:
    """The CRD of EnvoyFilter."""
    (file,) = prometheus.crds("istio")
    (one,) = (text for text in file.read_text().split("\n---\n") if _FILTERS in text)
    return one


def _namespace() -> dict[str, object]:
    label, value = SERVED
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {label: value}},
    }


def _class() -> dict[str, object]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": CLASS},
        "spec": {"controllerName": CONTROLLER},
    }
