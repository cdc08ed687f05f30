"""
Traefik's ingress-nginx provider: the maintained reader of the annotations that we write, on a real API server.

The annotations of our Ingress make it stream; the same ones set otherwise break it in Traefik's own ways.
"""

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from streaming_operator import render, values
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.verification import verify
from streaming_operator.values import ProbeResult
from tests.apiserver.control_plane import ControlPlane
from tests.cluster.programs import listed
from tests.engines.running import RunningEngine, free_port, own_address
from tests.probe import packages
from tests.probe.conftest import METRICS, plan
from tests.probe.zoo.cases import PAUSES

PREFIX = "nginx.ingress.kubernetes.io"
CLASS = "zoo-traefik"
ROUTE_SECONDS = 30.0
DEFAULT_SECONDS = 2
"""How long a silence may be unless an Ingress says it; 60 by default, made small here."""
OURS = {"proxy-buffering": "off", "proxy-read-timeout": "3600", "proxy-http-version": "1.1"}


@dataclass(frozen=True)
class Edge:
    """Traefik, and where it reads its routes."""

    port: int
    plane: ControlPlane
    namespace: str
    address: str

    def route(self, name: str, engine: int, annotations: Mapping[str, str]) -> str:
        """A Service, its endpoint and an Ingress; returns once its host is served."""
        host = f"{name}.example"
        for manifest in _manifests(self, name, host, engine, annotations):
            self.plane.create(manifest)
        deadline = time.monotonic() + ROUTE_SECONDS
        while time.monotonic() < deadline:
            if served(self, "/v1/models", host)[0] == 200:
                return host
            time.sleep(0.1)
        raise AssertionError(f"Traefik does not serve {host}")


def _manifests(
    edge: Edge, name: str, host: str, engine: int, annotations: Mapping[str, str]
) -> tuple[dict[str, object], ...]:
    meta = {"name": name, "namespace": edge.namespace}
    backend = {"service": {"name": name, "port": {"name": "http"}}}
    path = {"path": "/v1", "pathType": "Prefix", "backend": backend}
    return (
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": engine}]},
        },
        _endpoints(edge, name, engine),
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": meta
            | {"annotations": {f"{PREFIX}/{key}": value for key, value in annotations.items()}},
            "spec": {"ingressClassName": CLASS, "rules": [{"host": host, "http": {"paths": [path]}}]},
        },
    )


def _endpoints(edge: Edge, name: str, engine: int) -> dict[str, object]:
    """What stands behind a Service in place of pods."""
    meta = {"name": name, "namespace": edge.namespace, "labels": {"kubernetes.io/service-name": name}}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": [{"addresses": [edge.address], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": engine, "protocol": "TCP"}],
    }


@pytest.fixture
def edge(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Edge]:
    """Traefik as a process of its own, reading the API server."""
    try:
        program = packages.traefik()
    except packages.Missing as missing:
        pytest.skip(str(missing))
    control_plane.apply(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": CLASS},
            "spec": {"controller": "k8s.io/ingress-nginx"},
        }
    )
    port = free_port()
    flags = [
        f"--entrypoints.web.address=127.0.0.1:{port}",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--providers.kubernetesingressnginx=true",
        f"--providers.kubernetesingressnginx.ingressclass={CLASS}",
        "--providers.kubernetesingressnginx.ingressclassbyname=true",
        f"--providers.kubernetesingressnginx.watchnamespace={namespace}",
        # For Ingresses that say nothing of it: 60 by default.
        f"--providers.kubernetesingressnginx.proxyreadtimeout={DEFAULT_SECONDS}",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            listed([program, *flags]),
            stdout=log,
            stderr=log,
            env=os.environ | {"KUBECONFIG": str(control_plane.kubeconfig)},
        )
        try:
            _await(port, process, tmp_path / "log")
            yield Edge(port, control_plane, namespace, own_address())
        finally:
            process.terminate()
            process.wait()


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + ROUTE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()[-2000:]) from None
            time.sleep(0.05)


async def probed(
    edge: Edge, name: str, flags: tuple[str, ...], annotations: Mapping[str, str]
) -> ProbeResult:
    with RunningEngine("double", ("--host", "0.0.0.0", METRICS, *flags)) as engine:
        host = edge.route(name, engine.port, annotations)
        asked = plan([engine.port, edge.port])
        pod, outer = asked.targets
        return await verify(replace(asked, targets=(pod, replace(outer, host=host))))


