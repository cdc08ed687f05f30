"""
A real image registry on loopback, and the images of build mode in it under the names of their upstreams.

The registry is Debian's docker-registry, unpacked and not installed: its package would start a service. The
layers go there as they lie in the cache, uncompressed: skopeo would spend minutes on packing four gigabytes.
"""

import hashlib
import http.client
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from tests.cluster import archive, cache, images, node_image, python_images, steps, vllm_image
from tests.cluster.programs import listed
from tests.cluster.versions import BASES, IMAGES
from tests.engines.running import free_port

PREFIX = "some/prefix"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {storage}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`127.0.0.1:PORT`, where a registry answers that keeps its blobs below *folder*."""
    port = free_port()
    config = folder / "registry.yaml"
    config.write_text(CONFIG.format(storage=folder / "blobs", port=port))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(listed([_program(), "serve", config]), stdout=log, stderr=log)
    try:
        _await_answer(process, port, folder / "registry.log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _program() -> Path:
    def build(draft: Path) -> None:
        with cache.lock("apt"), steps.step("fetch docker-registry from Debian"):
            log = cache.log("docker-registry")
            steps.run(["apt-get", "update"], log, remedy="the Debian mirror must be reachable")
            steps.run(["apt-get", "download", "docker-registry"], log, cwd=draft)
            (package,) = draft.glob("*.deb")
            steps.run(["dpkg-deb", "--extract", package, draft], log)

    return cache.folder("registry", "docker-registry", "1", build) / "usr/bin/docker-registry"


def _await_answer(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/v2/")
            assert connection.getresponse().status == 200
            return
        except OSError:  # nobody listens yet, or it does not answer yet
            time.sleep(0.05)
    raise AssertionError(f"the registry did not start: {log.read_text()}")


def upstream() -> Iterator[archive.Image]:
    """What build mode makes, under the names that registry mode pulls."""
    yield replace(_node(), name=IMAGES["registry"]["node"])
    yield replace(images.make("ingress-nginx"), name=IMAGES["registry"]["ingress-nginx"])
    yield archive.Image(BASES["operator"], (python_images.base(),), command=("python3",))
    yield _vllm()


def _node() -> archive.Image:
    root = node_image.archive_path()
    with root.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    layer = archive.Layer(root, f"sha256:{digest}", root.stat().st_size)
    entrypoint = ("/usr/local/bin/entrypoint", "/sbin/init")
    return archive.Image("", (layer,), entrypoint=entrypoint, env={"container": "docker"})


def _vllm() -> archive.Image:
    """As upstream's: without a model, with a python3 that imports what vLLM needs."""
    whole = vllm_image.image()
    layers = tuple(layer for layer in whole.layers if "vllm-model" not in layer.path.parent.name)
    assert len(layers) == len(whole.layers) - 1
    place = f"/{vllm_image.PLACE}"
    env = {**whole.env, "PYTHONPATH": f"{place}/site", "LD_LIBRARY_PATH": f"{place}/stub"}
    return replace(whole, name=BASES["vllm"], layers=layers, env=env)


def push(image: archive.Image, host: str, prefix: str = PREFIX) -> None:
    """Upload the image below the prefix, as the distribution API asks: blobs first, then the manifest."""
    repository, _, tag = image.name.rpartition(":")
    path = f"/v2/{prefix}/{repository}"
    connection = http.client.HTTPConnection(host, timeout=300)
    for layer in image.layers:
        with layer.path.open("rb") as file:
            _upload(connection, path, layer.digest, layer.size, file)
    _upload(connection, path, archive.digest(image.config), len(image.config), image.config)
    connection.request("PUT", f"{path}/manifests/{tag}", image.manifest, {"Content-Type": MANIFEST})
    _expect(connection, 201)
    connection.close()


def _upload(connection: http.client.HTTPConnection, path: str, digest: str, size: int, body: object) -> None:
    connection.request("POST", f"{path}/blobs/uploads/")
    place = urlsplit(_expect(connection, 202).headers["Location"])
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    target = f"{place.path}?{place.query}&digest={digest}"
    connection.request("PUT", target, body, headers)  # type: ignore[arg-type]
    _expect(connection, 201)


def _expect(connection: http.client.HTTPConnection, status: int) -> http.client.HTTPResponse:
    response = connection.getresponse()
    text = response.read()
    assert response.status == status, text
    return response


def forget(engine: str, host: str) -> None:
    """Remove from the engine what was pulled from this registry."""
    names = steps.output([engine, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]).split()
    for name in names:
        if name.startswith(f"{host}/"):
            steps.succeeds([engine, "image", "rm", "--force", name])
