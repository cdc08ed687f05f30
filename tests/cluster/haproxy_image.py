"""The image of haproxy-ingress: its controller and its files, with HAProxy as a wheel brings it."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import archive, cache, python_images, rootfs, steps, tools
from .versions import HERE, IMAGES

_SCRIPTS = ("start.sh", "haproxy-reload.sh", "haproxy-shutdown.sh")
_JSON = "return {}\n"
"""Its Lua asks for a library that Debian has for older Lua only, and calls it for authentication alone."""
_USER = "99:99"


def image() -> archive.Image:
    """A layer over the base that the node has anyway."""
    from tests.probe import packages  # which knows us

    build = tools.BUILDS["haproxy-ingress"]
    digest = cache.key(build.digest, packages.LOCK, HERE / "haproxy_image.py")
    layer = rootfs.layer("haproxy-ingress", digest, _fill)
    name = IMAGES["build"]["haproxy-ingress"]
    return archive.Image(name, (python_images.base(), layer), entrypoint=("/start.sh",), user=_USER)


def _fill(root: Path) -> None:
    shutil.copy(tools.build("haproxy-ingress")["haproxy-ingress-controller"], root)
    source = tools.source("haproxy-ingress", "github.com/jcmoraisjr/haproxy-ingress") / "rootfs"
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if path.is_file() and (inside.parts[0] == "etc" or inside.name in _SCRIPTS):
            target = root / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)  # without the mode: the module's files are read-only
            target.chmod(0o755 if inside.name in _SCRIPTS else 0o644)
    shutil.copytree(_haproxy().parent, root / "opt/haproxy")  # it looks for its libraries beside itself
    programs, lua = root / "usr/local/sbin", root / "usr/local/share/lua/5.4"
    for folder in (programs, lua):
        folder.mkdir(parents=True)
    (programs / "haproxy").symlink_to("/opt/haproxy/haproxy")
    (lua / "json.lua").write_text(_JSON)


def _haproxy() -> Path:
    from tests.probe import packages

    try:
        return packages.PROGRAMS["haproxy"]()
    except packages.Missing as missing:
        raise steps.Failure(str(missing)) from missing