@pytest.mark.apiserver
@pytest.mark.programs("traefik")
async def test_our_annotations_stream(edge: Edge) -> None:
    """What our Ingress says is what Traefik needs."""
    result = await probed(edge, "ours", (), OURS)
    assert (result.verdict, result.hop) == (Verdict.STREAMING, Hop.EXPOSURE), result.message


@pytest.mark.apiserver
@pytest.mark.programs("traefik")
async def test_proxy_buffering_on_holds_whole_answers(edge: Edge) -> None:
    """Worse than nginx: the whole answer is held, whatever the upstream's framing."""
    result = await probed(edge, "buffering", (), OURS | {"proxy-buffering": "on"})
    assert (result.verdict, result.hop) == (Verdict.BUFFERED, Hop.EXPOSURE), result.message


@pytest.mark.apiserver
@pytest.mark.programs("traefik")
async def test_proxy_read_timeout_cuts_a_pause(edge: Edge) -> None:
    """A pause longer than the annotation's seconds."""
    result = await probed(edge, "timeout", PAUSES, OURS | {"proxy-read-timeout": "2"})
    assert (result.verdict, result.hop) == (Verdict.IDLE_TIMEOUT, Hop.EXPOSURE), result.message


@pytest.mark.apiserver
@pytest.mark.programs("traefik")
async def test_its_own_limit_on_a_silence_cuts_where_no_annotation_lifts_it(edge: Edge) -> None:
    """An Ingress that says nothing has it; the Ingress that the operator renders for the class passes the silence."""
    result = await probed(edge, "plain", PAUSES, {})
    assert (result.verdict, result.hop) == (Verdict.IDLE_TIMEOUT, Hop.EXPOSURE), result.message
    with RunningEngine("double", ("--host", "0.0.0.0", METRICS, *PAUSES)) as engine:
        exposed(edge, "chat", engine.port, stripPrefix=None)
        await_served(edge)
        asked = plan([engine.port, edge.port])
        pod, outer = asked.targets
        result = await verify(replace(asked, targets=(pod, replace(outer, host="chat.example"))))
    assert (result.verdict, result.hop) == (Verdict.STREAMING, Hop.EXPOSURE), result.message


def exposed(edge: Edge, name: str, engine: int, **exposure: object) -> None:
    """Service and Ingress as the operator renders them, with a server of this machine behind them."""
    exposure = {
        "host": "chat.example",
        "stripPrefix": "/my.model",
        "ingress": {"className": CLASS},
        **exposure,
    }
    spec = {"model": {"source": {"local": {"path": "/m"}}}, "exposure": exposure}
    body = {"metadata": {"name": name, "namespace": edge.namespace}, "spec": spec}
    profile = values.Edge(profile="ingress-nginx")
    children = render.children(
        StreamingEndpoint.from_body(body), values.Capabilities(False, False, {CLASS: profile})
    )
    for child in children:
        if child["kind"] == "Service":
            child["spec"].pop("selector")
        if child["kind"] in ("Service", "Ingress"):
            edge.plane.create(child)
    edge.plane.create(_endpoints(edge, name, engine))


def await_served(edge: Edge) -> None:
    """Return once the users' host is served."""
    deadline = time.monotonic() + ROUTE_SECONDS
    while served(edge, "/v1/models")[0] != 200:
        assert time.monotonic() < deadline, "Traefik does not serve the host"
        time.sleep(0.1)


def served(edge: Edge, path: str, host: str = "chat.example", **headers: str) -> tuple[int, str]:
    """The status and the body of a GET at a host; 0 and the reason where nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=ROUTE_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": host, **headers})
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


@pytest.mark.apiserver
@pytest.mark.programs("traefik")
def test_a_prefix_is_taken_away_and_a_canary_answers_what_asks_for_it(edge: Edge) -> None:
    """The server gets the path without the prefix; the header of the canary's probe decides which one answers."""
    with (
        RunningEngine("double", ("--host", "0.0.0.0", "--served-model-name", "stable")) as stable,
        RunningEngine("double", ("--host", "0.0.0.0", "--served-model-name", "new")) as new,
    ):
        exposed(edge, "chat", stable.port)
        exposed(edge, "chat-canary", new.port, canary={"of": "chat"})
        deadline = time.monotonic() + ROUTE_SECONDS
        answers = ""
        while '"new"' not in answers and time.monotonic() < deadline:
            time.sleep(0.1)
            answers = served(edge, "/my.model/v1/models", **{"X-Canary": "always"})[1]

        assert '"new"' in answers
        for headers in ({"X-Canary": "never"}, {}):
            status, body = served(edge, "/my.model/v1/models", **headers)
            assert (status, '"stable"' in body) == (200, True)
        assert served(edge, "/v1/models")[0] == 404
