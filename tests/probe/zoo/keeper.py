"""Runs cases of the zoo, a few at a time, and keeps what the probe said of each."""

import asyncio
import contextlib
import http.client
import itertools
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from streaming_operator import routes
from streaming_operator.api.reasons import Hop
from streaming_operator.probe.http.connection import Target
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import CHAT_PATH, ApiKey, Request
from streaming_operator.probe.judge.remedies import TABLE, Names, Row
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.probe.verification import Plan, verify
from streaming_operator.values import ProbeResult
from tests.engines.running import MODEL, free_port
from tests.probe.certificates import Authority, authority
from tests.probe.conftest import Engines
from tests.probe.packages import Missing
from tests.probe.proxies import Proxy
from tests.probe.zoo.cases import Case
from tests.probe.zoo.running import Running, Setup

AT_ONCE = 6
ATTEMPTS = 4
"""Of a case, while this machine is late: some faults differ from none by a timer of 100 ms."""
LATE = 0.05
"""Seconds after which a sleeping process that may run again is late."""
NAMES = {
    "ours": Names("llm", "llm-key", "ingress-nginx", "IngressClass nginx", "llm.example"),
    "generic": Names("llm", "llm-key", "generic", "IngressClass other", "llm.example"),
    "url": Names(),
} | {
    route.name: Names(
        "llm",
        "llm-key",
        route.profile,
        "IngressClass other" if "ingress" in route.controllers else "Gateway other",
        "llm.example",
    )
    for route in routes.registry().values()
    if route.profile != routes.GENERIC
}
"""What the probe knows of the path, by `Case.known`."""
RELOAD_AGES = (0.9, 0.3, 1.5, 0.6, 1.8, 1.2)
"""
Of the streams of one verification, in seconds, at which the proxy is reloaded: uneven, as changes come, and none as
another, which would look like a limit on the whole request.
"""


@dataclass(frozen=True)
class Outcome:
    """What came of a case: what the probe said, or why it could not be asked."""

    result: ProbeResult | None = None
    missing: str = ""
    broken: str = ""


def row(case: Case) -> Row | None:
    """The row of remedies that a case expects."""
    return TABLE[case.scope, case.symptom] if case.scope is not None else None


def is_as_expected(case: Case, result: ProbeResult) -> bool:
    """Whether the probe said what the table expects: the verdict, the hop to blame, the advice and the proxy."""
    advised = row(case)
    advice = f". Remedy: {advised.sentence(NAMES[case.known])}" if advised else ""
    return (
        (result.verdict, result.hop) == (case.expected, case.hop)
        and result.message.endswith(advice)
        and ("Remedy" in result.message) == bool(advised)
        and case.fingerprint in result.message
    )


class Keeper:
    """Owns the certificates and the folder of one run."""

    def __init__(self, engines: Engines, folder: Path, tell: Callable[[str], None]) -> None:
        self._engines, self._folder, self._tell = engines, folder, tell
        self._authority: Authority = authority("zoo")
        self._authority.serve("llm.example", folder)
        self._certificate = folder / "llm.example.pem"

    async def run(self, cases: Sequence[Case]) -> dict[str, Outcome]:
        """Every case, AT_ONCE at a time; nothing is raised."""
        places = asyncio.Semaphore(AT_ONCE)
        for case in cases:
            self._engine(case)
        done = 0

        async def one(number: int, case: Case) -> tuple[str, Outcome]:
            nonlocal done
            async with places:
                outcome = await self._outcome(case, self._folder / str(number))
            done += 1
            if done % 20 == 0 or done == len(cases):
                self._tell(f"zoo: {done} of {len(cases)} cases")
            return case.name, outcome

        return dict(await asyncio.gather(*(one(number, case) for number, case in enumerate(cases))))

    def _engine(self, case: Case) -> int:
        return self._engines(*case.engine, metrics=case.metrics).port

    async def _outcome(self, case: Case, folder: Path) -> Outcome:
        try:
            path = _Path(case, self._engine(case), folder, self._certificate)
            # Starting and stopping wait for processes; the loop belongs to the other cases' probes.
            await asyncio.to_thread(path.open)
            try:
                return Outcome(await self._verified(case, path))
            finally:
                await asyncio.to_thread(path.close)
        except Missing as missing:
            return Outcome(missing=str(missing))
        except (OSError, RuntimeError) as error:
            return Outcome(broken=f"{type(error).__name__}: {error}")

    async def _verified(self, case: Case, path: "_Path") -> ProbeResult:
        """What the probe says, asked again where it is not what is expected and this machine was late meanwhile."""
        for _ in range(ATTEMPTS):
            if case.used_up:
                await asyncio.to_thread(_ask_once, path.ports[Hop.EXPOSURE])
            async with _watched() as lateness:
                result = await verify(self._plan(case, path))
            if is_as_expected(case, result) or max(lateness) < LATE:
                break
        return result

    def _plan(self, case: Case, path: "_Path") -> Plan:
        targets = [Target(hop, "127.0.0.1", port) for hop, port in path.ports.items()]
        edge = replace(
            targets[-1],
            scheme="https" if case.https else "http",
            host=case.host,
            http2=case.http2,
            ca=self._authority.pem if case.trusted and case.https else None,
            address=case.address or "127.0.0.1",
        )
        inner = [] if case.known == "url" or case.alone else targets[:-1]
        plan = Plan(
            (*inner, edge),
            case.model or MODEL,
            names=NAMES[case.known],
            key=ApiKey(case.key) if case.key else None,
            start_tokens=case.tokens,
            max_ttft=case.max_ttft,
            max_gap=case.max_gap,
            limits=case.limits,
            guard=Guard(local=not case.address),
        )
        if not case.reloads:
            return plan
        reloads = path.reloads()
        return replace(plan, on_read=reloads.on_read, on_exchange=reloads.on_exchange)


