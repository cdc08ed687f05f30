"""
Runs what the README promises on a machine that nobody prepared: `make rehearsal`.

A minimal Debian of each release, with only what the README asks of the reader, an empty home and the system's default
PATH. Two lengths:

* everything that needs no cluster, which the gate runs as well: `make venv`, vLLM, every program that is built or
  fetched, `make check`. Go's caches are this machine's, so that nothing is compiled twice.
* `--commands`: the README's own commands, from nothing, with empty caches. The container engine that they start has a
  network namespace of its own, so that one which runs on this machine is left alone.

Needs root. The network settings of this machine (mirror, certificates, index) are carried over, nothing else.
"""

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from tests.cluster import cache, command, packages, rootfs, steps

ROOT = Path(__file__).resolve().parent.parent
READER = ("python3", "make", "git", "ca-certificates")
"""What the README asks of the reader, as Debian packages; Go comes from this machine, since Debian's is too old."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOME = "root"
CLONE = f"{HOME}/streaming-operator"
NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/usr/local/share/ca-certificates")
"""How this machine reaches its package mirrors."""
WITHOUT_CLUSTER = (
    "make venv",
    "make check",
    ".venv/bin/python -m tests.cluster tools",
    ".venv/bin/python -m tests.probe.packages",
    "python3 -m tests.cluster.vllm_image",
)
COMMANDS = ("make demo", "make test")
OWN_NETWORK = (
    "unshare --net sleep infinity & holder=$!",
    "while [ $(readlink /proc/$holder/ns/net) = $(readlink /proc/self/ns/net) ]; do sleep 0.1; done",
    "ready=$(mktemp -u); mkfifo $ready",
    "slirp4netns --configure --mtu=65520 --disable-host-loopback --ready-fd=3 $holder tap0 3>$ready >/dev/null &",
    "head -c 1 $ready >/dev/null; rm $ready",
)
"""A namespace that reaches outward as a user's programs do, without a rule in this machine's packet filter."""
INSTALLS = (
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
    "requirements-dev.lock",
    "hack",
    "tests/cluster",
    "tests/engines/vllm",
    "tests/probe/packages.py",
    "tests/probe/zoo/packages.lock",
)
"""What decides whether an installation works; while none of it changes, a passed rehearsal counts."""


def main() -> int:
    """Rehearse; 1 with the failed command when one fails."""
    parser = argparse.ArgumentParser(prog="make rehearsal", description=__doc__.splitlines()[1])
    parser.add_argument("--release", action="append", choices=rootfs.RELEASES, help="only this Debian")
    parser.add_argument(
        "--commands", nargs="*", metavar="COMMAND", help="README commands instead; none: all of them"
    )
    parser.add_argument("--again", action="store_true", help="also where an unchanged rehearsal has passed")
    options = parser.parse_args()

    def rehearse_all() -> None:
        for release in options.release or rootfs.RELEASES:
            if options.commands is None:
                without_cluster(release, again=options.again)
            else:
                rehearse(release, tuple(options.commands) or COMMANDS, shared_go=False)

    return command.run(rehearse_all, failed="rehearsal", interrupted="interrupted; nothing of it is kept")


def without_cluster(release: str, *, again: bool = False) -> None:
    """Rehearse all that needs no cluster, unless the same has passed before; Failure when a command fails."""
    digest = cache.key(release, *READER, *WITHOUT_CLUSTER, *(ROOT / name for name in INSTALLS))

    def build(draft: Path) -> None:
        rehearse(release, WITHOUT_CLUSTER, shared_go=True)
        (draft / "passed").write_text("")

    if again:
        cache.remove(cache.ROOT / "rehearsals" / f"{release}-{digest}")
    cache.folder("rehearsals", release, digest, build)


def rehearse(release: str, commands: tuple[str, ...], *, shared_go: bool) -> None:
    """Run the commands one after the other in a fresh root; Failure at the first that fails, with its log."""
    if os.geteuid() != 0:
        raise steps.Failure("a root file system cannot be made", remedy="run the rehearsal as root")
    if not shared_go:
        packages.require("slirp4netns", about="the network of a namespace")
    go = Path(steps.output(["go", "env", "GOROOT"]).strip())
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=cache.ROOT) as folder:
        root = Path(folder)
        _furnish(root, release)
        binds = {go: "usr/local/go"}
        if shared_go:
            for name, place in (("GOMODCACHE", "var/go-modules"), ("GOCACHE", "var/go-build")):
                binds[Path(steps.output(["go", "env", name]).strip())] = place
        for line in commands:
            log = cache.log(f"rehearsal-{release}-{line.split('.')[-1].replace(' ', '-')}")
            with steps.step(f"Debian {release}: {line}"):
                try:
                    steps.run(_inside(root, binds, line, shared_go), log)
                except steps.Failure as failure:
                    kept = _keep_logs(root, release)
                    raise steps.Failure(failure.what, where=kept, remedy=failure.remedy) from failure


def _keep_logs(root: Path, release: str) -> Path:
    """The logs of the steps inside, which would go with the root, beside the command's own."""
    kept = cache.LOGS / f"rehearsal-{release}"
    cache.remove(kept)
    inside = root / HOME / ".cache/streaming-operator/logs"
    if inside.is_dir():
        shutil.copytree(inside, kept)
    return kept if kept.is_dir() else cache.LOGS


