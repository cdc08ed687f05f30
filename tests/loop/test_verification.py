"""
Verification as part of an endpoint's life: passes of the real reconciler over a cluster in memory, and the real probe
over a model server and an edge in virtual time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streaming_operator import metrics
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster.edge_addresses import EdgeAddresses
from streaming_operator.controller import reconciler
from streaming_operator.controller.reconciler import Reconciler
from streaming_operator.controller.schedule import Moment
from streaming_operator.settings import Settings
from streaming_operator.values import (
    Capabilities,
    Edge,
    Identity,
    Manifest,
    Observed,
    ObservedPod,
    ObservedRoute,
)
from tests.loop import virtual_path
from tests.loop.virtual_path import Edge as VirtualEdge
from tests.loop.virtual_path import Engine, Ports, Relay, mute, store_and_forward, users

KEY = ("chat", "qwen")
IDENTITY = Identity(*KEY, uid="u")
SECRET = "sk-of-the-loop-tests"
PATIENCE = 60.0


@dataclass
class World:
    """A cluster in memory: what is observed of the endpoint, and what was written about it."""

    observed: Observed
    edge_port: int
    server: str = "https://10.96.0.1:443"
    status: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    asked: int = 0
    """Secrets read: one for each verification of an endpoint with a key."""

    def as_rendered(self, endpoint: StreamingEndpoint) -> StreamingEndpoint:
        """Its pods are of the newest version."""
        return endpoint

    def capabilities(self) -> Capabilities:
        return Capabilities(False, False, ingress_classes={"nginx": Edge(profile="ingress-nginx")})

    def canary_headers(self, endpoint: StreamingEndpoint) -> frozenset[str]:
        return frozenset()

    async def apply(self, endpoint: StreamingEndpoint, children: tuple[Manifest, ...]) -> None:
        """Everything is as it should be."""

    def observe(self, endpoint: StreamingEndpoint, children: tuple[Manifest, ...]) -> Observed:
        return self.observed

    async def edge_addresses(self, endpoint: StreamingEndpoint) -> EdgeAddresses:
        return EdgeAddresses(("127.0.0.1",), self.edge_port, self.edge_port)

    async def read_secret_key(self, namespace: str, name: str, key: str) -> str:
        self.asked += 1
        return SECRET

    async def write_status(self, endpoint: object, status: dict[str, Any], version: str) -> str:
        self.status = status
        return ""

    async def publish(self, endpoint: object, kind: str, reason: str, message: str) -> None:
        self.events.append((reason, message))

    def forget(self, key: object) -> None:
        """Nothing is remembered."""


class Life:
    """One endpoint, its reconciler and a clock that the test moves."""

    def __init__(self, world: World, edge: VirtualEdge, spec: dict[str, Any], settings: Settings) -> None:
        self.world, self.edge, self.now = world, edge, datetime.now(UTC)
        self._woken = asyncio.Event()
        self._body: dict[str, dict[str, Any]] = {
            "metadata": {"name": KEY[1], "namespace": KEY[0], "uid": "u", "generation": 1},
            "spec": spec,
        }
        self.reconciler = Reconciler(
            world,  # type: ignore[arg-type]
            settings,
            lambda key: self._woken.set(),
            lambda: Moment(self.now, self.now.timestamp()),
        )
        planner = self.reconciler._planner
        planner._guard = replace(planner._guard, local=True)  # it all listens on 127.0.0.1

    async def look(self) -> None:
        """One pass; never waits for a stream."""
        self._woken.clear()
        self.reconciler.update(KEY, {**self._body, "status": self.world.status})
        await self.reconciler.process(KEY)

    async def verified(self) -> None:
        """A pass that starts a verification, its end, and the pass that takes it."""
        await self.look()
        assert self.reconciler._verifier.running(KEY), "no verification was due"
        async with asyncio.timeout(PATIENCE):
            await self._woken.wait()
        await self.look()

    def edit(self, **verification: Any) -> None:
        """The user changes spec.verification."""
        spec, metadata = self._body["spec"], self._body["metadata"]
        spec["verification"].update(verification)
        metadata["generation"] += 1

    def later(self, seconds: float = 40) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    def condition(self, kind: str) -> tuple[str, str]:
        """Status and reason."""
        condition = next(c for c in self.world.status["conditions"] if c["type"] == kind)
        return condition["status"], condition["reason"]


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Ports:
    """Where engines and edges listen."""
    return virtual_path.install(monkeypatch)


@asynccontextmanager
async def living(
    ports: Ports,
    pod_engine: Engine,
    /,
    relay: Relay = virtual_path.healthy,
    verification: dict[str, Any] | None = None,
    settings: Settings | None = None,
    **spec: Any,
) -> AsyncIterator[Life]:
    """An endpoint whose pod is *pod_engine*, behind an edge that relays so."""
    pod = ObservedPod("qwen-t1-a", "127.0.0.1", True, "t1")
    observed = Observed(
        1, 1, 1, 1, True, "t1", (pod,), None, ObservedRoute(True, True), "r1", True, None
    )  # fmt: skip
    edge = VirtualEdge(pod_engine, relay)
    world = World(observed, ports.listen(edge))
    life = Life(
        world,
        edge,
        {
            "model": {"source": {"local": {"path": "/models/none"}}, "servedName": "tiny"},
            "exposure": {"host": "qwen.example.com", "ingress": {"className": "nginx"}},
            **spec,
            "engine": {"port": ports.listen(pod_engine), **spec.get("engine", {})},
            "verification": {"intervalSeconds": 30, "failureThreshold": 2, **(verification or {})},
        },
        settings or Settings(),
    )
    try:
        yield life
    finally:
        await life.reconciler.close()
        metrics.forget(KEY)


# ---- modes -------------------------------------------------------------------------------------------------


async def test_required_is_ready_only_after_a_stream(ports: Ports) -> None:
    """Everything runs and is exposed: that alone is not Ready."""
    async with living(ports, Engine()) as life:
        await life.look()
        assert life.condition("Ready") == ("False", "Pending")
        await life._woken.wait()
        await life.look()
        assert life.condition("Ready") == ("True", "Ready")
        assert life.condition("StreamingVerified") == ("True", "Streaming")


async def test_advisory_is_ready_and_still_reports_the_verdict(ports: Ports) -> None:
    """A path that holds tokens back is served, and named."""
    async with living(ports, Engine(), store_and_forward, {"mode": "Advisory"}) as life:
        await life.verified()
        assert life.condition("Ready") == ("True", "Ready")
        assert life.condition("StreamingVerified") == ("False", "Buffered")
        assert life.condition("Stalled") == ("False", "NotStalled")


async def test_disabled_sends_nothing(ports: Ports) -> None:
    """No request reaches edge or model server; Ready says that nobody has checked."""
    engine = Engine()
    before = await engine.metric("vllm:prompt_tokens_total")
    async with living(ports, engine, verification={"mode": "Disabled"}) as life:
        await life.look()
        assert not life.reconciler._verifier.running(KEY)
        assert life.condition("Ready") == ("True", "NotVerified")
        assert life.condition("StreamingVerified") == ("Unknown", "Disabled")
        assert life.edge.requests == []
    assert await engine.metric("vllm:prompt_tokens_total") == before


# ---- beside the passes -------------------------------------------------------------------------------------


async def test_a_probe_that_hangs_delays_no_pass(ports: Ports) -> None:
    """The edge says nothing for minutes: passes come and go meanwhile, and what they see is written."""
    engine = Engine()
    async with living(ports, engine, mute) as life:
        await life.look()
        life.world.observed = replace(life.world.observed, ready_replicas=0, rolled_out=False)
        await life.look()
        assert life.reconciler._verifier.running(KEY)
        assert life.condition("WorkloadAvailable")[0] == "False"


async def test_a_verdict_about_what_no_longer_runs_is_dropped(ports: Ports) -> None:
    """The pod template changed while it was asked: Pending, not Ready because of the old one."""
    async with living(ports, Engine()) as life:
        await life.look()
        life.world.observed = replace(
            life.world.observed,
            pod_template_hash="t2",
            pods=(replace(life.world.observed.pods[0], template_hash="t2"),),
        )
        await life._woken.wait()
        await life.look()
        assert life.condition("StreamingVerified") == ("Unknown", "Pending")


async def test_one_failure_is_no_outage(ports: Ports) -> None:
    """The edge begins to hold tokens back: Ready until failureThreshold failures in a row."""
    engine = Engine()
    async with living(ports, engine) as life:
        await life.verified()
        broken = VirtualEdge(engine, store_and_forward)
        life.world.edge_port = ports.listen(broken)
        life.later()
        await life.verified()
        assert life.condition("Ready") == ("True", "Ready")
        life.later()
        await life.verified()
        assert life.condition("Ready") == ("False", "Buffered")
        assert life.condition("Stalled") == ("True", "VerificationFailing")


async def test_a_verified_endpoint_is_asked_once_an_interval(ports: Ports) -> None:
    """Routine costs one stream at the users' address; the first time costs two, with and without gzip."""
    engine = Engine()
    async with living(ports, engine) as life:
        before = await engine.metric("vllm:request_success_total")
        await life.verified()
        first = await engine.metric("vllm:request_success_total") - before
        life.later(20)
        await life.look()
        assert not life.reconciler._verifier.running(KEY)
        life.later(20)
        await life.verified()
        assert (first, await engine.metric("vllm:request_success_total") - before - first) == (2, 1)


