"""Passes over one endpoint in a cluster in memory, in virtual time: what is reported, what stays behind, how often."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from streaming_operator import metrics
from streaming_operator.api.endpoint import VERIFY_ANNOTATION
from streaming_operator.api.reasons import Reason, Verdict
from streaming_operator.cluster.objects import identity
from streaming_operator.controller.workqueue import Retry
from streaming_operator.errors import (
    EndpointGone,
    Forbidden,
    KindMissing,
    NotFound,
    PodNotAllowed,
    Rejected,
    Unreachable,
)
from streaming_operator.probe import Plan, runner
from streaming_operator.settings import Settings
from streaming_operator.status.waiting import GRACE_SECONDS
from streaming_operator.values import Identity, ProbeResult, Problem
from tests.loop.cluster_in_memory import (
    EXPOSED,
    INTERNAL,
    KEY,
    ClusterInMemory,
    Driver,
    a_result,
    an_endpoint,
)
from tests.unit.virtual_time import run

PROBE_SECONDS = 2.0
LAST_SUCCESS = "streamingendpoint_probe_last_success_timestamp_seconds"


class Path:
    """What the users' path is like, and how often it was probed."""

    def __init__(self) -> None:
        self.verdict = Verdict.STREAMING
        self.probes = 0

    async def verify(self, plan: Plan) -> ProbeResult:
        """Take a while and find the path as it is."""
        await asyncio.sleep(PROBE_SECONDS)
        self.probes += 1
        return a_result(plan, self.verdict)


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path that streams until a test says otherwise."""
    path = Path()
    monkeypatch.setattr(runner, "verify", path.verify)
    return path


@pytest.fixture
def cluster() -> ClusterInMemory:
    """An endpoint that runs behind an admitted route."""
    return ClusterInMemory(body=an_endpoint())


def series() -> set[str]:
    """Names of the metrics that have a series for the endpoint."""
    return {
        sample.name
        for family in metrics.REGISTRY.collect()
        for sample in family.samples
        if (sample.labels.get("namespace"), sample.labels.get("name")) == KEY
    }


# ---- a 404 that is not about the endpoint ----------------------------------------------------------------------


def test_an_edge_service_that_does_not_exist_is_reported_and_tried_again(
    cluster: ClusterInMemory, path: Path
) -> None:
    """A wrong edges[].service becomes a condition that names the value, never silence."""
    cluster.refusals["edge_addresses"] = NotFound(
        'cannot read the edge\'s Service ingress/typo: services "typo" not found (HTTP 404)'
    )

    async def main() -> None:
        driver = Driver(cluster)
        await driver.work(30)
        assert cluster.condition("StreamingVerified") == ("Unknown", "EdgeAddressUnknown")
        assert "ingress/typo" in cluster.message("StreamingVerified")
        assert "edges[].service" in cluster.message("StreamingVerified")
        assert cluster.condition("Stalled") == ("False", "NotStalled")
        cluster.refusals.clear()
        again = Driver(cluster)
        await again.work(90)
        assert cluster.condition("Ready") == ("True", "Ready")

    run(main())


def test_a_trouble_that_nobody_ends_becomes_stalled_by_itself(cluster: ClusterInMemory, path: Path) -> None:
    """No event comes while an engine's image stays away: the end of the grace time is an appointment of its own."""
    healthy = cluster.observed
    problem = Problem(Reason.IMAGE_NOT_PULLED, "the registry has no such image: check spec.engine.image")
    cluster.observed = replace(healthy, ready_replicas=0, rolled_out=False, workload_problem=problem)

    async def main() -> None:
        driver = Driver(cluster)
        await driver.work(GRACE_SECONDS[Reason.IMAGE_NOT_PULLED] - 1)
        assert cluster.condition("Reconciling") == ("True", "Progressing")
        assert cluster.condition("Stalled") == ("False", "NotStalled")
        again = Driver(cluster)  # a restart in between begins no new wait
        await again.work(2)
        assert cluster.condition("Stalled") == ("True", "ImageNotPulled")
        assert cluster.events.count("ImageNotPulled") == 2  # the trouble, and that it lasts
        cluster.observed = healthy
        healed = Driver(cluster)
        await healed.work(30)
        assert cluster.condition("Ready") == ("True", "Ready")
        assert cluster.condition("Stalled") == ("False", "NotStalled")
        assert "waiting" not in cluster.body["status"]

    run(main())


