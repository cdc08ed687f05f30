"""
The life of one endpoint served by the real vLLM, in order: each test goes on where the one before ended.

A start takes more than a minute, so there are only two: the first, and the one that a changed flag causes.
"""

from collections.abc import Iterator

import pytest

from tests import cluster as test_cluster
from tests.cluster import kind
from tests.e2e import gateways, kube
from tests.e2e.certificates import Issued, issue
from tests.e2e.endpoints import Endpoint
from tests.e2e.streams import EdgeAddress
from tests.e2e.waiting import wait_for
from tests.security.targets import CLOSED, ask

pytestmark = pytest.mark.real_vllm

START_SECONDS = 400
"""Patience with a start: about 75 s alone, several times that when the machine is busy."""
SECRET = "tiny-api-key"
FIRST_KEY, SECOND_KEY = "first-key-of-this-test", "second-key-of-this-test"
KILLED = 128 + 9
"""The exit code of a process that a SIGKILL ended."""
LONG = 1900
"""Tokens of a stream that takes 20 s and more; the model's limit is 2,048."""
FITTING = 600
"""Tokens of a stream that fits the first drain also while the next server's start takes both cores."""


def _set_key(namespace: str, value: str) -> None:
    kube.apply(kube.key_secret(SECRET, namespace, value))


@pytest.fixture(scope="module")
def real(shared_namespace: str) -> Iterator[Endpoint]:
    """The endpoint, Ready: the demo's sample with an API key."""
    test_cluster.load("vllm")
    endpoint = Endpoint(shared_namespace, "tiny")
    _set_key(shared_namespace, FIRST_KEY)
    endpoint.apply(
        endpoint.real(
            engine={"apiKeySecretRef": {"name": SECRET}},
            rollout={"drainSeconds": 120},
            verification={"checks": {"perReplica": True, "auth": True, "cancel": True}},
        )
    )
    endpoint.await_ready(START_SECONDS)
    yield endpoint
    endpoint.delete("--wait=false")


@pytest.fixture(scope="module")
def issued(real: Endpoint) -> Issued:
    """A certificate for the endpoint's host from a private CA."""
    return issue(real.host)


@pytest.fixture(scope="module")
def https_edge(issued: Issued) -> EdgeAddress:
    """The edge's HTTPS side, for users who know the CA."""
    return EdgeAddress(kind.address(), 443, issued.ca)


def test_ready_means_that_users_get_a_stream(real: Endpoint) -> None:
    """A completion arrives through the ingress token by token and ends with a reason and [DONE]."""
    answer = real.stream(max_tokens=200, api_key=FIRST_KEY).finish()
    assert (
        answer.status,
        answer.ending,
        answer.done,
        answer.finish_reason,
    ) == (200, "whole", True, "length"), answer.events[-3:]
    assert answer.flowed, answer.reads
    assert answer.headers["cache-control"] == "no-cache"
    verification = real.body()["status"]["verification"]
    assert (verification["verdict"], verification["hop"]) == ("Streaming", "Exposure")


def test_the_real_server_passes_every_check(real: Endpoint) -> None:
    """Its key is asked for, and its gauge fell when the probe's client left; from here on users have it alone."""
    gateways.await_every_check(real)
    real.change(verification={"checks": None})


def test_the_gpu_was_really_scheduled(real: Endpoint) -> None:
    """The scheduler gave the pod the device that the node advertises."""
    pod = real.pod()
    assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod["spec"]["nodeName"] == kind.NODE


def test_users_need_the_key_and_metrics_stay_inside(real: Endpoint) -> None:
    """Without the key 401, and outside of /v1 nothing leaves the cluster, however its path is written."""
    assert real.stream(max_tokens=1).finish().status == 401
    assert real.stream(max_tokens=1, api_key="wrong").finish().status == 401
    assert real.stream(max_tokens=1, path="/metrics").finish().status == 404
    key = f"Authorization: Bearer {FIRST_KEY}"
    answers = {path: ask(kind.address(), 80, path, real.host, key) for path in CLOSED}
    assert {path: text for path, (status, text) in answers.items() if status not in (400, 404)} == {}
    assert ask(kind.address(), 80, "/v1/models", real.host, key)[0] == 200


def test_a_disconnect_frees_the_engine(real: Endpoint) -> None:
    """When the user disconnects, the engine's running gauge falls although the stream was not done."""
    pod = real.pod()["metadata"]["name"]
    stream = real.stream(max_tokens=LONG, api_key=FIRST_KEY)
    stream.await_events(20)
    wait_for(lambda: real.running_requests(pod) >= 1, "the engine to run the request")
    stream.leave()
    left_with = stream.finish()
    wait_for(lambda: real.running_requests(pod) == 0, "the engine to drop the request", seconds=15)
    assert (left_with.ending, left_with.done) == ("left", False)


