"""What must not move between two releases, two moments and two clusters: everything that restarts a GPU."""

import importlib.metadata
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from streaming_operator import render
from streaming_operator.api.endpoint import POD_VERSION, StreamingEndpoint
from streaming_operator.cluster.drift import digest
from streaming_operator.render import config, documents
from streaming_operator.values import Capabilities, Manifest
from tests.golden import Case, cases

ALL_CASES = pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
EARLIER = {
    "claim-and-api-key": ("1ed2d14a9632eb89", "51e4248744fb4692", "f48d60e32afeeea3"),
    "cpu-and-internal": ("47bd71b74194bac1", "a25ad87daa744439", "2f7677ffe8da0e6e"),
    "full": ("0ff6ef7074496187", "6279d4bd9fc40af0", "e7df715612057e04"),
    "http-route": ("26b10004ab1fc987", "a8da227eae298da4", "6da8bf4890a37e36"),
    "http-route-with-timeout": ("26b10004ab1fc987", "a8da227eae298da4", "6da8bf4890a37e36"),
    "ingress-of-unknown-edge": ("26b10004ab1fc987", "a8da227eae298da4", "6da8bf4890a37e36"),
    "minimal": ("26b10004ab1fc987", "a8da227eae298da4", "6da8bf4890a37e36"),
    "no-optional-kinds": ("26b10004ab1fc987", "a8da227eae298da4", "6da8bf4890a37e36"),
    "tls-and-two-replicas": ("26b10004ab1fc987", "a8da227eae298da4", "6da8bf4890a37e36"),
    "unknown-version-and-two-gpus": ("25694a5596e38ab9", "1d0d85e2afaa2b6b", "8929e4a36572ac05"),
}
"""Hashes of the pod templates of the golden cases, by versions 1 to 3 of the pods."""
NOTHING = Capabilities(service_monitors=False, http_routes=False)


def pod_template(children: tuple[Manifest, ...]) -> Any:
    """The pod template: when it changes, every GPU restarts."""
    return next(child for child in children if child["kind"] == "Deployment")["spec"]["template"]


def test_the_files_of_the_engine_are_frozen() -> None:
    """A change of the drain script or a middleware would restart every engine: what is new is a new version."""
    assert {version: config.content_hash(version) for version in config.FILES} == {
        1: "05cdfe00",
        2: "037b9db3",
        3: "5337d5b3",
        4: "c37188db",
    }
    assert config.content_hash(POD_VERSION, tls=True) == "9d13053d"
    assert config.content_hash(POD_VERSION, web_socket=True) == "7220199f"
    assert config.content_hash(POD_VERSION, tls=True, web_socket=True) == "412a7964"
    assert max(config.FILES) == POD_VERSION


@pytest.mark.parametrize(
    "case", [case for case in cases() if case.name in EARLIER], ids=lambda case: case.name
)
def test_pods_of_earlier_versions_are_frozen(case: Case) -> None:
    """Whatever is new, an endpoint whose pods run by an earlier version is rendered as it was."""
    endpoints = [case.endpoint().model_copy(update={"pod_version": version}) for version in (1, 2, 3)]

    assert tuple(digest(render.pod_template(endpoint)) for endpoint in endpoints) == EARLIER[case.name]


@ALL_CASES
def test_neither_version_nor_clock_is_asked(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade or a restart of the operator changes no object."""

    def refuse(*_: object) -> Any:
        raise AssertionError("rendering asked for a version or the time")

    monkeypatch.setattr(importlib.metadata, "version", refuse)
    monkeypatch.setattr(time, "time", refuse)
    monkeypatch.setattr(time, "monotonic", refuse)

    assert case.children_file.read_text() == documents.as_yaml(case.children())


@ALL_CASES
def test_the_cluster_does_not_reach_into_the_pod(case: Case) -> None:
    """A CRD or a class that is installed later restarts no GPU."""
    assert pod_template(case.children()) == pod_template(render.children(case.endpoint(), NOTHING))


@ALL_CASES
def test_the_address_does_not_reach_into_the_pod(case: Case) -> None:
    """Another host, scrape interval, mode of verification or number of replicas restarts no GPU."""
    body = case.body()
    body["spec"] |= {"replicas": 5, "verification": {"mode": "Disabled"}}
    body["spec"]["monitoring"] = {"serviceMonitor": {"enabled": False}}
    given = body["spec"].get("exposure", {})
    gateway = {"httpRoute": {"parentRefs": [{"name": "other"}]}}
    other = gateway if "httpRoute" in given else {"ingress": {"className": "other"}}
    body["spec"]["exposure"] = {
        "host": "other.example.com",
        "pathPrefixes": given.get("pathPrefixes"),
        **other,
    }
    edited = StreamingEndpoint.from_body(body)

    assert pod_template(case.children()) == pod_template(render.children(edited, NOTHING))


def test_no_order_depends_on_the_process() -> None:
    """Two processes with different hash seeds print the same."""
    program = (
        "from tests.golden import cases\nfrom streaming_operator.render import documents\n"
        "print(*(documents.as_yaml(case.children()) for case in cases()))"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert printed[1] == printed[0]
