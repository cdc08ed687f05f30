"""Where a probe never connects to, whatever a name in a resource resolves to, with the machine's own resolver."""

import socket
from dataclasses import replace

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.diagnose import NotVerified, pin
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.guard import Guard, api_server
from streaming_operator.probe.http.request import ApiKey
from streaming_operator.probe.judge.remedies import Names
from streaming_operator.probe.plan import Plan
from streaming_operator.probe.verification import verify
from tests.engines.running import free_port
from tests.probe import proxies
from tests.probe.conftest import LIMITS, Engines
from tests.probe.proxies import Proxy

OPERATOR = Guard()


def public(name: str, port: int = 80, **more: object) -> connection.Target:
    return connection.Target(Hop.PUBLIC, name, port, host=name, **more)  # type: ignore[arg-type]


async def refusal(
    target: connection.Target, guard: Guard = OPERATOR, key: ApiKey | None = None
) -> str | None:
    """Why it is refused; None when it may be asked."""
    try:
        await connection.resolve(target, guard, key)
    except connection.NoResponseError as error:
        return error.detail
    return None


# Valid DNS labels all of them, which the C library reads as addresses before it asks any server.
@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("localhost", "loopback", id="loopback"),
        pytest.param("0x7f000001", "loopback", id="loopback in hexadecimal"),
        pytest.param("0177.0.0.1", "loopback", id="loopback in octal"),
        pytest.param("0xa9fea9fe", "link-local", id="the metadata service"),
        pytest.param("0x646464c8", "metadata", id="a metadata service in shared space"),
        pytest.param("0xa600001", "private", id="a Service's address"),
        pytest.param("10.1", "private", id="a pod's address"),
        pytest.param("0xc0a80001", "private", id="a node's address"),
        pytest.param("0x64400001", "private", id="shared address space"),
        pytest.param("0.1", "unspecified|reserved|private", id="this network"),
    ],
)
async def test_a_name_that_leads_inside_is_refused(name: str, said: str) -> None:
    """Loopback, metadata, pods, Services, nodes: none of them by a name that a resource's author chose."""
    reason = await refusal(public(name))
    assert reason is not None
    assert any(word in reason for word in said.split("|")), reason


async def test_a_public_address_is_asked() -> None:
    """What DNS is for."""
    assert await refusal(public("0x08080808")) is None


async def test_an_allowed_network_is_asked() -> None:
    """Where the administrator's load balancers have private addresses; metadata services stay refused."""
    guard = Guard(allowed_by_dns=("10.20.0.0/16", "100.64.0.0/10", "127.0.0.0/8"))
    assert await refusal(public("0xa140001"), guard) is None
    assert await refusal(public("0xa150001"), guard) is not None
    assert await refusal(public("0x646464c8"), guard) is not None
    assert await refusal(public("localhost"), guard) is not None


async def test_the_clusters_own_names_may_lead_inside() -> None:
    """The host name of an Ingress's status is the controller's word, not the author's."""
    assert await refusal(public("10.1", named_by_cluster=True)) is None
    assert await refusal(public("localhost", named_by_cluster=True)) is not None


async def test_the_api_server_is_refused_by_address_and_by_name() -> None:
    """However it is known, and whoever named it."""
    by_address, by_name = api_server("8.8.8.8"), api_server("0x08080808")
    assert await refusal(public("0x08080808"), by_address) is not None
    assert await refusal(public("0x08080808", named_by_cluster=True), by_address) is not None
    assert await refusal(public("0x08080808"), by_name) is not None
    assert await refusal(public("0x08080404"), by_name) is None


async def test_a_public_service_network_is_refused() -> None:
    """IPv6 clusters may have public addresses: the API server's own implies its Service network."""
    guard = api_server("2600:1f00::1")
    assert await refusal(public("2600:1f00::1"), guard) is not None
    reason = connection.forbidden("2600:1f00::7", guard, by_dns=True)
    assert reason is not None
    assert connection.forbidden("2600:1f00::1:0:0:7", guard, by_dns=True) is None