def _furnish(root: Path, release: str) -> None:
    """A fresh root with the reader's programs and a clone of the working tree."""
    rootfs.unpack(rootfs.debian(f"reader-{release}", READER, variant="minbase", release=release), root)
    for name in NETWORK:
        source, target = Path(name), root / name.lstrip("/")
        if source.is_dir():
            steps.output(["cp", "-a", "--", source, target.parent])
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.write_bytes(source.read_bytes())
    steps.output(["chroot", root, "update-ca-certificates"])
    (root / "usr/local/bin/go").symlink_to("/usr/local/go/bin/go")
    (root / CLONE).mkdir(parents=True)
    tracked = steps.output(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    )
    there = "\0".join(name for name in tracked.split("\0") if (ROOT / name).is_file())
    steps.output(
        ["tar", "-C", ROOT, "--null", "--files-from=-", "-cf", root / "clone.tar"], stdin=there.encode()
    )
    steps.output(["tar", "-C", root / CLONE, "-xf", root / "clone.tar"])
    (root / "clone.tar").unlink()
    steps.output(["chroot", root, "sh", "-c", f"cd /{CLONE} && git init -q && git add -A"])


def _inside(root: Path, binds: dict[Path, str], command: str, shared_go: bool) -> list[str]:
    """
    The command as a newcomer types it, in namespaces of its own that end with it.

    The root is a mount point, since a container runtime inside cannot pivot away from a plain folder.
    """
    quoted = shlex.quote(str(root))
    lines = ["set -e", "mount --make-rprivate /", f"mount --bind {quoted} {quoted}"]
    for source, place in binds.items():
        lines += [f"mkdir -p {quoted}/{place}", f"mount --bind {shlex.quote(str(source))} {quoted}/{place}"]
    lines += [
        f"mount --rbind /dev {quoted}/dev",
        f"mount -t proc proc {quoted}/proc",
        f"mount -t tmpfs tmpfs {quoted}/run",
    ]
    environment = {"HOME": f"/{HOME}", "PATH": PATH, "LANG": "C.UTF-8", "TERM": "dumb"}
    if shared_go:
        environment |= {"GOMODCACHE": "/var/go-modules", "GOCACHE": "/var/go-build"}
    if (root / "usr/local/share/ca-certificates").is_dir():  # Python's own bundles do not know this machine's
        environment |= {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    enter = (
        f"mount -t sysfs sysfs {quoted}/sys; mount --rbind /sys/fs/cgroup {quoted}/sys/fs/cgroup; "
        f"exec chroot {quoted} env -i {words} sh -c {shlex.quote(f'cd /{CLONE} && {command}')}"
    )
    if shared_go:
        lines.append(enter)
    else:
        lines += [*OWN_NETWORK, f"exec nsenter --net=/proc/$holder/ns/net sh -ec {shlex.quote(enter)}"]
    return [
        "unshare",
        "--mount",
        "--mount-proc",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        "\n".join(lines),
    ]


if __name__ == "__main__":
    sys.exit(main())
