"""Silent endpoints of one namespace keep nobody else waiting, and are given up after the sum of their time-outs."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from streaming_operator.api.reasons import Verdict
from streaming_operator.kinds import Key
from streaming_operator.probe import Verifier
from streaming_operator.probe.http.connection import Limits
from streaming_operator.probe.plan import Plan
from streaming_operator.probe.slots import Slots
from streaming_operator.probe.verification import verify
from streaming_operator.values import ProbeResult
from tests.loop import virtual_path
from tests.loop.virtual_path import Bytes, Edge, Engine, Ports, mute
from tests.probe.conftest import plan

PLACES = 16
LIMITS = Limits(first_token=300.0, total=600.0)
"""Those of an endpoint that leaves firstRequestTimeoutSeconds at its default."""
SECONDS = 10.0
"""How long a victim may wait, in virtual time: two healthy streams take five."""


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Ports:
    return virtual_path.install(monkeypatch)


class Round:
    """Verifications of many endpoints at once; `ended` holds when each was over, in virtual seconds."""

    def __init__(self) -> None:
        self.ended: dict[Key, float] = {}
        self._begin = asyncio.get_running_loop().time()
        self.verifier = Verifier(PLACES, self._note)

    def _note(self, key: Key) -> None:
        self.ended[key] = asyncio.get_running_loop().time() - self._begin


def asked(port: int) -> Plan:
    return plan([port], limits=LIMITS, model=virtual_path.MODEL)


async def test_silent_endpoints_leave_slots_to_other_namespaces(ports: Ports) -> None:
    """Forty of one namespace were first; an endpoint of another streams and is verified in seconds."""
    silent, healthy = ports.listen(Edge(Engine(), mute)), ports.listen(Engine())
    everybody = Round()
    for number in range(40):
        everybody.verifier.start(("mallory", f"silent-{number}"), asked(silent))
    await asyncio.sleep(60)
    begin = asyncio.get_running_loop().time()
    victims = [("alice", "chat"), ("bob", "chat")]
    for key in victims:
        everybody.verifier.start(key, asked(healthy))
    await asyncio.sleep(SECONDS)
    outcomes = [everybody.verifier.take(key) for key in victims]
    assert [isinstance(one, ProbeResult) and one.verdict for one in outcomes] == [Verdict.STREAMING] * 2
    assert asyncio.get_running_loop().time() - begin <= SECONDS + 1
    await everybody.verifier.close()


async def test_a_silent_endpoint_is_given_up_after_the_sum_of_its_time_outs(ports: Ports) -> None:
    """Its verification ends with a verdict, after `Plan.longest` at the latest, and its slot is free."""
    silent = ports.listen(Edge(Engine(), mute))
    everybody, key = Round(), ("mallory", "silent")
    everybody.verifier.start(key, asked(silent))
    longest = asked(silent).longest
    assert longest == 300 + 3 * 300
    await asyncio.sleep(longest + 1)
    outcome = everybody.verifier.take(key)
    assert isinstance(outcome, ProbeResult)
    assert outcome.verdict is Verdict.TTFT_EXCEEDED
    assert everybody.ended[key] <= longest + 0.1


async def trickle(answer: Bytes) -> Bytes:
    """Signs of life and never a token, for ever: no time-out of a single read ends it."""
    yield b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    while True:
        await asyncio.sleep(20)
        yield b": still here\n\n"


async def test_a_verification_ends_whatever_the_server_does(ports: Ports) -> None:
    """With an outermost hop that keeps its clients waiting, two inner ones that do too, and every check enabled."""
    port = ports.listen(Edge(Engine(), trickle))
    wanted = plan([port, port, port], limits=LIMITS, model=virtual_path.MODEL, every_hop=True)
    begin = asyncio.get_running_loop().time()
    result = await verify(wanted)
    assert asyncio.get_running_loop().time() - begin <= wanted.longest + 0.1
    assert result.verdict is not Verdict.STREAMING
    assert f"after {wanted.longest:.0f} s" in result.message or result.verdict is Verdict.TTFT_EXCEEDED


def late_once(seconds: float) -> Callable[[Bytes], Bytes]:
    """The first request of all waits so long, for what is compiled then."""
    requests = 0

    async def relay(answer: Bytes) -> AsyncIterator[bytes]:
        nonlocal requests
        requests += 1
        if requests == 1:
            await asyncio.sleep(seconds)
        async for data in answer:
            yield data

    return relay


async def test_healthy_endpoint_at_the_limit_of_its_time_outs_is_verified(ports: Ports) -> None:
    """The first token after 290 of 300 s, then 64 tokens in 270 s, for both encodings: nothing of it is lost."""
    port = ports.listen(Edge(Engine("--inter-token-latency", "4200"), late_once(290.0)))
    begin = asyncio.get_running_loop().time()
    result = await verify(asked(port))
    assert asyncio.get_running_loop().time() - begin > 290 + 2 * 63 * 4.2
    assert result.verdict is Verdict.STREAMING, result.message


async def test_slots_go_to_the_namespace_that_holds_fewest() -> None:
    """Whoever waits gets the next free slot in the order of held slots, then of waiting; nobody is passed over."""
    slots, order, leave = Slots(4), [], asyncio.Event()

    async def hold(namespace: str, number: int, until: asyncio.Event) -> None:
        async with slots.slot(namespace):
            order.append(f"{namespace}{number}")
            await until.wait()

    tasks = [asyncio.create_task(hold("a", number, leave)) for number in range(6)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["a0", "a1", "a2"]  # a quarter of four slots is for others
    tasks += [asyncio.create_task(hold("b", number, leave)) for number in range(2)]
    await asyncio.sleep(1)
    assert order[3:] == ["b0"]
    tasks[5].cancel()  # one that waits leaves the queue
    tasks[0].cancel()  # one that holds gives its slot back
    await asyncio.sleep(1)
    assert order[4:] == []  # the free slot is for a namespace that holds none
    tasks.append(asyncio.create_task(hold("c", 0, leave)))
    await asyncio.sleep(1)
    assert order[4:] == ["c0"]
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(order[5:]) == ["a3", "a4", "b1"]
    async with asyncio.timeout(1):
        async with slots.slot("a"), slots.slot("a"), slots.slot("a"), slots.slot("d"):
            pass  # every slot came back


async def test_a_single_namespace_has_most_slots_and_one_slot_is_for_everybody() -> None:
    """Twelve of sixteen; with one slot alone nothing is kept back."""
    for count, most in ((16, 12), (2, 2), (1, 1)):
        slots, held = Slots(count), 0

        async def hold(slots: Slots = slots) -> None:
            nonlocal held
            async with slots.slot("a"):
                held += 1
                await asyncio.Event().wait()

        tasks = [asyncio.create_task(hold()) for _ in range(20)]
        await asyncio.sleep(1)
        assert held == most
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
