"""
A person who has just cloned the repository: Debian with Python and make, no Go, no root, an empty home.

The person may use the container engine of this machine, by its group and its socket alone. The home lies at the
same path inside and outside, since the engine mounts files from it.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import clients, rootfs, steps
from tests.cluster.programs import listed

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("python3", "python3-venv", "make", "ca-certificates")
SOCKET = Path("/var/run/docker.sock")
UID = 4711  # nobody's on this machine
_CHROOT = shutil.which("chroot", path="/usr/sbin:/usr/bin") or "chroot"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
PATH = "/usr/local/bin:/usr/bin:/bin"
# How this machine reaches PyPI, if it needs to be told.
_NETWORK = (
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_PROXY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
)


@dataclass(frozen=True)
class Newcomer:
    """An ordinary user in a root file system of their own."""

    root: Path
    home: Path
    may_use_engine: bool = True

    @property
    def clone(self) -> Path:
        """Their copy of the repository."""
        return self.home / "streaming-operator"

    @property
    def kubeconfig(self) -> Path:
        """Of the cluster that they made."""
        return self.home / ".cache/streaming-operator/state/kubeconfig"

    def run(
        self, *words: str, env: Mapping[str, str] | None = None, seconds: float = 600
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the clone; its output is kept."""
        groups = [UID, SOCKET.stat().st_gid] if self.may_use_engine else [UID]
        script = (
            'set -e; root=$1; home=$2; shift 2; mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev";'
            ' mkdir -p "$root/run" "$root$home"; mount --bind "$home" "$root$home";'
            ' touch "$root/run/docker.sock"; mount --bind /var/run/docker.sock "$root/run/docker.sock";'
            # No exec: the kernel forgets --kill-child of a process that becomes another user.
            ' "$@"; exit'
        )
        inside = f'cd {self.clone} && exec "$@"'
        command: list[str | Path] = [
            # Namespaces of its own, which end with it and take what it started along.
            "unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child",
            "sh", "-c", script, "sh", self.root, self.home,
            _CHROOT, f"--userspec={UID}:{UID}", f"--groups={','.join(map(str, groups))}", self.root,
            "sh", "-c", inside, "sh", *words,
        ]  # fmt: skip
        return subprocess.run(
            listed(command),
            env=_environment(self.home, env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def _environment(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if name.upper().startswith(_NETWORK)}
    return {**kept, "PATH": PATH, "HOME": str(home), "LANG": "C.UTF-8", **more}


def arrive(folder: Path) -> Newcomer:
    """Make root, home and clone below *folder*; with the programs that the README asks for on PATH."""
    root, home = folder / "root", folder / "home"
    root.mkdir()
    rootfs.unpack(rootfs.debian("newcomer", PACKAGES), root)
    for name in (CERTIFICATES, "etc/resolv.conf", "etc/hosts"):
        shutil.copyfile(f"/{name}", root / name)
    with (root / "etc/passwd").open("a") as users:
        users.write(f"newcomer:x:{UID}:{UID}::{home}:/bin/sh\n")
    programs = {name: clients.find(name) for name in clients.CLIENTS}
    docker = shutil.which("docker")
    assert docker is not None
    for name, path in (programs | {"docker": Path(docker)}).items():
        shutil.copy(path, root / "usr/local/bin" / name)
    newcomer = Newcomer(root, home)
    _clone(newcomer.clone)
    for path in (home, *home.rglob("*")):
        os.chown(path, UID, UID, follow_symlinks=False)
    folder.chmod(0o755)  # a temporary one is its maker's alone
    return newcomer


def _clone(target: Path) -> None:
    """What git tracks or would track, as it stands in this working tree."""
    names = steps.output(
        ["git", "-C", REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    )
    for name in names.split("\0"):
        source = REPOSITORY / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)
