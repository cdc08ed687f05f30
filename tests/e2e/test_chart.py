"""The chart: upgraded under open streams, its CRD with it; uninstalled without harm, and installed again."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import audit, gateways, kube, release
from tests.e2e.endpoints import SAMPLES, Endpoint
from tests.e2e.waiting import wait_for

pytestmark = pytest.mark.disruptive

CRD = "streamingendpoints.streamingendpoints.dev"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def running(shared_namespace: str) -> Iterator[Endpoint]:
    """An endpoint that serves while all of this happens, with an API key."""
    endpoint = Endpoint(shared_namespace, "chat")
    kube.apply(kube.key_secret("key", shared_namespace, KEY))
    endpoint.apply(endpoint.double(engine={"apiKeySecretRef": {"name": "key"}}))
    endpoint.await_ready()
    yield endpoint
    endpoint.delete("--wait=false")


KEY = "a-key-of-this-test"
SLOW = {"X-Double-Inter-Token-Latency": "100"}


def _await_one_operator() -> None:
    """The one that was just installed is alone: helm does not wait for the end of the one before it."""
    wait_for(lambda: len(release.pods()) == 1, "the end of the operator before it", tell=release.logs)


def _ready_since(endpoint: Endpoint) -> str:
    return endpoint.conditions()["Ready"]["lastTransitionTime"]


def test_an_upgrade_touches_no_endpoint(running: Endpoint) -> None:
    """Another operator takes over: no child is written, Ready does not flicker, an open stream goes on."""
    since, ready_since = audit.mark(), _ready_since(running)
    stream = running.stream(max_tokens=300, headers=SLOW, api_key=KEY)
    stream.await_events(5)
    release.install(log={"level": "DEBUG", "format": "json"})
    other = Endpoint(running.namespace, "after-upgrade")
    other.apply(other.double())
    other.await_ready()
    assert stream.finish().done
    assert _ready_since(running) == ready_since
    assert [
        name
        for _, _, name in audit.children_written(since, running.namespace)
        if not name.startswith("after")
    ] == []
    other.delete()


def _log_of_test() -> str:
    return kube.kubectl("-n", release.NAMESPACE, "logs", f"{release.RELEASE}-test")


def _tested() -> str:
    """What `helm test` prints; asked again where a busy machine left the verification undecided."""
    for _ in range(gateways.FURTHER):
        try:
            return release.helm("test", release.RELEASE, "--timeout", "4m")
        except AssertionError:
            if not any(f": {verdict} at " in _log_of_test() for verdict in gateways.UNDECIDED):
                raise
    return release.helm("test", release.RELEASE, "--timeout", "4m")


def test_helm_test_ends_with_the_verdict(running: Endpoint) -> None:
    """A pod of the chart asks the operator to verify an endpoint; one that does not exist fails the test."""
    release.install(test={"endpoint": running.name, "namespace": running.namespace})
    assert "Phase:          Succeeded" in _tested()
    assert "Streaming at Exposure" in _log_of_test()
    release.install(test={"endpoint": "nobody", "namespace": running.namespace})
    with pytest.raises(AssertionError, match="helm test"):
        release.helm("test", release.RELEASE, "--timeout", "4m")
    release.install()


def test_debug_logs_hold_no_secret(running: Endpoint) -> None:
    """Even at DEBUG neither key nor manifest is logged."""
    assert KEY not in release.logs(100_000)


def _columns() -> list[str]:
    return [
        column["name"] for column in kube.get("crd", CRD)["spec"]["versions"][0]["additionalPrinterColumns"]
    ]


def test_the_crd_is_upgraded_with_the_chart(running: Endpoint, tmp_path: Path) -> None:
    """The CRD of another version of the chart becomes what crds/ holds; `keep` is on it."""
    other = Path(shutil.copytree(release.CHART, tmp_path / "chart"))
    crd = other / "templates" / "crd.yaml"
    crd.write_text(crd.read_text().replace("name: TTFT\n", "name: FIRST\n"))
    release.install(other)
    assert "FIRST" in _columns()
    release.install()
    assert "TTFT" in _columns()
    kube.kubectl("diff", "-f", str(ROOT / "crds" / "streamingendpoints.yaml"))
    assert kube.get("crd", CRD)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_without_the_right_to_secrets_it_says_so(running: Endpoint) -> None:
    """`rbac.readSecrets=false`: an endpoint with a key stays unverified and its condition names the value."""
    release.install(rbac={"readSecrets": False, "aggregate": True})
    # The operator before it may ask once more, after its right is gone and before it ends.
    _await_one_operator()
    since = audit.mark()
    keyed = Endpoint(running.namespace, "keyed")
    keyed.apply(keyed.double(engine={"apiKeySecretRef": {"name": "key"}}))
    message = keyed.await_condition("StreamingVerified", "Unknown", "SecretNotReadable", seconds=120)
    assert "rbac.readSecrets" in message
    release.install()
    keyed.await_ready()
    keyed.delete()
    assert list(audit.forbidden(since)) == []


def test_confined_it_works_and_nothing_of_it_is_refused(running: Endpoint) -> None:
    """`admission.confineOperator`: an endpoint is made, verified and changed; the audit log shows no refusal."""
    release.install(admission={"confineOperator": True})
    stolen = ("--as", release.SERVICE_ACCOUNT, "-n", running.namespace)
    attempt = (*stolen, "create", "configmap", "not-a-child", "--dry-run=server")

    def refused() -> bool:
        try:
            kube.kubectl(*attempt)
        except kube.Refused as refusal:
            return "whose controller is a StreamingEndpoint" in str(refusal)
        return False

    wait_for(refused, "the policy to be in force")
    since = audit.mark()
    try:
        confined = Endpoint(running.namespace, "confined")
        confined.apply(confined.double())
        confined.await_ready()
        confined.apply(confined.double(replicas=2))
        confined.await_condition("WorkloadAvailable", "True", "Available")
        kube.delete("service", "confined", running.namespace)
        wait_for(lambda: kube.get("service", "confined", running.namespace), "the Service to be repaired")
        confined.delete()
        assert audit.children_written(since, running.namespace)
        assert audit.not_admitted(since) == []
    finally:
        release.install()


def test_metrics_are_for_who_may_read_them(running: Endpoint) -> None:
    """401 without a token, 403 for an account without the right, and the metrics for one of `metrics.readers`."""
    namespace = running.namespace
    for name in ("prometheus", "other"):
        kube.kubectl("-n", namespace, "create", "serviceaccount", name)
    release.install(metrics={"readers": [{"namespace": namespace, "name": "prometheus"}]})
    _await_one_operator()

    def scrape(account: str = "") -> tuple[int, str] | None:
        token = kube.kubectl("-n", namespace, "create", "token", account).strip() if account else ""
        try:
            pod = release.pods()[0]["metadata"]["name"]
            return 200, kube.of_pod(release.NAMESPACE, pod, 8080, "/metrics", token)
        except kube.Answered as other:
            # 503: too many new tokens at once, ask again
            return None if other.status == 503 else (other.status, other.text)

    try:
        assert wait_for(scrape, "an answer")[0] == 401
        code, message = wait_for(lambda: scrape("other"), "an answer")
        assert (code, "metrics.readers" in message) == (403, True)
        code, text = wait_for(lambda: scrape("prometheus"), "an answer")
        assert (code, f'namespace="{namespace}"' in text) == (200, True)
    finally:
        release.install()


def test_uninstall_leaves_what_serves(running: Endpoint) -> None:
    """CRD, endpoints and children stay, users are served; installed again, nothing is written."""
    since = audit.mark()
    stream = running.stream(max_tokens=100, headers=SLOW, api_key=KEY)
    stream.await_events(5)
    release.uninstall()
    try:
        assert kube.get("crd", CRD) is not None
        wait_for(lambda: not release.pods(), "the operator's end", tell=release.logs)
        assert kube.get("clusterrole", release.RELEASE) is None
        assert stream.finish().done
        assert running.stream(max_tokens=20, api_key=KEY).finish().done
        assert running.children()
    finally:
        release.install()
    other = Endpoint(running.namespace, "after-install")
    other.apply(other.double())
    other.await_ready()
    running.await_ready()
    assert [
        name
        for _, _, name in audit.children_written(since, running.namespace)
        if not name.startswith("after")
    ] == []


def test_plain_manifests_and_samples_are_accepted(running: Endpoint) -> None:
    """What a person applies without helm passes the real API server, every field known to it."""
    strictly = ("apply", "--dry-run=server", "--validate=strict", "-f")
    for path in sorted(SAMPLES.glob("*.yaml")):
        kube.kubectl("-n", running.namespace, *strictly, str(path))
