"""The images that the node carries inside: Kubernetes, etcd, CoreDNS, pause, storage; each one binary.

The names are those that kubeadm and kind ask for, so that nothing is pulled.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from . import archive, cache, rootfs, steps, tools
from .versions import VERSIONS

STORAGE_HELPER = "localhost/busybox:bookworm"
STORAGE = f"localhost/local-path-provisioner:{VERSIONS.local_path_provisioner}"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
# kube-proxy programs the packet filter through these.
_PROXY_PROGRAMS = ("usr/sbin/xtables-nft-multi", "usr/sbin/nft", "usr/sbin/conntrack", "usr/bin/kmod")
_PROXY_LINKS = {
    **{f"ip{six}tables{act}": "xtables-nft-multi" for six in ("", "6") for act in ("", "-save", "-restore")},
    "modprobe": "kmod",
}


def images(base: Path, scratch: Path) -> list[archive.Image]:
    """All images of the node. `base` is its unpacked root file system, `scratch` a folder for the layers."""
    programs = tools.build("apiserver") | tools.build("node")
    kubernetes = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    named = {
        **{name: f"registry.k8s.io/{name}:{VERSIONS.kubernetes}" for name in kubernetes},
        "etcd": f"registry.k8s.io/etcd:{VERSIONS.etcd}",
        "coredns": f"registry.k8s.io/coredns/coredns:{VERSIONS.coredns}",
        "pause": f"registry.k8s.io/pause:{VERSIONS.pause}",
        "local-path-provisioner": STORAGE,
    }
    made = [_single(name, image, programs[name], scratch) for name, image in named.items()]
    made.append(_kube_proxy(programs["kube-proxy"], base, scratch))
    made.append(_busybox(base, scratch))
    return made


def _root(scratch: Path, name: str) -> Path:
    root = scratch / name
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "tmp").mkdir(mode=0o777)
    return root


def _pack(root: Path, image: str, *entrypoint: str) -> archive.Image:
    layer = archive.write_layer(root, root.with_suffix(".tar"))
    cache.remove(root)
    return archive.Image(image, (layer,), entrypoint=entrypoint)


def _single(name: str, image: str, program: Path, scratch: Path) -> archive.Image:
    root = _root(scratch, name)
    shutil.copy(program, root / "usr/local/bin" / name)
    return _pack(root, image, f"/usr/local/bin/{name}")


def _kube_proxy(program: Path, base: Path, scratch: Path) -> archive.Image:
    root = _root(scratch, "kube-proxy")
    for folder in ("usr/sbin", "usr/lib64", _LIBRARIES, "run", "etc"):
        (root / folder).mkdir(parents=True)
    for name in ("lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    shutil.copytree(base / _LIBRARIES / "xtables", root / _LIBRARIES / "xtables")
    for path in _PROXY_PROGRAMS:
        shutil.copy(base / path, root / "usr/sbin" / Path(path).name)
    # The modules' libraries count too: without libm the `statistic` match fails, and every Service with two
    # endpoints is dead while all pods look well.
    modules = sorted(str(path.relative_to(base)) for path in (base / _LIBRARIES / "xtables").glob("*.so"))
    for library in _libraries(base, [*_PROXY_PROGRAMS, *modules]):
        shutil.copy(rootfs.inside(base, library), root / _LIBRARIES / Path(library).name)
    (root / "usr/lib64/ld-linux-x86-64.so.2").symlink_to("../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    for link, target in _PROXY_LINKS.items():
        (root / "usr/sbin" / link).symlink_to(target)
    shutil.copy(program, root / "usr/local/bin/kube-proxy")
    steps.output(["chroot", root, "/usr/sbin/iptables", "--version"])
    return _pack(root, f"registry.k8s.io/kube-proxy:{VERSIONS.kubernetes}", "/usr/local/bin/kube-proxy")


def _libraries(base: Path, programs: list[str]) -> list[str]:
    """The shared libraries that the programs need, by the names they ask for."""
    found = set()
    for line in steps.output(["chroot", base, "ldd", *(f"/{program}" for program in programs)]).splitlines():
        found |= {word for word in line.split() if word.startswith("/") and not word.endswith(":")}
    return sorted(found)


def _busybox(base: Path, scratch: Path) -> archive.Image:
    """A shell and its tools: the storage helper runs in it."""
    root = _root(scratch, "busybox")
    (root / "bin").mkdir()
    program = root / "bin/busybox"
    shutil.copy(base / "usr/bin/busybox", program)
    for name in steps.output([program, "--list"]).split():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    layer = archive.write_layer(root, root.with_suffix(".tar"))
    cache.remove(root)
    return archive.Image(STORAGE_HELPER, (layer,), command=("sh",))
