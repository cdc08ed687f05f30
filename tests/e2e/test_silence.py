"""
70 seconds without a byte: the stream survives with the annotation that we write, and is cut without it.

The control is a copy of the same Ingress without the annotation, under another host and of nobody's, so that the
operator does not repair it. That it repairs its own is shown in test_repair.py.
"""

import pytest

from tests.cluster import kind
from tests.e2e import kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.streams import EdgeAddress, begun
from tests.e2e.waiting import wait_for

ANNOTATION = "nginx.ingress.kubernetes.io/proxy-read-timeout"
# Ten seconds more than the client must see: it may read the token before the silence late.
SILENT = {"X-Double-Silence-After-Tokens": "5", "X-Double-Silence-Seconds": "80"}
NO_KEEP_ALIVE = {"sseKeepAliveSeconds": 0}


def _read_timeouts(host: str) -> set[str]:
    """What nginx has loaded for the host, read from the controller's configuration."""
    conf = kube.kubectl(
        "-n",
        "ingress-nginx",
        "exec",
        "deployment/ingress-nginx-controller",
        "--",
        "cat",
        "/etc/nginx/nginx.conf",
    )
    block = conf.split(f"## start server {host}")[-1].split("## end server")[0] if host in conf else ""
    return {line.split()[1].rstrip(";") for line in block.splitlines() if "proxy_read_timeout" in line}


def _without_annotation(ingress: kube.Manifest, host: str) -> kube.Manifest:
    """The same Ingress for another host, of nobody's."""
    metadata, spec = ingress["metadata"], ingress["spec"]
    annotations = {key: value for key, value in metadata["annotations"].items() if key != ANNOTATION}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "control",
            "namespace": metadata["namespace"],
            "annotations": {key: value for key, value in annotations.items() if "nginx" in key},
        },
        "spec": spec | {"rules": [rule | {"host": host} for rule in spec["rules"]]},
    }


@pytest.mark.shows("ingress-nginx", "default", "a silence is cut after 60 s")
@pytest.mark.shows("ingress-nginx", "ours", "70 s of silence pass")
def test_silence_survives_and_the_control_is_cut(endpoint: Endpoint) -> None:
    """With the annotation the stream goes on; without it the same path is cut at 60 s."""
    endpoint.apply(endpoint.double(engine=NO_KEEP_ALIVE))
    endpoint.await_ready()
    host = f"control.{endpoint.host}"
    kube.apply(_without_annotation(endpoint.child("ingress"), host))
    wait_for(lambda: _read_timeouts(host) == {"60s"}, "nginx to have its default for the control")
    # That is written before the reload: until then nginx has no such host.
    edge = EdgeAddress(kind.address())
    streams = [
        wait_for(lambda name=name: begun(edge, name, endpoint.name, max_tokens=20, headers=SILENT), name)
        for name in (endpoint.host, host)
    ]
    survived, cut = [stream.finish() for stream in streams]

    assert (survived.ending, survived.done, survived.finish_reason) == ("whole", True, "length")
    assert survived.longest_gap >= 70
    assert (cut.ending, cut.done) == ("cut", False)
    assert 50 <= cut.longest_gap < 75, "cut by something else than the proxy's 60 s"
