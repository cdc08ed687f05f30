"""versions.toml and the Go modules say the same, and the checksum files hold checksums only."""

import re

import pytest

from tests.cluster.tools import BUILDS, GO
from tests.cluster.versions import IMAGES, VERSIONS

PINS = [
    ("kubernetes", "k8s.io/kubernetes", VERSIONS.kubernetes),
    ("kubernetes", "sigs.k8s.io/kind", VERSIONS.kind),
    ("kubernetes", "github.com/coredns/coredns", VERSIONS.coredns),
    ("kubernetes", "go.etcd.io/etcd/server/v3", f"v{VERSIONS.etcd.split('-')[0]}"),
    ("kubernetes", "github.com/rancher/local-path-provisioner", VERSIONS.local_path_provisioner),
    ("helm", "helm.sh/helm/v4", VERSIONS.helm),
    ("prometheus", "github.com/prometheus-operator/prometheus-operator", VERSIONS.prometheus_operator),
    ("prometheus-server", "github.com/prometheus/prometheus", f"v0.3{VERSIONS.prometheus.split('.')[1]}.0"),
    ("gateway-api", "sigs.k8s.io/gateway-api", VERSIONS.gateway_api),
    ("envoy-gateway", "github.com/envoyproxy/gateway", VERSIONS.envoy_gateway),
    ("haproxy-ingress", "github.com/jcmoraisjr/haproxy-ingress", VERSIONS.haproxy_ingress),
    ("contour", "github.com/projectcontour/contour", VERSIONS.contour),
    ("istio", "istio.io/istio", VERSIONS.istio),
]


@pytest.mark.parametrize(("module", "path", "version"), PINS)
def test_the_go_module_holds_the_version_that_the_file_names(module: str, path: str, version: str) -> None:
    """One file has all versions."""
    assert re.search(
        rf"^\s*(require )?{re.escape(path)} {re.escape(version)}( |$)",
        (GO / module / "go.mod").read_text(),
        re.M,
    )


def test_both_modes_name_the_same_images() -> None:
    """Switching the mode swaps names and nothing else."""
    assert IMAGES["registry"].keys() == IMAGES["build"].keys()


def test_what_is_built_here_can_never_be_pulled_by_mistake() -> None:
    """Our images carry a name that no public registry serves."""
    assert all(name.startswith("localhost/") for name in IMAGES["build"].values())


@pytest.mark.parametrize(
    "module", sorted({build.module for build in BUILDS.values()} | {"gateway-api", "envoy-gateway"})
)
def test_checksums_are_committed_and_nothing_is_replaced(module: str) -> None:
    """A build takes exactly what was reviewed: no replace, no line that is not module, version, checksum."""
    # Traefik builds only with its own forks, which its go.mod names in the same way.
    assert module == "traefik" or "replace" not in (GO / module / "go.mod").read_text()
    for line in (GO / module / "go.sum").read_text().splitlines():
        assert re.fullmatch(r"\S+ v\S+ h1:\S+=", line)
