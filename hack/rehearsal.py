"""
Runs what the README promises on a machine that nobody prepared: `make rehearsal`.

A minimal Debian of each release, with only what the README asks of the reader, an empty home and the system's default
PATH. Two lengths:

* everything that needs no cluster, in two parts. `make venv` with `make check` is quick: `make test` rehearses it when
  its scripts have changed. Every program that is built or fetched and vLLM take minutes: what has passed counts there.
  Go's caches are this machine's, so that nothing is compiled twice.
* `--commands`: the README's own commands, from nothing, with empty caches. The container engine that they start has a
  network namespace of its own, so that one which runs on this machine is left alone.

Needs root. The network settings of this machine (mirror, certificates, index) are carried over, nothing else.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
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
COMMANDS = ("make demo", "make test")
OWN_NETWORK = (
    "unshare --net sleep infinity & holder=$!",
    "while [ $(readlink /proc/$holder/ns/net) = $(readlink /proc/self/ns/net) ]; do sleep 0.1; done",
    "ready=$(mktemp -u); mkfifo $ready",
    "slirp4netns --configure --mtu=65520 --disable-host-loopback --ready-fd=3 $holder tap0 3>$ready >/dev/null &",
    "head -c 1 $ready >/dev/null; rm $ready",
)
"""A namespace that reaches outward as a user's programs do, without a rule in this machine's packet filter."""
_SCRIPTS = (
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
    "requirements-dev.lock",
    "hack/rehearsal.py",
    "hack/venv.py",
    *(f"tests/cluster/{name}.py" for name in ("cache", "command", "packages", "programs", "rootfs", "steps", "tools")),
    "tests/cluster/versions.toml",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Commands that need no cluster, and the files that decide whether they work: while those stay, a pass counts."""

    commands: tuple[str, ...]
    scripts: tuple[str, ...]

    def digest(self, release: str) -> str:
        """Of everything that the outcome depends on."""
        return cache.key(release, *READER, *self.commands, *(ROOT / name for name in self.scripts))


PARTS = {
    "environment": Part(
        ("make venv", "make check"), (*_SCRIPTS, "hack/workflows.py", "tests/cluster/go/actionlint")
    ),
    "programs": Part(
        (
            "make venv",
            ".venv/bin/python -m tests.cluster tools",
            ".venv/bin/python -m tests.probe.packages",
            "python3 -m tests.cluster.vllm_image",
            "CI=1 .venv/bin/python -m pytest -q tests/contract/test_engine_wire.py"
            " -k 'flags_are_the_real or (loading_refuses and vllm)'",
            "CI=1 .venv/bin/python -m pytest -q tests/probe/zoo/test_real_engines.py -k off",
        ),
        (
            *_SCRIPTS,
            *(
                f"tests/cluster/{name}.py"
                for name in ("archive", "image_python", "python_images", "vllm_image")
            ),
            "tests/cluster/go",
            "tests/engines/vllm",
            "tests/probe/packages.py",
            "tests/probe/zoo/packages.lock",
        ),
    ),
}
QUICK = "environment"
"""A minute a release: no reason to put it off. The others take ten."""
INSIDE = Path("/etc/streaming-rehearsal")
"""Stands in the root of a rehearsal: the tests that `make test` runs there do not begin another."""


def main() -> int:
    """Rehearse; 1 with the failed command when one fails."""
    parser = argparse.ArgumentParser(prog="make rehearsal", description=__doc__.splitlines()[1])
    parser.add_argument("--release", action="append", choices=rootfs.RELEASES, help="only this Debian")
    parser.add_argument(
        "--commands", nargs="*", metavar="COMMAND", help="README commands instead; none: all of them"
    )
    parser.add_argument(
        "--shared-go",
        action="store_true",
        help="README commands with this machine's Go caches: minutes instead of half an hour",
    )
    parser.add_argument("--again", action="store_true", help="also where an unchanged rehearsal has passed")
    options = parser.parse_args()

    def rehearse_all() -> None:
        for release in options.release or rootfs.RELEASES:
            if options.commands is None:
                for part in PARTS:
                    _report(release, without_cluster(part, release, again=options.again))
            else:
                commands = tuple(options.commands) or COMMANDS
                _report(release, rehearse(release, commands, shared_go=options.shared_go))

    return command.run(rehearse_all, failed="rehearsal", interrupted="interrupted; nothing of it is kept")


def _report(release: str, took: dict[str, float]) -> None:
    for line, seconds in took.items():
        steps.say(f"Debian {release}: {seconds:6.0f} s  {line}")


