"""
The header and the client certificate that a spec names let the operator's probe in at a real nginx, and show up nowhere
else: planned from the Secrets of a namespace, and verified.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streaming_operator import probe
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.cluster.edge_addresses import EdgeAddresses
from streaming_operator.controller.planner import Planner
from streaming_operator.probe.verification import verify
from streaming_operator.settings import Settings
from streaming_operator.values import Capabilities, Edge, ObservedPod, ProbeResult, Problem
from tests.probe.certificates import Authority, authority
from tests.probe.packages import Missing
from tests.probe.servers import Server
from tests.probe.test_served_model import REPO, root, streaming
from tests.probe.zoo.running import Running, Setup
from tests.unit.status.worlds import observed

VALUE = "g4teway-secret-0123"
WRONG = "wr0ng-secret-4567"
HOST = "llm.example"
GATEWAY = (
    f'default_type application/json; if ($http_x_gateway_key != "{VALUE}") '
    """{ return 403 '{"error": {"message": "refused: $http_x_gateway_key"}}'; } """
    'proxy_set_header X-Gateway-Key ""; proxy_buffering off; proxy_http_version 1.1;'
)
"""Wants the header, keeps it to itself, and quotes a wrong one."""


@dataclass
class Namespace:
    """What a planner reads of the cluster."""

    port: int
    ca: str
    secrets: dict[str, dict[str, str]]
    server: str = "https://192.0.2.1:6443"

    def canary_headers(self, endpoint: StreamingEndpoint) -> frozenset[str]:
        return frozenset()

    def capabilities(self) -> Capabilities:
        return Capabilities(False, False, ingress_classes={"nginx": Edge(profile="ingress-nginx")})

    async def edge_addresses(self, endpoint: StreamingEndpoint) -> EdgeAddresses:
        return EdgeAddresses(("127.0.0.1",), self.port, self.port)

    async def read_secret_entries(
        self, namespace: str, name: str, keys: Collection[str] = ()
    ) -> dict[str, str]:
        return self.secrets[name]

    async def read_config_map_key(self, namespace: str, name: str, key: str) -> str:
        return self.ca


@dataclass(frozen=True)
class Gateway:
    """A real nginx that asks for a client certificate and a header, before one pod."""

    pod: Server
    port: int
    ca: str

    async def planned(self, *, certificate: dict[str, str] | None, header: str) -> probe.Plan:
        """The operator's plan for the endpoint whose Secrets hold this."""
        tls = {"caConfigMapRef": {"name": "ca"}}
        if certificate is not None:
            tls["clientCertSecretRef"] = {"name": "client"}
        endpoint = StreamingEndpoint.from_body(
            {
                "metadata": {"name": "chat", "namespace": "tenant", "uid": "u"},
                "spec": {
                    "model": {"source": {"huggingFace": {"repo": REPO}}, "servedName": "chat"},
                    "engine": {"port": self.pod.port},
                    "exposure": {
                        "host": HOST,
                        "ingress": {"className": "nginx", "tls": {"secretName": "served"}},
                    },
                    "verification": {"headersSecretRef": {"name": "gateway"}, "tls": tls},
                },
            }
        )
        secrets = {"gateway": {"X-Gateway-Key": header}, "client": certificate or {}}
        namespace = Namespace(self.port, self.ca, secrets)
        planner = Planner(namespace, Settings(), clock=lambda: datetime.now(UTC))  # type: ignore[arg-type]
        planner._guard = replace(planner._guard, local=True)  # it all listens on 127.0.0.1
        pod = ObservedPod("chat-t1-a", "127.0.0.1", True, "t1")
        plan = await planner.plan(endpoint, observed(pods=(pod,), service_address=None), probe.Trigger())
        assert not isinstance(plan, Problem), plan
        return plan

    async def verified(self, *, certificate: dict[str, str] | None, header: str = VALUE) -> ProbeResult:
        """The result of a verification by that plan."""
        return await verify(await self.planned(certificate=certificate, header=header))


@contextmanager
def gateway(folder: Path, users: Authority) -> Iterator[Gateway]:
    servers = authority("servers")
    (folder / "users.pem").write_text(users.pem)
    ask = f"ssl_client_certificate {folder}/users.pem; ssl_verify_client on;"
    with Server(streaming, root(REPO)) as pod:
        setup = Setup("nginx", GATEWAY, ask, tls=True)
        try:
            running = Running(setup, pod.port, folder / "nginx", servers.file(HOST, folder))
        except Missing as missing:
            pytest.skip(str(missing))
        with running as edge:
            yield Gateway(pod, edge.port, servers.pem)


def certificate_of(users: Authority, folder: Path) -> dict[str, str]:
    """The data of a Secret of type kubernetes.io/tls."""
    text = users.file("me", folder).read_text()
    begin = text.index("-----BEGIN CERTIFICATE")
    return {"tls.crt": text[begin:], "tls.key": text[:begin]}


async def test_the_operators_probe_is_let_in_and_shows_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """
    It streams with both, and the pod gets no header of the gateway's, neither through nginx nor asked directly; with a
    wrong value or without the certificate nginx refuses it, and no result, plan or log has a value or the private key.
    """
    caplog.set_level(logging.DEBUG)
    users = authority("users")
    client = certificate_of(users, tmp_path)
    with gateway(tmp_path, users) as edge:
        plan = await edge.planned(certificate=client, header=VALUE)
        let_in = await verify(plan)
        wrong = await edge.verified(certificate=client, header=WRONG)
        without = await edge.verified(certificate=None)
    assert let_in.verdict is Verdict.STREAMING, let_in.message
    assert (wrong.verdict, wrong.hop) == (Verdict.AUTH_REJECTED, Hop.EXPOSURE), wrong.message
    assert "refused: ***" in wrong.message
    assert without.verdict is not Verdict.STREAMING
    assert "asks its clients for a certificate" in without.message
    asked = [one for one in edge.pod.asked if one.method == "POST"]
    assert [one for one in asked if one.headers["host"] == f"127.0.0.1:{edge.pod.port}"] != []
    assert [one for one in edge.pod.asked if "x-gateway-key" in one.headers] == []
    private = [line for line in client["tls.key"].splitlines() if not line.startswith("-----")]
    for text in (repr(plan), repr(let_in), repr(wrong), repr(without), caplog.text):
        assert [secret for secret in (VALUE, WRONG, *private) if secret in text] == []
