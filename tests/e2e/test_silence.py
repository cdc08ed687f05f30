"""70 seconds without a byte: the stream lives through the annotation we write, and dies without it."""

from tests.e2e import kube, release
from tests.e2e.endpoints import Endpoint
from tests.e2e.waiting import wait_for

ANNOTATION = "nginx.ingress.kubernetes.io/proxy-read-timeout"
SILENT = {"X-Double-Silence-After-Tokens": "5", "X-Double-Silence-Seconds": "70"}
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


def _workers() -> set[str]:
    """The nginx processes that take new connections; one that a reload has replaced has another title."""
    script = 'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline | grep -q "^nginx: worker process *$" && echo $p; done'
    told = kube.kubectl(
        "-n", "ingress-nginx", "exec", "deployment/ingress-nginx-controller",
        "--", "sh", "-c", f"{script} 2>/dev/null; true",
    )  # fmt: skip
    return set(told.split())


def test_silence_survives_and_the_control_is_cut(namespace: str) -> None:
    """With the annotation the stream goes on; removed by hand, with no operator to mend it, cut at 60 s."""
    kept, control = Endpoint(namespace, "kept"), Endpoint(namespace, "control")
    for endpoint in (kept, control):
        endpoint.apply(endpoint.double(engine=NO_KEEP_ALIVE))
    for endpoint in (kept, control):
        endpoint.await_ready()
    with release.stopped():
        before = _workers()
        kube.patch("ingress", control.name, {"metadata": {"annotations": {ANNOTATION: None}}}, namespace)
        wait_for(
            lambda: _read_timeouts(control.host) == {"60s"}, "nginx to go back to its default for the control"
        )
        wait_for(lambda: _workers() and not before & _workers(), "nginx's workers to be new ones")
        streams = [endpoint.stream(max_tokens=20, headers=SILENT) for endpoint in (kept, control)]
        survived, cut = [stream.finish() for stream in streams]

    assert (survived.ending, survived.done, survived.finish_reason) == ("whole", True, "length")
    assert survived.longest_gap >= 70
    assert (cut.ending, cut.done) == ("cut", False)
    assert 59 <= cut.longest_gap < 70, "cut by something else than the proxy's 60 s"

    wait_for(
        lambda: ANNOTATION in control.child("ingress")["metadata"]["annotations"],
        "the operator, back again, to mend the annotation",
        tell=control.diagnosis,
    )