async def test_what_is_switched_on_is_tried_at_once(ports: Ports) -> None:
    """Nobody waits for the interval to learn whether a check passes: this engine asks for no key."""
    async with living(ports, Engine(), engine={"apiKeySecretRef": {"name": "key"}}) as life:
        await life.verified()
        assert life.condition("Ready") == ("True", "Ready")
        life.edit(failureThreshold=1, checks={"auth": True})
        await life.verified()
        assert life.condition("StreamingVerified") == ("False", "AuthNotEnforced")
        assert life.condition("Ready") == ("False", "AuthNotEnforced")


async def test_after_a_restart_endpoints_are_asked_one_after_the_other(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verdict that is read back holds; its next probe comes at a random time within one interval."""
    monkeypatch.setattr(reconciler.random, "random", lambda: 0.5)
    engine = Engine()
    async with living(ports, engine) as life:
        await life.verified()
        async with living(ports, engine) as again:
            again.world.status = life.world.status
            again.now = life.now + timedelta(hours=1)
            await again.look()
            assert again.condition("Ready") == ("True", "Ready")
            assert not again.reconciler._verifier.running(KEY)
            again.later(20)
            await again.look()
            assert again.reconciler._verifier.running(KEY)


# ---- a full queue ------------------------------------------------------------------------------------------


async def test_probes_are_skipped_for_three_intervals_while_users_wait(ports: Ports) -> None:
    """While requests of users wait, three probes are left out; the fourth asks, and finds no fault."""
    engine = Engine("--max-num-seqs", "1")
    async with living(ports, engine, verification={"firstRequestTimeoutSeconds": 10}) as life:
        await life.verified()
        said = life.world.status
        async with users(engine, streams=2, tokens=4000):
            for _ in range(3):
                life.later()
                await life.verified()
            assert _sample("streamingendpoint_probes_skipped_total") == 3
            assert _sample("streamingendpoint_probes_total") == 1
            life.later()
            await life.verified()
        assert _sample("streamingendpoint_probes_skipped_total") == 3
        assert _sample("streamingendpoint_probes_total", verdict="Inconclusive") == 1
        assert life.condition("Ready") == ("True", "Ready")
        assert life.world.status["conditions"] == said["conditions"]


async def test_too_short_to_judge_is_no_verdict(ports: Ports) -> None:
    """A very fast model of a short length: Unknown with what to raise, neither Ready nor a failure."""
    fast = Engine("--inter-token-latency", "0.1")
    async with living(ports, fast, engine={"maxModelLen": 280}) as life:
        await life.verified()
        assert life.condition("StreamingVerified") == ("Unknown", "Inconclusive")
        assert life.condition("Stalled") == ("False", "NotStalled")


# ---- what is too slow --------------------------------------------------------------------------------------


async def test_slower_than_promised(ports: Ports) -> None:
    """A first token later than the endpoint's owner allows, at the pod that causes it; the first time is free."""
    engine = Engine("--time-to-first-token", "900")
    verification = {"failureThreshold": 1, "thresholds": {"ttftMilliseconds": 400}}
    async with living(ports, engine, verification=verification) as life:
        await life.verified()
        assert life.condition("StreamingVerified") == ("True", "Streaming")
        life.later()
        await life.verified()
        assert life.condition("StreamingVerified") == ("False", "TTFTExceeded")
        assert life.world.status["verification"]["hop"] == "Pod"


# ---- secrets and metrics -----------------------------------------------------------------------------------


def _sample(name: str, **labels: str) -> float:
    samples = (sample for family in metrics.REGISTRY.collect() for sample in family.samples)
    return sum(
        sample.value
        for sample in samples
        if sample.name == name
        and {"namespace": KEY[0], "name": KEY[1], **labels}.items() <= sample.labels.items()
    )


async def test_numbers_of_what_users_feel(ports: Ports) -> None:
    """TTFT, every gap, the verdict and the last success, by hop; all of them go with the endpoint."""
    async with living(ports, Engine()) as life:
        await life.verified()
        hop = {"hop": "Exposure"}
        assert _sample("streamingendpoint_probe_ttft_seconds_count", **hop) == 1
        assert 0 < _sample("streamingendpoint_probe_ttft_seconds_sum", **hop) < 20
        assert _sample("streamingendpoint_probe_chunk_gap_seconds_count", **hop) == 63
        assert _sample("streamingendpoint_probe_max_chunk_gap_seconds_count", **hop) == 1
        assert _sample("streamingendpoint_probes_total", verdict="Streaming", **hop) == 1
        assert _sample("streamingendpoint_probe_last_success_timestamp_seconds") == life.now.timestamp()
        life.reconciler.remove(IDENTITY)
        left = [
            sample.name
            for family in metrics.REGISTRY.collect()
            for sample in family.samples
            if (sample.labels.get("namespace"), sample.labels.get("name")) == KEY
        ]
        assert left == []


async def test_a_probe_that_ends_after_its_endpoint_leaves_no_numbers(ports: Ports) -> None:
    """The endpoint is deleted while it is asked."""
    engine = Engine()
    async with living(ports, engine) as life:
        await life.look()
        life.reconciler.remove(IDENTITY)
        await life.reconciler.close()
        assert _sample("streamingendpoint_probes_total") == 0


@pytest.mark.parametrize("accepted", [True, False])
async def test_the_key_is_nowhere(ports: Ports, caplog: pytest.LogCaptureFixture, accepted: bool) -> None:
    """Neither accepted nor refused is it in the status, an event, a log line or a metric."""
    caplog.set_level(logging.DEBUG)
    engine = Engine("--api-key", SECRET if accepted else "another")
    checks = {"auth": True, "cancel": True, "perReplica": True}
    async with living(
        ports, engine, verification={"checks": checks}, engine={"apiKeySecretRef": {"name": "key"}}
    ) as life:
        await life.verified()
        assert life.condition("Ready")[0] == ("True" if accepted else "False"), life.world.status
        texts = f"{life.world.status} {life.world.events} {caplog.text}"
        numbers = [str(sample) for family in metrics.REGISTRY.collect() for sample in family.samples]
    assert SECRET not in texts + "".join(numbers)


# ---- the public URL ----------------------------------------------------------------------------------------


async def test_the_public_url_judges(ports: Ports) -> None:
    """A CDN in front of a good edge holds tokens back: the public URL is blamed, and is what users call."""
    engine = Engine()
    cdn = VirtualEdge(engine, store_and_forward)
    url = f"http://localhost:{ports.listen(cdn)}"
    async with living(ports, engine, verification={"publicURL": url}) as life:
        await life.verified()
        assert life.condition("Ready") == ("False", "Buffered")
        assert (life.world.status["verification"]["hop"], life.world.status["url"]) == ("Public", url)
        assert cdn.requests[0].path == "/v1/chat/completions"