def test_a_kind_that_vanished_is_reported_and_retried(cluster: ClusterInMemory, path: Path) -> None:
    """A CRD removed under us is not the end of the endpoint."""
    cluster.refusals["apply"] = KindMissing("cannot write ServiceMonitor/qwen: the kind is not served")

    async def main() -> None:
        driver = Driver(cluster)
        with pytest.raises(Retry):
            await driver.look()
        assert cluster.condition("Reconciling") == ("True", "KindMissing")
        await driver.reconciler.close()

    run(main())


def test_nothing_is_written_for_an_endpoint_that_is_gone(cluster: ClusterInMemory) -> None:
    """Only a pass that learns just that ends without a report."""
    cluster.refusals["apply"] = EndpointGone("StreamingEndpoint chat/qwen is gone")

    async def main() -> None:
        assert await Driver(cluster).look() is None
        assert cluster.writes == 0

    run(main())


# ---- deleted, and made again -------------------------------------------------------------------------------


def test_an_endpoint_deleted_during_its_pass_leaves_nothing_behind(
    cluster: ClusterInMemory, path: Path
) -> None:
    """No status, no verification, no cache key, no metric, whatever the pass did after the deletion."""

    async def main() -> None:
        driver = Driver(cluster)

        async def deleted() -> None:
            driver.reconciler.remove(Identity(*KEY, "u1"))

        cluster.during_apply = deleted
        assert await driver.look() is None
        await asyncio.sleep(PROBE_SECONDS * 2)
        assert (cluster.writes, path.probes, cluster.remembered, series()) == (0, 0, set(), set())
        assert driver.reconciler.known() == frozenset()

    run(main())


def test_an_endpoint_made_again_during_the_pass_of_the_earlier_one_starts_anew(
    cluster: ClusterInMemory, path: Path
) -> None:
    """The pass over the deleted one verifies nothing and writes nothing to the new one."""

    async def main() -> None:
        driver = Driver(cluster)

        async def made_again() -> None:
            cluster.during_apply = nothing
            driver.reconciler.remove(Identity(*KEY, "u1"))
            cluster.body = an_endpoint(uid="u2", version=50)
            driver.show()

        async def nothing() -> None:
            pass

        cluster.during_apply = made_again
        assert await driver.look() is None
        assert cluster.writes == 0
        await driver.work(10)
        assert cluster.condition("Ready") == ("True", "Ready")
        assert path.probes == 1

    run(main())


@pytest.mark.parametrize("late", ["DELETED", "MODIFIED, DELETED"])
def test_late_events_of_a_deleted_endpoint_do_not_touch_a_new_one_of_its_name(
    cluster: ClusterInMemory, late: str
) -> None:
    """kopf keeps the order of events by uid only."""
    old, new = an_endpoint(uid="u1", version=11), an_endpoint(uid="u2", version=13)

    async def main() -> None:
        reconciler = Driver(cluster).reconciler
        reconciler.update(KEY, new)
        if "MODIFIED" in late:
            reconciler.update(KEY, old)
        reconciler.remove(Identity(*KEY, "u1"))
        assert reconciler.known() == {Identity(*KEY, "u2")}

    run(main())


# ---- whose status is stored --------------------------------------------------------------------------------


def test_a_status_written_over_ours_before_we_saw_our_own_is_put_right(
    cluster: ClusterInMemory, path: Path
) -> None:
    """A list shows only the last of two writes: ours is never seen."""

    async def main() -> None:
        driver = Driver(cluster)
        await driver.look()
        cluster.store({"url": "http://elsewhere"})
        await driver.look()
        assert cluster.body["status"]["url"] == "http://qwen.example.com"
        await driver.reconciler.close()

    run(main())


