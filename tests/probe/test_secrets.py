"""A key that is sent shows up nowhere else."""

import logging

import pytest

from streaming_operator.api.conditions import Verdict
from streaming_operator.probe.hops import verify
from tests.probe import proxies
from tests.probe.conftest import Engines, plan
from tests.probe.proxies import Proxy

KEY = "sk-very-secret-0123456789"


@pytest.mark.parametrize(
    ("relay", "flags", "expected"),
    [
        pytest.param(proxies.healthy, ("--api-key", KEY), Verdict.STREAMING, id="accepted"),
        pytest.param(proxies.healthy, ("--api-key", "another"), Verdict.AUTH_REJECTED, id="refused"),
        pytest.param(proxies.cut(2000), ("--api-key", KEY), Verdict.TRUNCATED, id="broken"),
        pytest.param(proxies.answer(b"garbage\r\n\r\n"), (), Verdict.UNREACHABLE, id="no HTTP"),
    ],
)
async def test_key_is_nowhere(
    engines: Engines,
    caplog: pytest.LogCaptureFixture,
    relay: proxies.Relay,
    flags: tuple[str, ...],
    expected: Verdict,
) -> None:
    """It goes into the request, and into no plan's repr, no message, no log."""
    caplog.set_level(logging.DEBUG)
    engine = engines(*flags)
    with Proxy(engine.port, relay) as edge:
        asked = plan([engine.port, edge.port], key=KEY)
        result = await verify(asked)
    assert expected is result.verdict, result.message
    assert KEY.encode() in edge.requests[0]
    for text in (repr(asked), str(asked), repr(result), caplog.text):
        assert KEY not in text


async def test_key_is_nowhere_when_the_probe_itself_fails(
    engines: Engines, caplog: pytest.LogCaptureFixture
) -> None:
    """Even a defect of ours ends in a value and a log line without the key."""

    def defect() -> str:
        raise RuntimeError("defect")

    caplog.set_level(logging.DEBUG)
    result = await verify(plan([engines().port], key=KEY, nonce=defect))
    assert Verdict.INCONCLUSIVE is result.verdict
    assert "RuntimeError" in result.message
    assert KEY not in caplog.text + result.message


async def test_key_that_cannot_be_sent_is_told(engines: Engines) -> None:
    """A line feed inside a Secret's value is a common slip: told, not sent, not shown."""
    result = await verify(plan([engines().port], key="first\nsecond"))
    assert Verdict.AUTH_REJECTED is result.verdict
    assert "first" not in result.message
