"""Builds the programs of the test cluster from Go modules whose checksums are committed under go/.

There is no image and no release archive to download: the Go proxy is the only source. Each `Build`
is one cache folder.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from . import cache, steps
from .versions import HERE, VERSIONS

GO = HERE / "go"
_DATE = "2026-01-01T00:00:00Z"  # Kubernetes wants a build date; a fixed one keeps the binaries the same


@dataclass(frozen=True)
class Build:
    """Programs that are built and kept together; `programs` maps the file's name to its Go package."""

    module: str
    programs: dict[str, str]
    about: str
    ldflags: str = ""
    tags: str = ""
    extra: tuple[str, ...] = ()  # folders of the module that hold our own sources

    @property
    def digest(self) -> str:
        """Everything that decides what comes out, apart from the Go compiler."""
        folder = GO / self.module
        texts = (self.ldflags, *sorted(f"{name}={package}" for name, package in self.programs.items()))
        if self.tags:
            texts += (self.tags,)
        return cache.key(
            folder / "go.mod", folder / "go.sum", *(folder / name for name in self.extra), *texts
        )


def _kubernetes_flags() -> str:
    version = VERSIONS.kubernetes
    major, minor = version.removeprefix("v").split(".")[:2]
    base, client = "k8s.io/component-base/version", "k8s.io/client-go/pkg/version"
    values = {
        f"{base}.gitVersion": version, f"{base}.gitMajor": major, f"{base}.gitMinor": minor,
        f"{base}.gitTreeState": "clean", f"{base}.gitCommit": "local", f"{base}.buildDate": _DATE,
        f"{client}.gitVersion": version, f"{client}.gitMajor": major, f"{client}.gitMinor": minor,
    }  # fmt: skip
    return " ".join(f"-X {name}={value}" for name, value in values.items())


def _commands(*names: str) -> dict[str, str]:
    return {name: f"k8s.io/kubernetes/cmd/{name}" for name in names}


_NGINX = "k8s.io/ingress-nginx/version"
_PROMETHEUS = "github.com/prometheus-operator/prometheus-operator/cmd"