def test_an_event_that_is_older_than_our_write_is_no_foreign_status(
    cluster: ClusterInMemory, path: Path
) -> None:
    """The watch lags behind: nothing is written twice."""

    async def main() -> None:
        driver = Driver(cluster)
        before = cluster.body
        await driver.look()
        driver.show(before)
        await driver.reconciler.process(KEY)
        assert cluster.writes == 1
        await driver.reconciler.close()

    run(main())


def test_an_endpoint_that_changed_unseen_is_read_before_the_next_try(
    cluster: ClusterInMemory, path: Path
) -> None:
    """A write over an old version is refused; it does not take another event to learn the new one."""

    async def main() -> None:
        driver = Driver(cluster)
        driver.show()
        cluster.edit(replicas=2)
        with pytest.raises(Retry):
            await driver.reconciler.process(KEY)
        await driver.reconciler.process(KEY)
        assert cluster.body["status"]["observedGeneration"] == 2
        await driver.reconciler.close()

    run(main())


def test_a_status_that_somebody_always_overwrites_is_repaired_at_growing_pauses(
    cluster: ClusterInMemory, path: Path
) -> None:
    """The first are repaired at once; then there is a growing pause, up to a minute."""

    async def main() -> None:
        driver = Driver(cluster)
        work = asyncio.create_task(driver.work(600))
        for _ in range(1200):
            await asyncio.sleep(0.5)
            cluster.store({"url": "http://elsewhere"})
        await work
        assert 5 < cluster.writes < 30

    run(main())


@pytest.mark.parametrize("last_time", ["2026-11-25t10:00:00z", "2026-11-25T10:00:00", "0000-00-00T00:00:00Z"])
def test_a_status_with_a_time_that_cannot_be_read_is_replaced(
    cluster: ClusterInMemory, path: Path, last_time: str
) -> None:
    """The CRD lets some writers' times through that Python does not read."""
    foreign = {"verdict": "Streaming", "hop": "Exposure", "lastTime": last_time}
    cluster.body["status"] = {
        "conditions": [],
        "verification": foreign,
        "lastVerifiedTTFTMilliseconds": 5,
    }

    async def main() -> None:
        await Driver(cluster).work(10)
        assert cluster.condition("Ready") == ("True", "Ready")

    run(main())


def test_two_operators_at_one_endpoint_report_the_same(cluster: ClusterInMemory, path: Path) -> None:
    """The path begins to buffer: Ready turns once, after failureThreshold failures, and the writes come to rest."""
    ready: list[tuple[str, str]] = []

    async def watched(seconds: float) -> None:
        for _ in range(int(seconds * 4)):
            await asyncio.sleep(0.25)
            if cluster.body.get("status") and (not ready or ready[-1] != cluster.condition("Ready")):
                ready.append(cluster.condition("Ready"))

    async def main() -> None:
        one, other = Driver(cluster), Driver(cluster, skew=timedelta(seconds=0.4))
        work = [asyncio.create_task(driver.work(3600)) for driver in (one, other)]
        await watched(100)
        path.verdict = Verdict.BUFFERED
        await watched(1500)
        writes = cluster.writes
        await watched(1500)
        assert cluster.writes == writes
        await asyncio.gather(*work)

    run(main())
    assert ready == [("False", "Pending"), ("True", "Ready"), ("False", "Buffered")]


# ---- errors of the verification itself ------------------------------------------------------------------

TROUBLE: list[tuple[str, Any, str]] = [
    ("edge_addresses", Forbidden("cannot read the edge's Service: forbidden"), "EdgeAddressUnknown"),
    ("edge_addresses", Unreachable("cannot read the edge's Service: no answer"), "ApiUnreachable"),
    ("read_secret_key", Rejected("Secret chat/key: the value of 'api-key' is not text"), "SecretNotReadable"),
    ("read_secret_key", Forbidden("cannot read Secret chat/key"), "SecretNotReadable"),
    ("read_secret_key", NotFound("cannot read Secret chat/key"), "SecretNotReadable"),
    ("read_secret_key", Unreachable("cannot read Secret chat/key: no answer"), "ApiUnreachable"),
]


