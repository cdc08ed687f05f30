"""The real ingress-nginx controller on Debian's nginx: its image, and a manifest for each class wanted.

Routing, annotations, ConfigMap and reloads are the controller's own. Not here: TCP services, HTTP/2
(Debian's nginx is older than the template's `http2` directive), external authentication.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from . import archive, cache, mirror, rootfs, steps, tools
from .versions import HERE, IMAGES, Mode

PACKAGES = (
    "nginx-light", "libnginx-mod-http-ndk", "libnginx-mod-http-lua", "libnginx-mod-http-headers-more-filter",
    "libnginx-mod-http-set-misc", "libnginx-mod-stream", "lua-cjson", "lua-resty-core", "lua-resty-lrucache",
    "lua-nginx-cookie", "lua-nginx-dns", "ca-certificates", "dumb-init",
)  # fmt: skip
UID, GID = 101, 82  # the official image's
CONTROLLER = "k8s.io/ingress-nginx"
NAMESPACE = "ingress-nginx"
CLASS = "nginx"
_FILES = HERE / "files" / "nginx"
_MODULES = ("ndk_http", "ngx_http_lua", "ngx_http_headers_more_filter", "ngx_http_set_misc", "ngx_stream")
_FROM_DEBIAN = ("mime.types", "fastcgi_params")
_STREAM = "stream {\n    server { listen 127.0.0.1:{{ .StreamPort }}; proxy_pass 127.0.0.1:10254; }\n}"
# Debian's nginx has some of these compiled in as the places for temporary files.
_WRITABLE = (
    "etc/ingress-controller/ssl", "etc/ingress-controller/auth", "etc/ingress-controller/geoip",
    "etc/ingress-controller/telemetry", "var/log/nginx", "tmp/nginx", "etc/nginx", "var/lib/nginx",
)  # fmt: skip


def image() -> archive.Image:
    """The controller's image."""
    build = tools.BUILDS["ingress-nginx"]
    digest = cache.key(
        build.digest, _FILES / "lua", HERE / "ingress.py", rootfs.key(PACKAGES), *rootfs.PRUNED
    )
    return archive.Image(
        IMAGES["build"]["ingress-nginx"],
        (rootfs.layer("ingress-nginx", digest, _fill, keep_owners=True),),
        entrypoint=("/usr/bin/dumb-init", "--"),
        command=("/nginx-ingress-controller",),
        user=f"{UID}:{GID}",
        workdir="/etc/nginx",
    )


def _fill(root: Path) -> None:
    program = tools.build("ingress-nginx")["nginx-ingress-controller"]
    tar = rootfs.debian("nginx", PACKAGES)
    with steps.step("make the ingress-nginx image"):
        rootfs.unpack(tar, root)
        kept = {name: (root / "etc/nginx" / name).read_bytes() for name in _FROM_DEBIAN}
        shutil.rmtree(root / "etc/nginx")
        _controller_files(root)
        for name, content in kept.items():
            (root / "etc/nginx" / name).write_bytes(content)
        shutil.copy(program, root / "nginx-ingress-controller")
        (root / "usr/bin/nginx").symlink_to("/usr/sbin/nginx")
        _give_to_nginx(root)
        rootfs.prune(root)
        (root / "var/log/nginx").mkdir(parents=True, exist_ok=True)
        shutil.chown(root / "var/log/nginx", UID, GID)
        (root / "var/log/nginx/access.log").symlink_to("/dev/stdout")
        (root / "var/log/nginx/error.log").symlink_to("/dev/stderr")
        steps.output(["chroot", root, "/usr/sbin/nginx", "-V"])


def _controller_files(root: Path) -> None:
    """The controller's template and Lua, with our stand-ins for the Lua libraries that Debian lacks."""
    source = tools.source("ingress-nginx", "k8s.io/ingress-nginx") / "rootfs/etc/nginx"
    target = root / "etc/nginx"
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if path.is_file() and not inside.is_relative_to("lua/test"):
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / inside)
    shutil.copytree(_FILES / "lua", target / "lua", dirs_exist_ok=True)
    template = target / "template/nginx.tmpl"
    template.write_text(for_debian(template.read_text()))


def for_debian(template: str) -> str:
    """The controller's template for an nginx with dynamic modules and without Lua in its stream part."""
    modules = "".join(f"load_module /usr/lib/nginx/modules/{name}_module.so;\n" for name in _MODULES)
    edits = (
        (r"^daemon off;", f"{modules}\ndaemon off;"),
        # At each change the controller hands over its TCP services on this port, in two writes up to a line's end.
        # Its own health server stands in for Lua: it reads the line before it closes, so neither write fails.
        (r"^stream \{.*?^\}", _STREAM),
        (r"^( *)http2 on;", r"\1# http2 needs nginx 1.25.1"),
    )
    for pattern, text in edits:
        template, count = re.subn(pattern, text, template, flags=re.MULTILINE | re.DOTALL)
        if not count:
            raise steps.Failure(
                f"nothing matches {pattern!r} in the controller's template", remedy="adapt ingress.py"
            )
    return template


def _give_to_nginx(root: Path) -> None:
    for name, old, new in (
        ("passwd", "www-data:x:33:33", f"www-data:x:{UID}:{GID}"),
        ("group", "www-data:x:33", f"www-data:x:{GID}"),
    ):  # fmt: skip
        path = root / "etc" / name
        path.write_text(path.read_text().replace(old, new))
    for name in _WRITABLE:
        top = root / name
        top.mkdir(parents=True, exist_ok=True)
        for path in (top, *top.rglob("*")):
            shutil.chown(path, UID, GID)


def manifest(
    namespace: str = NAMESPACE,
    class_name: str = CLASS,
    controller: str = CONTROLLER,
    host_ports: tuple[int, int] | None = (80, 443),
    configmap: Mapping[str, str] | None = None,
    mode: Mode = "build",
) -> str:
    """A controller of its own in a namespace of its own, answering on these ports (http, https) of the node.

    Without host ports it answers at its Service `ingress-nginx-controller` alone, which is a NodePort one.
    """
    ports: list[dict[str, object]] = [
        {"name": "http", "containerPort": 8080}, {"name": "https", "containerPort": 8443},
    ]  # fmt: skip
    for port, number in zip(ports, host_ports or (), strict=False):
        port["hostPort"] = number
    # Debian's nginx has no `http2` directive. Each worker learns of pods by a timer of its own: with one, whoever
    # asks after the probe is answered by what the probe saw.
    settings = {"use-http2": "false", "worker-processes": "1", **(configmap or {})}
    text = (_FILES / "ingress.yaml").read_text()
    for name, value in (
        ("NAMESPACE", namespace), ("CLASS", class_name), ("CONTROLLER", controller),
        ("IMAGE", mirror.image("ingress-nginx", mode)), ("CONFIGMAP", json.dumps(settings)),
        ("PORTS", json.dumps(ports)),
        ("DIGEST", image().digest if mode == "build" else ""),
    ):  # fmt: skip
        text = text.replace(f"@{name}@", value)
    return text