def _ask_once(port: int) -> None:
    """One request of somebody else, read to its end."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "x"}], "max_tokens": 1})
    client.request("POST", CHAT_PATH, body, {"Content-Type": "application/json"})
    client.getresponse().read()
    client.close()


@asynccontextmanager
async def _watched() -> AsyncIterator[list[float]]:
    """By how many seconds the loop is late, again and again for as long as the block lasts."""
    lateness = [0.0]
    clock = asyncio.get_running_loop().time

    async def watch() -> None:
        while True:
            due = clock() + LATE / 5
            await asyncio.sleep(LATE / 5)
            lateness.append(clock() - due)

    watching = asyncio.create_task(watch())
    try:
        yield lateness
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


class Reloads:
    """Reloads a proxy once in each stream through it, at another age each time."""

    def __init__(self, reload: Callable[[], object]) -> None:
        self._reload, self._ages = reload, itertools.cycle(RELOAD_AGES)
        self._last, self._due = math.inf, math.inf

    def on_exchange(self, request: Request, timeline: Timeline) -> None:
        """`Plan.on_exchange`: what is read next is of another stream, however late its first read is."""
        self._last = math.inf

    def on_read(self, hop: Hop, at: float, size: int) -> None:
        """`Plan.on_read`; streams come one after the other."""
        if hop is not Hop.EXPOSURE:
            return
        if at < self._last:
            self._due = next(self._ages)
        self._last = at
        if at >= self._due:
            self._due = math.inf
            self._reload()


class _Path:
    """The chain of one case, from the engine outwards; `ports` by hop."""

    def __init__(self, case: Case, engine: int, folder: Path, certificate: Path) -> None:
        self._case, self._folder, self._certificate = case, folder, certificate
        self._stack = ExitStack()
        self.ports: dict[Hop, int] = {Hop.POD: engine}
        self._edge: Running | None = None

    def open(self) -> None:
        """Start what the case needs."""
        case = self._case
        try:
            if case.gone:
                self.ports[Hop.POD] = free_port()
            elif isinstance(case.pod, Setup):
                self.ports[Hop.POD] = self._start(case.pod, "pod").port
            elif case.pod is not None:
                self.ports[Hop.POD] = self._stack.enter_context(Proxy(self._nearest(), case.pod)).port
            if case.service is not None:
                self.ports[Hop.SERVICE] = self._start(case.service, "service").port
            if case.edge is None:
                self.ports[Hop.EXPOSURE] = free_port()
            elif isinstance(case.edge, Setup):
                self._edge = self._start(case.edge, "edge")
                self.ports[Hop.EXPOSURE] = self._edge.port
            else:
                self.ports[Hop.EXPOSURE] = self._stack.enter_context(Proxy(self._nearest(), case.edge)).port
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Stop it again."""
        self._stack.close()

    def reloads(self) -> Reloads:
        """Those of one verification."""
        assert self._edge is not None, "only a proxy of its own is reloaded"
        return Reloads(self._edge.reload)

    def _nearest(self) -> int:
        return list(self.ports.values())[-1]

    def _start(self, setup: Setup, name: str) -> Running:
        return self._stack.enter_context(
            Running(setup, self._nearest(), self._folder / name, self._certificate)
        )
