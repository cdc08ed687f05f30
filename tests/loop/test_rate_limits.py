"""A rate limit is waited for as its Retry-After says, and a server that names no pause is not asked again and again."""

import asyncio
from dataclasses import dataclass, field

import pytest

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe.http.request import Request
from streaming_operator.probe.verification import verify
from tests.loop import virtual_path
from tests.loop.virtual_path import Bytes, Engine, Ports
from tests.probe.conftest import plan


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Ports:
    return virtual_path.install(monkeypatch)


def clock() -> float:
    return asyncio.get_running_loop().time()


@dataclass(eq=False)
class Limited:
    """A model server behind a rate limit: one request in *every* seconds, all others get 429 with this Retry-After."""

    retry_after: str
    every: float
    knows_ignore_eos: bool = True
    engine: Engine = field(default_factory=Engine)
    asked_at: list[float] = field(default_factory=list)

    async def answer(self, request: Request) -> Bytes:
        """A stream, or a refusal."""
        last = self.asked_at[-1] if self.asked_at else -self.every
        if clock() - last < self.every:
            head = f"HTTP/1.1 429 Too Many Requests\r\nRetry-After: {self.retry_after}\r\nContent-Length: 0\r\n\r\n"
            yield head.encode()
            return
        self.asked_at.append(clock())
        if b"ignore_eos" in request.body and not self.knows_ignore_eos:
            words = b'{"error": {"message": "unknown parameter: ignore_eos"}}'
            yield b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%b" % (len(words), words)
            return
        async for data in self.engine.answer(request):
            yield data


@dataclass(eq=False)
class Refusing:
    """A server that refuses every request."""

    retry_after: str
    asked_at: list[float] = field(default_factory=list)

    async def answer(self, request: Request) -> Bytes:
        """429."""
        self.asked_at.append(clock())
        yield f"HTTP/1.1 429 Too Many\r\nRetry-After: {self.retry_after}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize("retry_after", ["0", "0.001", "1"])
async def test_a_limit_without_a_pause_is_asked_a_few_times(ports: Ports, retry_after: str) -> None:
    """Six requests in all, with pauses that grow, and the refusal is the verdict."""
    server = Refusing(retry_after)
    result = await verify(plan([ports.listen(server)], model=virtual_path.MODEL))
    pauses = [later - earlier for earlier, later in zip(server.asked_at, server.asked_at[1:], strict=False)]
    assert (result.verdict, len(server.asked_at)) == (Verdict.UPSTREAM_ERROR, 6), result.message
    assert pauses == sorted(pauses)
    assert (round(pauses[0], 1), round(pauses[-1], 1)) == (max(0.5, float(retry_after)), 8.0)


async def test_a_limit_that_lasts_is_not_waited_for(ports: Ports) -> None:
    """A day is longer than anybody waits for a verdict: one request."""
    server = Refusing("86400")
    result = await verify(plan([ports.listen(server)], model=virtual_path.MODEL))
    assert (result.verdict, len(server.asked_at)) == (Verdict.UPSTREAM_ERROR, 1), result.message


@pytest.mark.parametrize("knows_ignore_eos", [True, False])
async def test_one_request_in_five_seconds_is_enough(ports: Ports, knows_ignore_eos: bool) -> None:
    """Both encodings are asked for, also where the first wording of the request is refused."""
    server = Limited("5", 5.0, knows_ignore_eos)
    result = await verify(plan([ports.listen(server)], model=virtual_path.MODEL))
    assert result.verdict is Verdict.STREAMING, result.message
    assert len(server.asked_at) == (2 if knows_ignore_eos else 3)
    assert not any("429" in remark.observed for remark in result.remarks)
