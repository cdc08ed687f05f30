"""Without the prometheus-operator a Prometheus finds endpoints and operator by itself, under the same labels."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from tests.apiserver.client import Object
from tests.apiserver.control_plane import ControlPlane
from tests.golden import cases
from tests.monitoring.rules import CAPABILITIES, promtool
from tests.monitoring.scraped import prometheus

pytestmark = [pytest.mark.apiserver, pytest.mark.programs("prometheus-server", "promtool")]

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
CONFIG = MANIFESTS / "monitoring" / "prometheus.yaml"
BY_ANNOTATION = """
- job_name: kubernetes-service-endpoints
  kubernetes_sd_configs: [{role: endpointslice}]
  relabel_configs:
    - {source_labels: [__meta_kubernetes_service_annotation_prometheus_io_scrape], action: keep, regex: "true"}
    - source_labels: [__meta_kubernetes_service_annotation_prometheus_io_path]
      action: replace
      target_label: __metrics_path__
      regex: (.+)
    - source_labels: [__address__, __meta_kubernetes_service_annotation_prometheus_io_port]
      action: replace
      target_label: __address__
      regex: (.+?)(?::[0-9]+)?;([0-9]+)
      replacement: $1:$2
"""


def applied(plane: ControlPlane, namespace: str, spec: dict[str, Any], name: str, address: str) -> None:
    """An endpoint's Service as the operator renders it, its slice and its pod as controllers and kubelet write them."""
    body = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
    children = render.children(StreamingEndpoint.from_body(body), CAPABILITIES)
    service = next(child for child in children if child["kind"] == "Service")
    template = next(child for child in children if child["kind"] == "Deployment")["spec"]["template"]
    plane.create(service)
    a_pod(plane, namespace, f"{name}-1", template["metadata"]["labels"], address, "http", 8000)
    (port,) = service["spec"]["ports"]
    labels = {**service["metadata"]["labels"], "kubernetes.io/service-name": name}
    target = {"kind": "Pod", "name": f"{name}-1", "namespace": namespace}
    plane.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-1", "namespace": namespace, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": port["name"], "port": 8000, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}, "targetRef": target}],
        }
    )


def a_pod(
    plane: ControlPlane,
    namespace: str,
    name: str,
    labels: dict[str, str],
    address: str,
    port: str,
    number: int,
) -> None:
    """A pod that runs."""
    container = {"name": "main", "image": "none", "ports": [{"name": port, "containerPort": number}]}
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }
    plane.create(pod)
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    plane.patch(pod, {"status": status}, part="status")


def discovering(jobs: list[dict[str, Any]], plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    """The jobs at this API server: with its kubeconfig, in one namespace."""
    for job in jobs:
        for discovery in job["kubernetes_sd_configs"]:
            discovery |= {"kubeconfig_file": str(plane.kubeconfig), "namespaces": {"names": [namespace]}}
    return jobs


def test_what_is_scraped_has_the_labels_of_a_service_monitor(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """Engines under their endpoint's name as job, with or without TLS; the operator's pod; nothing else."""
    minimal = {"model": {"source": {"huggingFace": {"repo": "org/model"}}}}
    applied(control_plane, namespace, minimal, "plain", "10.9.0.1")
    applied(
        control_plane, namespace, {**minimal, "engine": {"tls": {"secretName": "tls"}}}, "tls", "10.9.0.2"
    )
    operator = next(
        doc
        for doc in yaml.safe_load_all((MANIFESTS / "install.yaml").read_text())
        if doc and doc["kind"] == "Deployment"
    )["spec"]["template"]
    a_pod(control_plane, namespace, "operator-1", operator["metadata"]["labels"], "10.9.0.3", "http", 8080)
    a_pod(control_plane, namespace, "other", {"app": "other"}, "10.9.0.4", "http", 8080)
    jobs = discovering(yaml.safe_load(CONFIG.read_text())["scrape_configs"], control_plane, namespace)

    with prometheus(tmp_path, jobs, []) as running:
        running.until(lambda: len(running.targets()) >= 3, "three targets")
        assert {
            (target["scrapeUrl"], *(target["labels"].get(name, "") for name in ("job", "namespace", "pod")))
            for target in running.targets()
        } == {
            ("http://10.9.0.1:8000/metrics", "plain", namespace, "plain-1"),
            ("https://10.9.0.2:8000/metrics", "tls", namespace, "tls-1"),
            ("http://10.9.0.3:8080/metrics", "streaming-operator", "", ""),
        }


def test_an_annotated_service_is_found_by_the_usual_job(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """As the sample has it, by the job that most configurations share; an endpoint without annotations is not."""
    (sample,) = yaml.safe_load_all((MANIFESTS / "samples" / "scraped-by-annotation.yaml").read_text())
    minimal = {"model": {"source": {"huggingFace": {"repo": "org/model"}}}}
    applied(control_plane, namespace, minimal, "plain", "10.9.0.1")
    applied(control_plane, namespace, sample["spec"], sample["metadata"]["name"], "10.9.0.2")
    jobs = discovering(yaml.safe_load(BY_ANNOTATION), control_plane, namespace)

    with prometheus(tmp_path, jobs, []) as running:
        running.until(running.targets, "a target")
        assert [target["scrapeUrl"] for target in running.targets()] == ["http://10.9.0.2:8000/metrics"]


def test_the_configuration_is_valid() -> None:
    """By promtool's own check."""
    ended = promtool("check", "config", "--syntax-only", str(CONFIG))
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_collector_scrapes_the_same() -> None:
    """Its receiver has the same jobs, a dollar written twice, and what is received is sent."""
    config = yaml.safe_load((CONFIG.parent / "otel-collector.yaml").read_text())
    receiver = yaml.safe_dump(config["receivers"]["prometheus"]["config"]).replace("$$", "$")
    assert yaml.safe_load(receiver) == yaml.safe_load(CONFIG.read_text())
    for part, names in config["service"]["pipelines"]["metrics"].items():
        assert set(names) == set(config[part])


def test_every_pod_is_behind_a_port_of_the_service() -> None:
    """So a ServiceMonitor finds all of them, and no PodMonitor is needed."""
    monitored = 0
    for case in cases():
        children = {child["kind"]: child for child in case.children()}
        if "ServiceMonitor" in children:
            (endpoint,) = children["ServiceMonitor"]["spec"]["endpoints"]
            assert endpoint["port"] in {port["name"] for port in children["Service"]["spec"]["ports"]}, (
                case.name
            )
            monitored += 1
    assert monitored > 20