# etcd, CoreDNS, kind and Kubernetes share one module: built apart, each would compile client-go again.
BUILDS = {
    "apiserver": Build(
        module="kubernetes",
        programs={"etcd": "go.etcd.io/etcd/server/v3", **_commands("kube-apiserver", "kubectl")},
        ldflags=_kubernetes_flags(),
        about=f"etcd, kube-apiserver and kubectl {VERSIONS.kubernetes} (about 4 minutes, once)",
    ),
    "node": Build(
        module="kubernetes",
        programs={
            **_commands("kube-controller-manager", "kube-scheduler", "kubelet", "kubeadm", "kube-proxy"),
            "kind": "sigs.k8s.io/kind",
            "coredns": "./coredns",
            "pause": "./pause",
            "local-path-provisioner": "github.com/rancher/local-path-provisioner",
        },
        ldflags=_kubernetes_flags(),
        extra=("coredns", "pause"),
        about=f"the rest of Kubernetes, kind {VERSIONS.kind} and CoreDNS (about 4 minutes, once)",
    ),
    # For registry mode, which needs no more of them than this.
    "clients": Build(
        module="kubernetes",
        programs={"kind": "sigs.k8s.io/kind", **_commands("kubectl")},
        ldflags=_kubernetes_flags(),
        about=f"kind {VERSIONS.kind} and kubectl {VERSIONS.kubernetes} (about 2 minutes, once)",
    ),
    "ingress-nginx": Build(
        module="ingress-nginx",
        programs={"nginx-ingress-controller": "k8s.io/ingress-nginx/cmd/nginx"},
        ldflags=f"-X {_NGINX}.RELEASE={VERSIONS.ingress_nginx} -X {_NGINX}.REPO=k8s.io/ingress-nginx",
        about=f"ingress-nginx controller {VERSIONS.ingress_nginx} (about 3 minutes, once)",
    ),
    "helm": Build(
        module="helm",
        programs={"helm": "helm.sh/helm/v4/cmd/helm"},
        ldflags=f"-X helm.sh/helm/v4/internal/version.version={VERSIONS.helm}",
        about=f"helm {VERSIONS.helm} (about 2 minutes, once)",
    ),
    "prometheus": Build(
        module="prometheus",
        programs={
            "prometheus-operator": f"{_PROMETHEUS}/operator",
            "prometheus-config-reloader": f"{_PROMETHEUS}/prometheus-config-reloader",
        },
        ldflags=f"-X github.com/prometheus/common/version.Version={VERSIONS.prometheus_operator[1:]}",
        about=f"prometheus-operator {VERSIONS.prometheus_operator} (about 2 minutes, once)",
    ),
    # Debian's package cannot discover anything in Kubernetes; without the other discoveries it builds in half the time.
    "prometheus-server": Build(
        module="prometheus-server",
        programs={"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"},
        ldflags=f"-X github.com/prometheus/common/version.Version={VERSIONS.prometheus[1:]}",
        tags="remove_all_sd,enable_kubernetes_sd",
        about=f"Prometheus {VERSIONS.prometheus} (about 2 minutes, once)",
    ),
    "promtool": Build(
        module="promtool",
        programs={"promtool": "github.com/prometheus/prometheus/cmd/promtool"},
        tags="remove_all_sd,enable_kubernetes_sd",
        about=f"promtool {VERSIONS.prometheus} (about 1 minute, once)",
    ),
    # With the one discovery that the example asks for, like Prometheus.
    "otelcol": Build(
        module="otelcol",
        programs={"otelcol": "./collector"},
        tags="remove_all_sd,enable_kubernetes_sd",
        extra=("collector",),
        about="an OpenTelemetry Collector with its Prometheus receiver (about 3 minutes, once)",
    ),
    "actionlint": Build(
        module="actionlint",
        programs={"actionlint": "github.com/rhysd/actionlint/cmd/actionlint"},
        about="actionlint (about half a minute, once)",
    ),
    "kubeconform": Build(
        module="kubeconform",
        programs={"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"},
        about="kubeconform (about half a minute, once)",
    ),
    "kstatus": Build(
        module="kstatus",
        programs={"kstatus-judge": "./judge"},
        extra=("judge",),
        about="a judge of statuses from Flux's kstatus library (about half a minute, once)",
    ),
    "flux": Build(
        module="flux",
        programs={"flux-judge": "./judge"},
        extra=("judge",),
        about="Flux's types and its evaluator of health checks (about a minute, once)",
    ),
    "argocd": Build(
        module="argocd",
        programs={"argocd-judge": "./judge"},
        extra=("judge",),
        about="Argo CD's Lua engine (about 3 minutes, once)",
    ),
    "envoy-gateway": Build(
        module="envoy-gateway",
        programs={"envoy-gateway": "github.com/envoyproxy/gateway/cmd/envoy-gateway"},
        about=f"Envoy Gateway {VERSIONS.envoy_gateway} (about 5 minutes, once)",
    ),
    "haproxy-ingress": Build(
        module="haproxy-ingress",
        programs={"haproxy-ingress-controller": "github.com/jcmoraisjr/haproxy-ingress/pkg"},
        about=f"haproxy-ingress {VERSIONS.haproxy_ingress} (about 2 minutes, once)",
    ),
    "contour": Build(
        module="contour",
        programs={"contour": "github.com/projectcontour/contour/cmd/contour"},
        about=f"Contour {VERSIONS.contour} (about 3 minutes, once)",
    ),
    "istio": Build(
        module="istio",
        programs={name: f"istio.io/istio/pilot/cmd/{name}" for name in ("pilot-discovery", "pilot-agent")},
        about=f"istiod and Istio's agent of {VERSIONS.istio} (about 8 minutes, once)",
    ),
    # For the probe's tests. Its nested module `dynamic/ext` is missing on the module proxy: ext/ stands in.
    "traefik": Build(
        module="traefik",
        programs={"traefik": "github.com/traefik/traefik/v3/cmd/traefik"},
        extra=("ext",),
        about="Traefik (about 6 minutes, once)",
    ),
}


def build(name: str) -> dict[str, Path]:
    """The programs of one build, made if need be; the same paths are linked from the cache's bin/ folder."""
    made = BUILDS[name]
    place = cache.folder("tools", name, made.digest, lambda draft: _compile(name, made, draft))
    programs = {program: place / program for program in made.programs}
    _link(programs)
    return programs


def is_built(name: str) -> bool:
    """Whether the programs of a build are in the cache."""
    return (cache.ROOT / "tools" / f"{name}-{BUILDS[name].digest}").is_dir()


def _compile(name: str, made: Build, draft: Path) -> None:
    if not shutil.which("go"):
        raise steps.Failure("Go is not installed", remedy="install Go 1.26 or newer and put `go` on PATH")
    with steps.step(f"build {made.about}"):
        log = cache.log(f"go-{name}")
        for program, package in made.programs.items():
            steps.run(
                ["go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly",
                 "-ldflags", f"-s -w {made.ldflags}".strip(), f"-tags={made.tags}", "-o", draft / program, package],
                log, cwd=GO / made.module, env={"CGO_ENABLED": "0", "GOFLAGS": ""},
                remedy="look for a download error first: the Go proxy must be reachable (go env GOPROXY)",
            )  # fmt: skip


def _link(programs: dict[str, Path]) -> None:
    links = cache.ROOT / "bin"
    links.mkdir(parents=True, exist_ok=True)
    for name, path in programs.items():
        link = links / name
        if not link.is_symlink() or link.readlink() != path:
            draft = links / f".{name}.draft"
            draft.unlink(missing_ok=True)
            draft.symlink_to(path)
            draft.replace(link)


def source(module: str, path: str) -> Path:
    """The read-only folder of a Go module's source (`path` as in its go.mod), downloaded if need be."""
    folder = GO / module
    steps.run(["go", "mod", "download", path], cache.log(f"go-source-{module}"), cwd=folder)
    return Path(steps.output(["go", "-C", folder, "list", "-m", "-f", "{{.Dir}}", path]).strip())
