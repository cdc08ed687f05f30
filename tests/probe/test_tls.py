"""TLS on the way: right and wrong CA, wrong name, no TLS at all; timed like plain TCP."""

from dataclasses import replace
from pathlib import Path

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.http.connection import Target
from streaming_operator.probe.verification import Plan, verify
from tests.probe import proxies
from tests.probe.certificates import Authority, authority
from tests.probe.conftest import Engines, plan
from tests.probe.proxies import Proxy

HOST = "llm.example"


@pytest.fixture(scope="module")
def ca() -> Authority:
    return authority("private CA")


def https(port: int, ca: str | None, host: str = HOST) -> Plan:
    target = Target(Hop.EXPOSURE, "127.0.0.1", port, "https", host, ca=ca)
    return replace(plan([port]), targets=(target,))


async def test_right_ca_streams(engines: Engines, ca: Authority, tmp_path: Path) -> None:
    """The given CA signed it, the name is the host's: Streaming, with one read an event as on plain TCP."""
    with Proxy(engines().port, proxies.healthy, ca.serve(HOST, tmp_path)) as edge:
        result = await verify(https(edge.port, ca.pem))
    assert result.verdict is Verdict.STREAMING, result.message
    assert b"Host: llm.example\r\n" in edge.requests[0]


async def test_host_is_named_in_the_handshake(engines: Engines, ca: Authority, tmp_path: Path) -> None:
    """The server name (SNI) is the host's, whatever address is connected to: edges choose by it."""
    context = ca.serve(HOST, tmp_path)
    named: list[str | None] = []
    context.sni_callback = lambda session, name, chosen: named.append(name)
    with Proxy(engines().port, proxies.healthy, context) as edge:
        await verify(https(edge.port, ca.pem))
    assert set(named) == {HOST}


async def test_buffering_shows_through_tls(engines: Engines, ca: Authority, tmp_path: Path) -> None:
    """TLS hides nothing of the pace."""
    with Proxy(engines().port, proxies.store_and_forward, ca.serve(HOST, tmp_path)) as edge:
        result = await verify(https(edge.port, ca.pem))
    assert result.verdict is Verdict.BUFFERED


@pytest.mark.parametrize(("left", "told"), [(13.5, True), (14.5, False)])
async def test_a_certificate_that_expires_soon_is_told(
    engines: Engines, ca: Authority, tmp_path: Path, left: float, told: bool
) -> None:
    """14 days ahead, beside a verdict that is what it was: the stream is fine until then."""
    context = ca.serve(HOST, tmp_path, days=(left - 90, left))
    with Proxy(engines().port, proxies.healthy, context) as edge:
        result = await verify(https(edge.port, ca.pem))
    assert result.verdict is Verdict.STREAMING, result.message
    assert ("the certificate expires on" in result.message_with_remarks) == told


@pytest.mark.parametrize("given", ["another CA", "the system's"])
async def test_wrong_ca(engines: Engines, ca: Authority, tmp_path: Path, given: str) -> None:
    """A certificate of a CA that is not trusted is no path for a key."""
    other = authority("other").pem if given == "another CA" else None
    with Proxy(engines().port, proxies.healthy, ca.serve(HOST, tmp_path)) as edge:
        result = await verify(replace(https(edge.port, other), key=None))
    assert result.verdict is Verdict.TLS_ERROR
    assert "certificate" in result.message
    assert edge.requests == []


async def test_wrong_name(engines: Engines, ca: Authority, tmp_path: Path) -> None:
    """The right CA for another name."""
    with Proxy(engines().port, proxies.healthy, ca.serve("other.example", tmp_path)) as edge:
        result = await verify(https(edge.port, ca.pem))
    assert result.verdict is Verdict.TLS_ERROR
    assert "llm.example" in result.message


async def test_plain_server_on_a_tls_port(engines: Engines, ca: Authority) -> None:
    """A server without TLS."""
    result = await verify(https(engines().port, ca.pem))
    assert result.verdict is Verdict.TLS_ERROR


async def test_ca_that_is_no_ca(engines: Engines) -> None:
    """A broken bundle is a TLS error with its cause, not an exception."""
    result = await verify(https(engines().port, "no PEM"))
    assert result.verdict is Verdict.TLS_ERROR