def test_tls_of_a_private_ca_is_refused_until_the_probe_knows_it(
    real: Endpoint, issued: Issued, https_edge: EdgeAddress
) -> None:
    """Without the CA TLSError with the field to set; with it Ready; no pod is touched for it."""
    pod = real.pod()["metadata"]["uid"]
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "tiny-tls", "namespace": real.namespace},
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": issued.certificate, "tls.key": issued.key},
        }
    )
    real.change(exposure={"ingress": {"tls": {"secretName": "tiny-tls"}}})
    message = real.await_condition("StreamingVerified", "False", "TLSError")
    assert "verification.tls.caConfigMapRef" in message
    real.await_condition("Ready", "False", "TLSError")

    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "company-ca", "namespace": real.namespace},
            "data": {"ca.crt": issued.ca},
        }
    )
    real.change(verification={"tls": {"caConfigMapRef": {"name": "company-ca"}}})
    real.await_ready()
    answer = real.stream(https_edge, max_tokens=50, api_key=FIRST_KEY).finish()
    assert (answer.status, answer.done) == (200, True)
    assert f"https://{real.host}" == real.body()["status"]["url"]
    assert real.pod()["metadata"]["uid"] == pod


def test_a_secret_changed_under_a_running_pod_is_named(real: Endpoint) -> None:
    """At the next probe AuthRejected: the message names the Secret and the restart, and holds no key."""
    _set_key(real.namespace, SECOND_KEY)
    message = real.await_condition("StreamingVerified", "False", "AuthRejected", seconds=120)
    assert f"Secret {SECRET}" in message
    assert "kubectl rollout restart deployment/tiny" in message
    real.await_condition("Ready", "False", "AuthRejected")
    event = real.event("AuthRejected")
    assert not [
        text for text in (message, event, str(real.body())) if FIRST_KEY in text or SECOND_KEY in text
    ]


def test_a_changed_flag_rolls_without_cutting_an_open_stream(real: Endpoint, https_edge: EdgeAddress) -> None:
    """The old server finishes its stream with its own [DONE]; the new one has read the new key: Ready."""
    old = real.pod()["metadata"]["uid"]
    stream = real.stream(https_edge, max_tokens=FITTING, api_key=FIRST_KEY)
    stream.await_events(20)
    sample = real.body()["spec"]["engine"]["args"]
    real.change(engine={"args": [*sample, "--max-num-batched-tokens=4096"]}, rollout={"drainSeconds": 10})
    answer = stream.finish()
    assert (answer.ending, answer.done, answer.finish_reason) == ("whole", True, "length"), answer.events[-3:]

    real.await_ready(START_SECONDS)
    assert old != real.pod()["metadata"]["uid"]
    answer = real.stream(https_edge, max_tokens=50, api_key=SECOND_KEY).finish()
    assert (answer.status, answer.done) == (200, True)


def test_a_stream_that_outlives_the_drain_gets_an_error_event(
    real: Endpoint, https_edge: EdgeAddress
) -> None:
    """It ends with an error event and [DONE], never silently."""
    pod = real.pod()["metadata"]["name"]
    stream = real.stream(https_edge, max_tokens=LONG, api_key=SECOND_KEY)
    stream.await_events(1)  # and at once: the stream is not much longer than the drain
    kube.delete("pod", pod, real.namespace, "--wait=false")
    answer = stream.finish()
    assert (answer.ending, answer.done, answer.error_code) == ("whole", True, 503), answer.events[-3:]


def test_a_pod_deleted_while_loading_goes_before_its_grace_ends(real: Endpoint) -> None:
    """vLLM swallows its first SIGTERM while it loads; the drain script sees to it that a second one comes."""

    def loading() -> dict | None:
        staying = [pod for pod in real.pods() if "deletionTimestamp" not in pod["metadata"]]
        states = [(pod["status"].get("containerStatuses") or [{}])[0].get("state", {}) for pod in staying]
        return staying[0] if staying and "running" in states[0] else None

    pod = wait_for(loading, "the replacement to load", tell=real.diagnosis)
    name = pod["metadata"]["name"]
    log = ("-n", real.namespace, "logs", name)
    wait_for(
        lambda: "vLLM" in kube.kubectl(*log),
        "the server's first log line",
        seconds=START_SECONDS,
        tell=real.diagnosis,
    )
    with kube.watching("pod", name, real.namespace) as changes:
        next(changes)
        kube.delete("pod", name, real.namespace, "--wait=false")
        last = next((pod for change, pod in changes if change == "DELETED"), None)
    assert last is not None, real.diagnosis()
    (container,) = last["status"]["containerStatuses"]
    assert container["state"]["terminated"]["exitCode"] != KILLED, "it lived until the kubelet's SIGKILL"
