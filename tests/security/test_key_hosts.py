"""
An API key, a header or a client certificate goes only where its owner's cluster leads: to no host that an endpoint's
author chose and DNS resolves.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pytest

from streaming_operator import probe
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Hop, Reason
from streaming_operator.cluster.edge_addresses import EdgeAddresses
from streaming_operator.controller.planner import Planner
from streaming_operator.settings import PodPolicy, Settings
from streaming_operator.values import Capabilities, Problem
from tests.unit.status.worlds import observed

PUBLIC = {"verification": {"publicURL": "https://llm.example.com"}}
EXPOSED = {"exposure": {"host": "llm.example.com", "ingress": {"className": "nginx"}}}


class ACluster:
    """What a planner asks, and the Secrets that it read."""

    server = "https://192.0.2.1:6443"

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.read: list[str] = []

    def capabilities(self) -> Capabilities:
        return Capabilities(service_monitors=False, http_routes=False)

    def canary_headers(self, endpoint: StreamingEndpoint) -> frozenset[str]:
        return frozenset()

    async def edge_addresses(self, endpoint: StreamingEndpoint) -> EdgeAddresses:
        return EdgeAddresses(self.addresses)

    async def read_secret_key(self, namespace: str, name: str, key: str) -> str:
        self.read.append(name)
        return "sk-0123456789"

    async def read_secret_entries(
        self, namespace: str, name: str, keys: Collection[str] = ()
    ) -> dict[str, str]:
        self.read.append(name)
        return {"X-Gateway-Key": "g4teway-secret"}


async def planned(cluster: ACluster, settings: Settings, **spec: Any) -> probe.Plan | Problem:
    endpoint = StreamingEndpoint.from_body(
        {
            "metadata": {"name": "chat", "namespace": "tenant", "uid": "u"},
            "spec": {
                "model": {"source": {"huggingFace": {"repo": "a/b"}}},
                "engine": {"apiKeySecretRef": {"name": "key"}},
                **spec,
            },
        }
    )
    planner = Planner(cluster, settings, clock=lambda: datetime.now(UTC))  # type: ignore[arg-type]
    return await planner.plan(endpoint, observed(), probe.Trigger())


@pytest.mark.parametrize("spec", [PUBLIC, EXPOSED, EXPOSED | PUBLIC], ids=["publicURL", "host", "both"])
async def test_the_key_goes_to_no_host_that_only_dns_knows(spec: dict[str, Any]) -> None:
    """No probe is sent, the Secret is not even read, and the condition says what to set."""
    cluster = ACluster()
    plan = await planned(cluster, Settings(), **spec)
    assert isinstance(plan, Problem)
    assert plan.reason is Reason.KEY_NOT_SENT
    assert "llm.example.com" in plan.message
    assert "settings.keyHosts" in plan.message
    assert cluster.read == []


@pytest.mark.parametrize("allowed", ["llm.example.com", "*.example.com", "*"])
@pytest.mark.parametrize("spec", [PUBLIC, EXPOSED], ids=["publicURL", "host"])
async def test_the_administrator_allows_hosts(spec: dict[str, Any], allowed: str) -> None:
    """By name, by domain, or all."""
    plan = await planned(ACluster(), Settings(key_hosts=(allowed,)), **spec)
    assert isinstance(plan, probe.Plan)
    assert plan.key is not None


async def test_another_host_is_not_allowed_by_its_end() -> None:
    """`*.example.com` is every name below it."""
    evil = {"verification": {"publicURL": "https://llm-example.com"}}
    assert isinstance(await planned(ACluster(), Settings(key_hosts=("*.example.com",)), **evil), Problem)


async def test_the_key_goes_to_the_edge_of_the_cluster() -> None:
    """Whose address the administrator's list or the route's status has, whatever the host says."""
    plan = await planned(ACluster("10.0.0.5"), Settings(), **EXPOSED)
    assert isinstance(plan, probe.Plan)
    assert [target.named_by_cluster for target in plan.targets] == [True] * len(plan.targets)


HEADERS: dict[str, Any] = {"headersSecretRef": {"name": "gateway"}}
CERTIFICATE: dict[str, Any] = {"tls": {"clientCertSecretRef": {"name": "client"}}}


@pytest.mark.parametrize("sent", [HEADERS, CERTIFICATE], ids=["headers", "certificate"])
@pytest.mark.parametrize("to", ["publicURL", "host"])
async def test_what_a_gateway_wants_goes_to_no_host_that_only_dns_knows(
    sent: dict[str, Any], to: str
) -> None:
    """Without an API key as well: no Secret is read, and the condition names the field and the setting."""
    spec: dict[str, Any] = {"engine": {}, "verification": dict(sent)}
    if to == "publicURL":
        spec["verification"] |= PUBLIC["verification"]
    else:
        ingress = {"className": "nginx", "tls": {"secretName": "served"}}
        spec["exposure"] = {"host": "llm.example.com", "ingress": ingress}
    cluster = ACluster()
    plan = await planned(cluster, Settings(), **spec)
    assert isinstance(plan, Problem)
    assert plan.reason is Reason.KEY_NOT_SENT
    assert "headersSecretRef" in plan.message or "clientCertSecretRef" in plan.message
    assert "settings.keyHosts" in plan.message
    assert cluster.read == []


async def test_a_gateways_header_goes_to_the_edge_of_the_cluster_and_to_allowed_hosts() -> None:
    """And to no pod, which may be another tenant's image."""
    spec: dict[str, Any] = {**EXPOSED, "verification": HEADERS | PUBLIC["verification"]}
    plan = await planned(ACluster("10.0.0.5"), Settings(key_hosts=("llm.example.com",)), **spec)
    assert isinstance(plan, probe.Plan)
    assert {target.hop for target in plan.targets if target.headers} == {Hop.EXPOSURE, Hop.PUBLIC}


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("engine.apiKeySecretRef", {}),
        ("verification.headersSecretRef", {"engine": {}, "verification": HEADERS}),
        (
            "verification.tls.clientCertSecretRef",
            {
                "engine": {},
                "exposure": {
                    "host": "llm.example.com",
                    "ingress": {"className": "nginx", "tls": {"secretName": "served"}},
                },
                "verification": CERTIFICATE,
            },
        ),
    ],
)
async def test_a_secret_that_the_administrator_does_not_list_is_not_read(
    field: str, spec: dict[str, Any]
) -> None:
    """
    Pods of an earlier spec go on running when the policy refuses a new one: a probe would bring them any Secret.
    """
    cluster = ACluster("10.0.0.5")
    closed = Settings(pod_policy=PodPolicy(credential_secret_names=("llm-*",)))
    plan = await planned(cluster, closed, **(EXPOSED | spec))
    assert isinstance(plan, Problem)
    assert plan.reason is Reason.SECRET_NOT_READABLE
    assert f"spec.{field}: Secret " in plan.message
    assert "podPolicy.credentialSecretNames" in plan.message
    assert cluster.read == []