@pytest.mark.parametrize("mode", ["Required", "Advisory"])
@pytest.mark.parametrize(("method", "error", "reason"), TROUBLE)
def test_an_error_while_a_verification_is_prepared_says_nothing_about_the_endpoint(
    cluster: ClusterInMemory, path: Path, mode: str, method: str, error: Exception, reason: str
) -> None:
    """StreamingVerified alone reports it: never Stalled, and in Advisory Ready stays True."""
    cluster.body = an_endpoint({**EXPOSED, "verification": {"mode": mode}})
    cluster.refusals[method] = error  # type: ignore[assignment]

    async def main() -> None:
        driver = Driver(cluster)
        await driver.look()
        assert cluster.condition("StreamingVerified") == ("Unknown", reason)
        assert cluster.condition("Stalled") == ("False", "NotStalled")
        assert cluster.condition("Ready") == (("True", "Ready") if mode == "Advisory" else ("False", reason))

    run(main())


def test_without_the_right_to_secrets_none_is_asked_for(cluster: ClusterInMemory, path: Path) -> None:
    """`rbac.readSecrets=false`: the condition names the value, and the audit log shows no refused request."""

    async def main() -> None:
        driver = Driver(cluster, settings=Settings(read_secrets=False))
        await driver.work(60)
        assert cluster.condition("StreamingVerified") == ("Unknown", "SecretNotReadable")
        assert "rbac.readSecrets" in cluster.message("StreamingVerified")
        assert "spec.engine.apiKeySecretRef" in cluster.message("StreamingVerified")
        assert cluster.secrets_read == 0

    run(main())


def test_a_gateways_header_that_cannot_be_sent_is_named_until_it_is_corrected(
    cluster: ClusterInMemory, path: Path
) -> None:
    """The condition has the Secret and the header, and no value; the Secret is read again without a new spec."""
    cluster.body = an_endpoint({**EXPOSED, "verification": {"headersSecretRef": {"name": "gateway"}}})
    cluster.secret_entries = {"gateway": {"Host": "g4teway-secret"}}

    async def main() -> None:
        driver = Driver(cluster)
        work = asyncio.create_task(driver.work(1000))
        await asyncio.sleep(30)
        assert cluster.condition("StreamingVerified") == ("Unknown", "SecretNotReadable")
        message = cluster.message("StreamingVerified")
        assert "Secret chat/gateway: Host: the probe sets this header itself" in message
        assert "g4teway-secret" not in str(cluster.body["status"])
        cluster.secret_entries = {"gateway": {"X-Gateway-Key": "g4teway-secret"}}
        await work
        assert cluster.condition("Ready") == ("True", "Ready")
        assert path.probes > 0

    run(main())


def test_what_streamed_stays_ready_while_it_cannot_be_verified_again(
    cluster: ClusterInMemory, path: Path
) -> None:
    """The operator lost a right: users lose nothing."""

    async def main() -> None:
        driver = Driver(cluster)
        work = asyncio.create_task(driver.work(1000))
        await asyncio.sleep(30)
        cluster.refusals["read_secret_key"] = Forbidden("cannot read Secret chat/key")
        await work
        assert cluster.condition("Ready") == ("True", "Ready")
        assert path.probes == 1

    run(main())


def test_an_endpoint_without_an_address_is_looked_at_now_and_then(
    cluster: ClusterInMemory, path: Path
) -> None:
    """The caches are behind: a Deployment is up of which no pod is known yet."""
    from dataclasses import replace

    cluster.body = an_endpoint(INTERNAL)
    cluster.observed = replace(cluster.observed, pods=(), service_address=None, route=None)

    async def main() -> None:
        driver = Driver(cluster)
        await driver.work(60)
        assert driver.passes <= 8
        assert cluster.condition("StreamingVerified") == ("Unknown", "Pending")

    run(main())


