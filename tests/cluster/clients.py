"""kind, kubectl and helm: in registry mode those of PATH where the version will do, else built with Go.

Where neither is possible, one sentence names the one command that installs what is missing.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import modes, steps, tools
from .versions import VERSIONS

Version = tuple[int, int, int]
_OLDEST_HELM = (3, 14, 0)


@dataclass(frozen=True)
class Client:
    """A program of the user's: how it prints its version, and which versions will do."""

    ask: tuple[str, ...]
    accepts: Callable[[Version], bool]
    versions: str  # for the person who reads why theirs was not taken
    built: str  # the build that brings it in build mode


def parse(text: str) -> Version | None:
    """The first version `v1.2.3` in what a program prints."""
    match = re.search(r"v(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _pinned(text: str) -> Version:
    version = parse(text)
    assert version is not None, text
    return version


_KUBERNETES, _KIND = _pinned(VERSIONS.kubernetes), _pinned(VERSIONS.kind)


def _within_one_minor(version: Version) -> bool:
    """Kubernetes' rule on version skew: kubectl may be one minor version older or newer than the API server."""
    return version[0] == _KUBERNETES[0] and abs(version[1] - _KUBERNETES[1]) <= 1


CLIENTS = {
    # A node image is made for one release of kind; newer releases go on taking it.
    "kind": Client(("version",), lambda version: version >= _KIND, f"{VERSIONS.kind} or newer", "node"),
    "kubectl": Client(
        ("version", "--client", "--output=json"),
        _within_one_minor,
        f"1.{_KUBERNETES[1] - 1} to 1.{_KUBERNETES[1] + 1}",
        "apiserver",
    ),
    "helm": Client(("version", "--short"), lambda version: version >= _OLDEST_HELM, "3.14 or newer", "helm"),
}


def find(name: str) -> Path:
    """The program to call."""
    if modes.current() == "build":
        return tools.build(CLIENTS[name].built)[name]
    if on_path := _usable(name)[0]:
        return on_path
    if shutil.which("go"):
        return tools.build("helm" if name == "helm" else "clients")[name]
    raise _missing([name])


def require() -> None:
    """In registry mode, before anything long begins: a `Failure` that names all clients that are missing."""
    if modes.current() == "build" or shutil.which("go"):
        return
    missing = [name for name in CLIENTS if _usable(name)[0] is None]
    if missing:
        raise _missing(missing)


def _usable(name: str) -> tuple[Path | None, str]:
    """The program on PATH if its version will do, else why not."""
    path = shutil.which(name)
    if path is None:
        return None, f"{name} is not installed"
    client = CLIENTS[name]
    try:
        version = parse(_text(path, client.ask))
    except steps.Failure as failure:
        return None, f"{path} does not print its version: {failure.what}"
    if version is None or not client.accepts(version):
        shown = "of an unknown version" if version is None else ".".join(map(str, version))
        return None, f"{path} is {shown}, wanted: {client.versions}"
    return Path(path), ""


def _text(path: str, ask: tuple[str, ...]) -> str:
    text = steps.output([path, *ask])
    if "--output=json" in ask:
        return str(json.loads(text)["clientVersion"]["gitVersion"])
    return text


def _missing(names: list[str]) -> steps.Failure:
    reasons = "; ".join(_usable(name)[1] for name in names)
    system, machine = platform.system(), platform.machine()
    return steps.Failure(
        f"{reasons}; and there is no Go to build {'them' if len(names) > 1 else 'it'} with",
        remedy=install_command(names, system, machine),
    )


def install_command(names: list[str], system: str, machine: str) -> str:
    """One command that installs these clients from where their projects publish them."""
    if system == "Darwin":
        return "brew install " + " ".join("kubernetes-cli" if name == "kubectl" else name for name in names)
    arch = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(machine, machine)
    fetch = {
        "kind": f"curl -fsSLo kind https://kind.sigs.k8s.io/dl/{VERSIONS.kind}/kind-linux-{arch}",
        "kubectl": f"curl -fsSLo kubectl https://dl.k8s.io/{VERSIONS.kubernetes}/bin/linux/{arch}/kubectl",
        "helm": f"curl -fsSL https://get.helm.sh/helm-{VERSIONS.helm}-linux-{arch}.tar.gz"
        f" | tar -xz --strip-components=1 linux-{arch}/helm",
    }
    words = ["mkdir -p ~/.local/bin", "cd ~/.local/bin", *(fetch[name] for name in names)]
    return f"({' && '.join(words)} && chmod +x {' '.join(names)}), with ~/.local/bin on PATH"
