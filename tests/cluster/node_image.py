"""Makes the image of a kind node from Debian packages and our Go builds, as kind's own Dockerfile would.

The result is one tar file in the cache, handed to the container engine by `docker import`. Single node only:
the pod network is one static bridge.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

from . import archive, cache, control_plane, rootfs, steps, tools
from .programs import listed
from .versions import HERE, IMAGES, VERSIONS

NAME = IMAGES["build"]["node"]
PACKAGES = (
    "systemd", "conntrack", "iptables", "nftables", "iproute2", "ethtool", "util-linux", "mount", "kmod",
    "libseccomp2", "bash", "ca-certificates", "jq", "procps", "e2fsprogs", "runc", "containerd",
    "containernetworking-plugins", "busybox-static",
)  # fmt: skip
_VARIANT = "apt"
_FILES = HERE / "files" / "node"
_CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap", "ptp")
_PRUNED = (*rootfs.PRUNED, "usr/lib/cni", "usr/sbin/criu", "usr/bin/busybox")
# kind's Dockerfile takes these away so that systemd starts only what a node needs.
_UNWANTED_UNITS = (
    "lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
    "lib/systemd/system/multi-user.target.wants/*", "etc/systemd/system/*.wants/*",
    "lib/systemd/system/local-fs.target.wants/*", "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sockets.target.wants/*initctl*", "lib/systemd/system/basic.target.wants/*",
    "lib/systemd/system/containerd.service", "usr/bin/containerd-shim", "usr/bin/containerd-shim-runc-v1",
)  # fmt: skip


def digest() -> str:
    """What decides the image."""
    builds = [tools.BUILDS[name].digest for name in ("apiserver", "node")]
    scripts = [HERE / name for name in ("node_image.py", "control_plane.py")]
    return cache.key(*builds, *scripts, _FILES, rootfs.key(PACKAGES, variant=_VARIANT))


def reference() -> str:
    """The image's name in the container engine; the tag holds the digest, so a stale image is never taken."""
    return f"{NAME}-{digest()}"


def ensure() -> str:
    """Leave with the image in the container engine, and say its name."""
    name = reference()
    if not steps.succeeds(["docker", "image", "inspect", name]):
        root = archive_path()
        with steps.step("hand the node image to the container engine"):
            steps.output([
                "docker", "import", "--change", "ENV container=docker",
                "--change", f"ENV PATH={archive.PATH}",
                "--change", 'ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]', root, name,
            ])  # fmt: skip
        _forget_older(name)
    return name


def _forget_older(name: str) -> None:
    """Remove earlier node images, half a gigabyte each; one that a container still uses stays."""
    repository = NAME.rpartition(":")[0]
    for other in steps.output(
        ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository]
    ).split():
        if other != name:
            steps.succeeds(["docker", "image", "rm", other])


def archive_path() -> Path:
    """The root file system of the node as a tar file, made if need be."""
    programs = tools.build("apiserver") | tools.build("node")
    base = rootfs.debian("node", PACKAGES, variant=_VARIANT)

    def build(draft: Path) -> None:
        with steps.step("make the kind node image (about 40 s, once)"):
            root = draft / "root"
            root.mkdir()
            rootfs.unpack(base, root)
            made = control_plane.images(root, draft)
            _kind_files(root)
            _kubernetes(root, programs)
            _runtime(root)
            _network(root)
            rootfs.prune(root, _PRUNED)
            _preload(root, made, draft)
            steps.output(["tar", "-C", root, "--numeric-owner", "--xattrs", "--xattrs-include=*",
                          "-cf", draft / "node.tar", "."])  # fmt: skip
            for left in draft.iterdir():
                if left.is_dir():
                    cache.remove(left)
                elif left.name != "node.tar":
                    left.unlink()

    return cache.folder("node", "node", digest(), build) / "node.tar"