def passed(part: str, release: str) -> bool:
    """Whether this part has passed here with the same scripts."""
    return _kept(part, release).is_dir()


def without_cluster(part: str, release: str, *, again: bool = False) -> dict[str, float]:
    """
    Rehearse a part of what needs no cluster, unless the same has passed before; Failure when a command fails.

    Returned are the commands with the seconds that each took.
    """

    def build(draft: Path) -> None:
        took = rehearse(release, PARTS[part].commands, shared_go=True, own_network=False)
        (draft / "passed.json").write_text(json.dumps(took))

    if again:
        cache.remove(_kept(part, release))
    place = cache.folder("rehearsals", f"{release}-{part}", PARTS[part].digest(release), build)
    took: dict[str, float] = json.loads((place / "passed.json").read_text())
    return took


def _kept(part: str, release: str) -> Path:
    return cache.ROOT / "rehearsals" / f"{release}-{part}-{PARTS[part].digest(release)}"


def rehearse(
    release: str, commands: tuple[str, ...], *, shared_go: bool, own_network: bool = True
) -> dict[str, float]:
    """
    Run the commands one after the other in a fresh root; Failure at the first that fails, with its log.

    A container engine needs a network of its own. Returned are the commands with the seconds that each took.
    """
    if INSIDE.exists():
        raise steps.Failure("a rehearsal does not begin another")
    if os.geteuid() != 0:
        raise steps.Failure("a root file system cannot be made", remedy="run the rehearsal as root")
    if own_network:
        packages.require("slirp4netns", about="the network of a namespace")
    go = Path(steps.output(["go", "env", "GOROOT"]).strip())
    took = {}
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=cache.ROOT) as folder:
        root = Path(folder)
        _furnish(root, release)
        binds = {go: "usr/local/go"}
        if shared_go:
            for name, place in (("GOMODCACHE", "var/go-modules"), ("GOCACHE", "var/go-build")):
                binds[Path(steps.output(["go", "env", name]).strip())] = place
        for line in commands:
            log = cache.log(f"rehearsal-{release}-{re.sub('[^a-z]+', '-', line)[-40:].strip('-')}")
            with steps.step(f"Debian {release}: {line}"):
                started = time.monotonic()
                try:
                    steps.run(_inside(root, binds, line, shared_go, own_network), log)
                except steps.Failure as failure:
                    end = "\n".join(log.read_text(errors="replace").splitlines()[-steps.TAIL :])
                    raise steps.Failure(
                        f"in Debian {release}, `{line}` fails:\n{end}", where=_keep_logs(root, release, log)
                    ) from failure
                took[line] = round(time.monotonic() - started, 1)
    return took


def _keep_logs(root: Path, release: str, log: Path) -> Path:
    """The logs of the steps inside, which would go with the root, and the command's own."""
    kept = cache.LOGS / f"rehearsal-{release}"
    cache.remove(kept)
    inside = root / HOME / ".cache/streaming-operator/logs"
    if inside.is_dir():
        shutil.copytree(inside, kept)
    kept.mkdir(exist_ok=True)
    shutil.copy(log, kept / "output.log")
    return kept


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
    (root / INSIDE.relative_to("/")).touch()
    (root / "usr/local/bin/go").symlink_to("/usr/local/go/bin/go")
    (root / CLONE).mkdir(parents=True)
    tracked = steps.output(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    )
    names = "\0".join(name for name in tracked.split("\0") if (ROOT / name).is_file())
    steps.output(
        ["tar", "-C", ROOT, "--null", "--files-from=-", "-cf", root / "clone.tar"], stdin=names.encode()
    )
    steps.output(["tar", "-C", root / CLONE, "-xf", root / "clone.tar"])
    (root / "clone.tar").unlink()
    steps.output(["chroot", root, "sh", "-c", f"cd /{CLONE} && git init -q && git add -A"])


def _inside(
    root: Path, binds: dict[Path, str], command: str, shared_go: bool, own_network: bool
) -> list[str]:
    """
    The command as a newcomer types it, in namespaces of its own that end with it.

    The root becomes that of its mount namespace: behind a mere chroot, what enters a container inside (`docker exec`)
    would arrive in this machine's root.
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
        f"cd {quoted}; pivot_root . mnt; umount -l /mnt; "
        f"exec env -i {words} sh -c {shlex.quote(f'cd /{CLONE} && {command}')}"
    )
    if own_network:
        lines += [*OWN_NETWORK, f"exec nsenter --net=/proc/$holder/ns/net sh -ec {shlex.quote(enter)}"]
    else:
        lines.append(enter)
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