def test_a_probe_that_fails_in_the_operator_is_reported_and_repeated_at_growing_pauses(
    cluster: ClusterInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours must not become a busy loop."""
    started: list[float] = []

    async def broken(plan: Plan) -> ProbeResult:
        started.append(asyncio.get_running_loop().time())
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(runner, "verify", broken)

    async def main() -> None:
        await Driver(cluster).work(300)
        assert cluster.condition("StreamingVerified") == ("Unknown", "InternalError")
        assert cluster.condition("Stalled") == ("False", "NotStalled")
        assert 4 <= len(started) <= 9

    run(main())


@pytest.mark.parametrize("edit", [{"suspend": True}, {"replicas": 0}])
def test_what_is_not_verified_on_purpose_has_no_last_success(
    cluster: ClusterInMemory, path: Path, edit: dict[str, Any]
) -> None:
    """Its age would fire StreamingEndpointNotVerified, about an endpoint that somebody switched off."""

    async def main() -> None:
        driver = Driver(cluster)
        await driver.work(30)
        assert LAST_SUCCESS in series()
        cluster.edit(**edit)
        cluster.observed = replace(cluster.observed, ready_replicas=0)
        again = Driver(cluster)
        await again.look()
        assert LAST_SUCCESS not in series()
        await again.reconciler.close()

    run(main())


def last_success() -> float | None:
    """The Unix time that the metric has for the endpoint."""
    labels = {"namespace": KEY[0], "name": KEY[1]}
    return metrics.REGISTRY.get_sample_value(LAST_SUCCESS, labels)


def test_a_process_that_works_again_knows_the_last_success_from_the_status(
    cluster: ClusterInMemory, path: Path
) -> None:
    """A Lease lost for seconds, or a restart, does not silence StreamingEndpointNotVerified until the next stream."""

    async def main() -> None:
        driver = Driver(cluster)
        await driver.work(30)
        before, probes = last_success(), path.probes
        assert before is not None
        await driver.reconciler.rest()
        assert last_success() is None
        for process in (driver, Driver(cluster)):
            await process.look()
            assert (last_success(), path.probes) == (before, probes)
            await process.reconciler.rest()

    run(main())


def test_a_suspended_endpoint_is_left_alone(cluster: ClusterInMemory, path: Path) -> None:
    """No probe, and no passes but the one a resync asks for."""
    cluster.body = an_endpoint({**EXPOSED, "suspend": True})

    async def main() -> None:
        driver = Driver(cluster)
        await driver.work(300)
        assert (driver.passes, path.probes) == (1, 0)

    run(main())


# ---- how often ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moved", [timedelta(days=-1), timedelta(days=1)])
def test_setting_the_wall_clock_postpones_no_verification(
    cluster: ClusterInMemory, path: Path, moved: timedelta
) -> None:
    """NTP corrects the clock by a day: the next probe comes an interval after the last."""

    async def main() -> None:
        driver = Driver(cluster)
        work = asyncio.create_task(driver.work(700))
        await asyncio.sleep(30)
        assert path.probes == 1
        driver.wall_moved = moved
        await work
        assert path.probes == 3

    run(main())


def test_a_verified_endpoint_at_rest_gets_one_pass_a_verification(
    cluster: ClusterInMemory, path: Path
) -> None:
    """Two passes to begin with (one starts the probe, one takes its result), and two for each later probe."""

    async def main() -> None:
        driver = Driver(cluster)
        await driver.work(265)  # the interval is 300 s, less its jitter of 10 %
        assert (driver.passes, path.probes, cluster.writes) == (2, 1, 2)

    run(main())


def test_an_invalid_spec_is_not_ready_in_the_metrics_either(cluster: ClusterInMemory, path: Path) -> None:
    """`streamingendpoint_ready` follows the condition."""

    def ready() -> float | None:
        labels = {"namespace": KEY[0], "name": KEY[1]}
        return metrics.REGISTRY.get_sample_value("streamingendpoint_ready", labels)

    cluster.body = an_endpoint({**EXPOSED, "verification": {"mode": "Disabled"}})

    async def main() -> None:
        driver = Driver(cluster)
        await driver.look()
        assert ready() == 1
        cluster.edit(gpu={"count": -1})
        await driver.look()
        assert (ready(), cluster.condition("Ready")) == (0, ("False", "InvalidSpec"))
        driver.reconciler.remove(Identity(*KEY, "u1"))
        assert series() == set()

    run(main())


@pytest.mark.parametrize("spec", [EXPOSED, {**EXPOSED, "gpu": {"count": -1}}], ids=["valid", "invalid"])
def test_a_process_that_lost_the_lease_shows_no_endpoint(
    cluster: ClusterInMemory, path: Path, spec: dict[str, Any]
) -> None:
    """Another one shows them now, and two values of `streamingendpoint_ready` would contradict each other."""
    cluster.body = an_endpoint(spec)

    async def main() -> None:
        driver = Driver(cluster)
        await driver.look()
        assert "streamingendpoint_ready" in series()
        await driver.reconciler.rest()
        assert series() == set()
        assert driver.reconciler.known() == {Identity(*KEY, "u1")}

    run(main())


# ---- a verification that somebody asks for -------------------------------------------------------------------


def annotated(cluster: ClusterInMemory, value: str) -> None:
    """Somebody sets the annotation."""
    cluster.store(cluster.body.get("status") or {})
    metadata = {**cluster.body["metadata"], "annotations": {VERIFY_ANNOTATION: value}}
    cluster.body = {**cluster.body, "metadata": metadata}


def test_a_request_is_verified_now_and_answered_in_the_status(cluster: ClusterInMemory, path: Path) -> None:
    """The annotation of a healthy endpoint costs one verification and one write, and is told with its verdict."""

    async def main() -> None:
        driver = Driver(cluster)
        await driver.work(30)
        assert "requestedVerification" not in cluster.body["status"]
        probes = path.probes
        annotated(cluster, "2026-11-26T12:00:00Z")
        writes = cluster.writes
        again = Driver(cluster)
        await again.work(30)
        assert cluster.body["status"]["requestedVerification"] == {
            "request": "2026-11-26T12:00:00Z",
            "verdict": "Streaming",
            "hop": "Exposure",
            "message": "saw Streaming",
        }
        assert (path.probes - probes, cluster.writes - writes) == (1, 1)
        restarted = Driver(cluster)
        await restarted.work(20)
        assert path.probes - probes == 1  # answered requests are not asked again

    run(main())


def test_a_request_for_a_broken_path_is_answered_after_as_many_tries_as_an_outage_takes(
    cluster: ClusterInMemory, path: Path
) -> None:
    """The verdict that a pipeline gets is the one that conditions report."""

    async def main() -> None:
        driver = Driver(cluster)
        await driver.work(30)
        path.verdict = Verdict.BUFFERED
        probes = path.probes
        annotated(cluster, "r")
        again = Driver(cluster)
        await again.work(60)
        assert cluster.body["status"]["requestedVerification"]["verdict"] == "Buffered"
        assert cluster.condition("StreamingVerified") == ("False", "Buffered")
        assert path.probes - probes >= 3

    run(main())


def test_a_request_is_not_answered_by_what_ran_before_while_the_new_spec_is_refused(
    cluster: ClusterInMemory, path: Path
) -> None:
    """The old pods stream on, and are no answer to the pipeline whose edit is not allowed."""

    async def main() -> None:
        driver = Driver(cluster)
        await driver.work(30)
        cluster.refusals["apply"] = PodNotAllowed("podPolicy does not allow spec.podMetadata")
        annotated(cluster, "r")
        refused = Driver(cluster)
        await refused.work(60)
        assert cluster.condition("Stalled") == ("True", "PodNotAllowed")
        assert "requestedVerification" not in cluster.body["status"]
        cluster.refusals.clear()
        allowed = Driver(cluster)
        await allowed.work(30)
        assert cluster.body["status"]["requestedVerification"]["verdict"] == "Streaming"

    run(main())


def test_what_else_is_annotated_asks_for_nothing(cluster: ClusterInMemory, path: Path) -> None:
    """kubectl, Argo CD and others annotate what they like."""

    async def main() -> None:
        driver = Driver(cluster)
        await driver.work(30)
        shown = {**cluster.body, "metadata": identity(cluster.body)}
        assert not driver.reconciler.update(KEY, shown)
        noisy = {**cluster.body["metadata"], "annotations": {"example.com/note": "x"}}
        assert not driver.reconciler.update(KEY, {**cluster.body, "metadata": identity({"metadata": noisy})})

    run(main())
