"""A key that is sent shows up nowhere else."""

import logging
from dataclasses import replace

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.http.connection import Target
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import ApiKey
from streaming_operator.probe.model_list import models
from streaming_operator.probe.verification import verify
from tests.probe import proxies
from tests.probe.conftest import LIMITS, Engines, plan
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
    assert result.verdict is expected, result.message
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
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "RuntimeError" in result.message
    assert KEY not in caplog.text + result.message


def quoted(status: str, text: str, kind: str = "application/json") -> proxies.Relay:
    """A server that repeats the key it was sent, as some do when they refuse it."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nServer: {KEY}\r\nLocation: /{KEY}\r\nContent-Length: "
    )
    return proxies.answer(f"{head}{len(text)}\r\n\r\n{text}".encode())


REFUSED = f'{{"error": {{"message": "Incorrect API key provided: {KEY}"}}}}'
LONG = f'{{"error": {{"message": "{"x" * 190} {KEY}"}}}}'
EVENT = f"data: {REFUSED}\n\n"


@pytest.mark.parametrize(
    "relay",
    [
        pytest.param(quoted("401 Unauthorized", REFUSED), id="in the refusal"),
        pytest.param(quoted("500 Internal Server Error", LONG), id="cut off at the end"),
        pytest.param(quoted("302 Found", ""), id="in the headers"),
        pytest.param(quoted("200 OK", EVENT, "text/event-stream"), id="in an error event"),
        pytest.param(quoted("200 OK", KEY, "text/html"), id="in a page"),
    ],
)
async def test_a_key_that_the_server_quotes_is_never_shown(engines: Engines, relay: proxies.Relay) -> None:
    """Neither the message nor a hop's evidence repeats it, whole or in part."""
    with Proxy(engines().port, relay) as edge:
        result = await verify(plan([edge.port], key=KEY))
        listed = await models(
            Target(Hop.EXPOSURE, "127.0.0.1", edge.port), ApiKey(KEY), Guard(local=True), LIMITS
        )
    assert b"Bearer " + KEY.encode() in edge.requests[0]
    assert result.verdict is not Verdict.STREAMING
    for text in (result.message, repr(result), repr(listed)):
        assert KEY[:4] not in text


async def test_without_quotes_nothing_that_the_server_said_is_shown(engines: Engines) -> None:
    """status.quoteServers: false; the verdict and its hop are the same."""
    with Proxy(engines().port, quoted("500 Internal Server Error", REFUSED)) as edge:
        asked = plan([edge.port])
        quoting, plain = await verify(asked), await verify(replace(asked, quotes=False))
    assert KEY in quoting.message
    assert KEY not in repr(plain)
    assert (plain.verdict, plain.hop) == (quoting.verdict, quoting.hop)


async def test_key_that_cannot_be_sent_is_reported(engines: Engines) -> None:
    """A line feed inside a Secret's value is a common mistake: reported, not sent, not shown."""
    result = await verify(plan([engines().port], key="first\nsecond"))
    assert result.verdict is Verdict.AUTH_REJECTED
    assert "first" not in result.message