async def test_the_key_stays_off_plain_http_to_the_public() -> None:
    """At the public URL as at the edge."""
    key = ApiKey("sk-secret")
    reason = await refusal(public("0x08080808"), key=key)
    assert reason is not None
    assert "plain http" in reason
    assert await refusal(public("0x08080808", 443, scheme="https"), key=key) is None


async def test_a_refused_address_is_not_blamed_on_a_hop_inside() -> None:
    """Nobody listens at the Service just then: it is the name all the same that has to change."""
    targets = (connection.Target(Hop.SERVICE, "127.0.0.1", free_port()), public("10.1"))
    result = await verify(Plan(targets, "tiny", limits=LIMITS, guard=OPERATOR))
    assert (result.verdict, result.hop) == (Verdict.UNREACHABLE, Hop.PUBLIC)
    assert "private address" in result.message


async def test_nothing_is_sent_to_a_refused_address(engines: Engines) -> None:
    """The verdict says so with the remedy, and the server there gets nothing."""
    with Proxy(engines().port, proxies.healthy) as inside:
        target = replace(public("localhost", inside.port), hop=Hop.PUBLIC)
        asked = Plan((target,), "tiny", names=Names(workload="qwen"), limits=LIMITS)
        result = await verify(asked)
        assert inside.requests == []
    assert (result.verdict, result.hop) == (Verdict.UNREACHABLE, Hop.PUBLIC)
    assert "loopback" in result.message
    assert "allowedAddresses" in result.message


async def test_the_judged_address_is_the_one_that_is_asked(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that changes its mind between look-up and connection gains nothing: it is looked up once."""
    engine = engines()
    looked_up = []
    real = socket.getaddrinfo

    def once(host: object, *rest: object, **more: object) -> object:
        looked_up.append(host)
        assert looked_up.count("rebinding.example") <= 1
        return real("127.0.0.1" if host == "rebinding.example" else host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", once)
    target = public("rebinding.example", engine.port)
    result = await verify(Plan((target,), "tiny", limits=LIMITS, guard=Guard(local=True)))
    assert result.verdict is Verdict.STREAMING, result.message
    assert "127.0.0.1" in result.hops[0].address


def answers(monkeypatch: pytest.MonkeyPatch, name: str, *addresses: str | None) -> None:
    """DNS that gives one of these addresses after the other, and the last one from then on; None is none."""
    rest, real = list(addresses), socket.getaddrinfo

    def getaddrinfo(host: object, *args: object, **options: object) -> object:
        if host == name:
            host = rest.pop(0) if len(rest) > 1 else rest[0]
        if host is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def diagnosis_of(port: int, own_key: bool = False) -> Plan:
    """What `streamctl diagnose` plans for an edge that only DNS knows; the key comes from a Secret or the person."""
    target = connection.Target(Hop.EXPOSURE, "edge.example", port, host="edge.example")
    return Plan((target,), "tiny", key=ApiKey("k"), limits=LIMITS, guard=Guard(local=True, own_key=own_key))


async def test_diagnose_sends_the_key_to_the_address_that_was_judged(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS answers a public address the second time: it is not asked a second time."""
    answers(monkeypatch, "edge.example", "127.0.0.1", "8.8.8.8")
    with Proxy(engines().port, proxies.healthy) as edge:
        plan = await pin(diagnosis_of(edge.port))
        assert isinstance(plan, Plan)
        result = await verify(plan)
    assert result.verdict is Verdict.STREAMING, result.message
    assert b"Host: edge.example\r\n" in edge.requests[0]


async def test_diagnose_sends_no_secrets_key_over_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to a public address, also when the name did not resolve at first; a key of the person's own may go."""
    answers(monkeypatch, "edge.example", "8.8.8.8")
    refused = await pin(diagnosis_of(80))
    assert isinstance(refused, NotVerified)
    assert "plain http" in refused.evidence
    assert isinstance(await pin(diagnosis_of(80, own_key=True)), Plan)
    answers(monkeypatch, "edge.example", None, "8.8.8.8")
    plan = await pin(diagnosis_of(80))
    assert isinstance(plan, Plan)
    result = await verify(plan)
    assert result.verdict is Verdict.UNREACHABLE
    assert "plain http" in result.message