def _kind_files(root: Path) -> None:
    """kind's own entrypoint, units and settings, from the source of the version that runs here."""
    files = tools.source("kubernetes", "sigs.k8s.io/kind") / "images/base/files"
    for path in sorted(files.rglob("*")):
        if path.is_file():
            inside = path.relative_to(files)
            target = root / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            runnable = inside.is_relative_to("usr/local/bin") or inside.is_relative_to("kind/bin")
            target.chmod(0o755 if runnable else 0o644)
    rootfs.prune(root, _UNWANTED_UNITS)
    with (root / "etc/systemd/journald.conf").open("a") as settings:
        settings.write("ReadKMsg=no\n")
    init = root / "usr/sbin/init"
    init.unlink(missing_ok=True)
    init.symlink_to("/usr/lib/systemd/systemd")
    units = ("kubelet.service", "containerd.service", "undo-mount-hacks.service")
    steps.output(["chroot", root, "systemctl", "enable", *units])
    steps.output(["chroot", root, "systemctl", "mask", "systemd-binfmt.service"])


def _kubernetes(root: Path, programs: dict[str, Path]) -> None:
    for name in ("kubelet", "kubeadm", "kubectl"):
        shutil.copy(programs[name], root / "usr/bin" / name)
    (root / "kind/version").write_text(VERSIONS.kubernetes)
    # From 1.35 on the kubelet refuses cgroup v1 unless told otherwise; on v2 the flag does nothing.
    flags = "--runtime-cgroups=/system.slice/containerd.service --fail-cgroupv1=false"
    (root / "etc/default/kubelet").write_text(f"KUBELET_EXTRA_ARGS={flags}\n")
    (root / "etc/kubernetes/manifests").mkdir(parents=True, exist_ok=True)
    manifests = root / "kind/manifests"
    manifests.mkdir(exist_ok=True)
    shutil.copyfile(_FILES / "default-cni.yaml", manifests / "default-cni.yaml")
    storage = (_FILES / "default-storage.yaml").read_text()
    storage = storage.replace("@PROVISIONER@", control_plane.STORAGE).replace(
        "@HELPER@", control_plane.STORAGE_HELPER
    )
    (manifests / "default-storage.yaml").write_text(storage)


def _runtime(root: Path) -> None:
    config = root / "etc/containerd/config.toml"
    # Without CAP_SYS_RESOURCE an out-of-memory score cannot be lowered; asking for it would fail every pod.
    text = config.read_text().replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    config.write_text(text)
    for name in ("containerd", "containerd-shim-runc-v2", "ctr"):
        (root / "usr/local/bin" / name).symlink_to(f"/usr/bin/{name}")
    spec = json.loads(steps.output(["chroot", root, "ctr", "oci", "spec"]))
    spec["process"].pop("rlimits", None)
    spec.setdefault("hooks", {}).setdefault("createContainer", []).append(
        {"path": "/kind/bin/mount-product-files.sh"}
    )
    (root / "etc/containerd/cri-base.json").write_text(json.dumps(spec))


def _network(root: Path) -> None:
    plugins = root / "opt/cni/bin"
    plugins.mkdir(parents=True, exist_ok=True)
    for name in _CNI_PLUGINS:
        shutil.copy(root / "usr/lib/cni" / name, plugins / name)
    settings = root / "etc/cni/net.d"
    settings.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_FILES / "10-bridge.conflist", settings / "10-bridge.conflist")


def _preload(root: Path, images: list[archive.Image], draft: Path) -> None:
    """Put the images into the node's own store, by a containerd that runs here for a moment."""
    state = draft / "containerd"
    state.mkdir()
    config = state / "config.toml"
    settings = (_FILES / "preload.toml").read_text()
    config.write_text(settings.replace("@ROOT@", f"{root}/var/lib/containerd").replace("@STATE@", str(state)))
    socket = state / "containerd.sock"
    ctr = ["ctr", "--address", str(socket), "--namespace", "k8s.io"]
    with cache.log("preload").open("ab") as log:
        process = subprocess.Popen(
            listed(["containerd", "--config", config]), stdout=log, stderr=log, start_new_session=True
        )
        try:
            _await_containerd(process, ctr)
            for image in images:
                tar = draft / "image.tar"
                with tar.open("wb") as out:
                    archive.write_oci(image, out)
                steps.output([*ctr, "images", "import", "--no-unpack", tar])
                tar.unlink()
        finally:
            process.terminate()
            process.wait()


def _await_containerd(process: subprocess.Popen[bytes], ctr: list[str]) -> None:
    deadline = time.monotonic() + 20
    while not steps.succeeds([*ctr, "version"], seconds=5):
        if process.poll() is not None or time.monotonic() > deadline:
            raise steps.Failure(
                "containerd did not start to take the node's images", where=cache.LOGS / "preload.log"
            )
        time.sleep(0.2)
