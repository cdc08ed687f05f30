"""Envoy Gateway on the test cluster, by the CRDs and the chart of its Go module.

Not here: its rate limit service, its webhook for zones, and the CRDs of the Gateway API, which the cluster has.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from . import cache, helm_release, images, kind, mirror, modes, prometheus, steps, tools

NAMESPACE = "envoy-gateway-system"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
_RELEASE = "envoy-gateway"
_NEEDED = ("envoy-gateway", "envoy")


def install() -> None:
    """Leave with the controller running, one for the whole cluster, and Envoy's image for an EnvoyProxy to name."""
    mode = modes.current()
    # First the kinds: who looks once a minute which ones there are finds them while the rest is made.
    kind.apply("\n---\n".join(path.read_text() for path in prometheus.crds("envoy-gateway")))
    for name in _NEEDED:
        images.load(name, mode)
    helm_release.give_up_interrupted(_RELEASE, NAMESPACE)
    with steps.step("install Envoy Gateway"):
        _helm(
            "upgrade", "--install", _RELEASE, _chart(mirror.image("envoy-gateway", mode)),
            "--create-namespace", "--skip-crds", "--wait", "--timeout", "10m",
            "--set", "crds.enabled=false",
            "--set", "topologyInjector.enabled=false",
            # One replica; else it waits until what was installed before it no longer counts as the leader.
            "--set", "config.envoyGateway.provider.kubernetes.leaderElection.disable=true",
            "--set", "deployment.envoyGateway.resources.requests.cpu=20m",
            "--set", "deployment.envoyGateway.resources.requests.memory=64Mi",
        )  # fmt: skip


def uninstall() -> None:
    """Take the controller away, without which its Gateways must be gone already; its CRDs stay."""
    _helm("uninstall", _RELEASE, "--ignore-not-found")


def _helm(*words: str | Path) -> None:
    steps.run(
        helm_release.argv(*words, namespace=NAMESPACE),
        cache.log(f"helm-{_RELEASE}"),
        env=helm_release.environment(),
    )


def _chart(image: str) -> Path:
    """The module's chart, with what its release would fill in."""

    def build(draft: Path) -> None:
        source = tools.source("envoy-gateway", "github.com/envoyproxy/gateway") / "charts/gateway-helm"
        for path in sorted(source.rglob("*")):
            if path.is_file():
                target = draft / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)  # without the mode: the module's files are read-only
        values = (draft / "values.tmpl.yaml").read_text()
        for name, text in {"GatewayImage": image, "GatewayImagePullPolicy": "IfNotPresent"}.items():
            values = values.replace(f"${{{name}}}", text)
        (draft / "values.yaml").write_text(values)

    digest = cache.key(tools.GO / "envoy-gateway" / "go.mod", image)
    return cache.folder("charts", "envoy-gateway", digest, build)
