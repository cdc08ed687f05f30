"""The engine: a queue, so many places, and one paced task a sequence. Knows nothing of HTTP.

A sequence grows whether or not its reader keeps up, as in vLLM; a late reader finds several tokens at once.
"""

import asyncio
import enum
import random
from dataclasses import dataclass, field

from .knobs import Knobs
from .metrics import EngineMetrics


def now() -> float:
    """Seconds of the event loop's clock: the monotonic one, unless a test moves it."""
    return asyncio.get_running_loop().time()


class Ending(enum.Enum):
    """How a sequence ended; the first five are vLLM's finish reasons, the last two exist for faults only."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"
    ERROR = "error"
    DEAD = "dead"
    BROKEN_OFF = "broken off"
    CUT = "cut"


@dataclass
class Sequence:
    """One request in the engine. Times are seconds of the loop's clock, 0 when not reached."""

    prompt_tokens: int
    max_tokens: int
    ignore_eos: bool
    knobs: Knobs
    arrived: float = field(default_factory=now)
    scheduled: float = 0.0
    first: float = 0.0
    last: float = 0.0
    produced: int = 0
    ending: Ending | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def length(self) -> tuple[int, Ending]:
        """How many tokens it would make undisturbed, and why it would end there."""
        eos = self.knobs.eos_after_tokens
        if eos >= 0 and eos < self.max_tokens and not self.ignore_eos:
            return max(eos, 1), Ending.STOP
        return self.max_tokens, Ending.LENGTH

    async def progress(self, tokens: int, within: float | None) -> bool:
        """Wait for `tokens` tokens or the end; False when `within` seconds pass without either."""
        try:
            async with asyncio.timeout(within):
                while self.produced < tokens and self.ending is None:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return False
        return True

    def timings(self) -> dict[str, object]:
        """vLLM's `metrics` object, from what has happened so far: milliseconds; no mean for one token."""
        first, generation = self.first - self.scheduled, self.last - self.first
        metrics: dict[str, object] = {
            "time_to_first_token_ms": first * 1000 if self.produced else None,
            "generation_time_ms": generation * 1000 if self.produced else None,
            "queue_time_ms": (self.scheduled - self.arrived) * 1000 if self.scheduled else None,
            "mean_itl_ms": generation * 1000 / (self.produced - 1) if self.produced > 1 else None,
            "tokens_per_second": self.produced / (first + generation) if self.produced else None,
        }
        return {name: value for name, value in metrics.items() if value is not None}

    def grow(self) -> None:
        self.last = now()
        self.first = self.first or self.last
        self.produced += 1

    def end(self, ending: Ending) -> None:
        self.ending = self.ending or ending
        self.changed.set()


class Engine:
    """Places for `max_num_seqs` sequences at a time; the rest wait in order of arrival."""

    def __init__(self, max_num_seqs: int, metrics: EngineMetrics, seed: int) -> None:
        self.dead = asyncio.Event()
        self.closed = False
        self._metrics, self._dice = metrics, random.Random(seed)
        self._places = asyncio.Semaphore(max_num_seqs)
        self._tasks: dict[int, tuple[Sequence, asyncio.Task[None]]] = {}

    def running_count(self) -> int:
        return sum(1 for sequence, _ in self._tasks.values() if sequence.scheduled)

    def waiting_count(self) -> int:
        return len(self._tasks) - self.running_count()

    def cache_usage(self) -> float:
        tokens = sum(s.prompt_tokens + s.produced for s, _ in self._tasks.values() if s.scheduled)
        return min(1.0, tokens / 2**21)

    def add(self, sequence: Sequence) -> None:
        self._metrics.counters["prefix_cache_queries"].inc(sequence.prompt_tokens)
        self._tasks[id(sequence)] = sequence, asyncio.create_task(self._run(sequence))

    def drop(self, sequence: Sequence) -> None:
        """The reader is gone: the place is free at once, and no metric of a finished request is written."""
        if entry := self._tasks.get(id(sequence)):
            entry[1].cancel()

    def abort_all(self) -> None:
        """SIGTERM without a drain: every sequence ends now, with `abort`."""
        for sequence, task in list(self._tasks.values()):
            self._finish(sequence, Ending.ABORT)
            task.cancel()

    def freeze(self) -> None:
        """A drain that ran out: the engine is killed and the streams get no end."""
        for _, task in list(self._tasks.values()):
            task.cancel()

    async def emptied(self, within: float) -> bool:
        """Wait for all that runs and waits; False when `within` seconds were not enough."""
        tasks = [task for _, task in self._tasks.values()]
        return not tasks or not (await asyncio.wait(tasks, timeout=within))[1]

    async def _run(self, sequence: Sequence) -> None:
        try:
            async with self._places:
                sequence.scheduled = now()
                self._finish(sequence, await self._generate(sequence))
        finally:
            self._tasks.pop(id(sequence), None)

    async def _generate(self, sequence: Sequence) -> Ending:
        length, ending = sequence.length()
        while True:
            if (fault := await self._fault(sequence)) is not None:
                return fault
            await asyncio.sleep(self._pause(sequence))
            before = sequence.last
            sequence.grow()
            self._count_token(sequence, before)
            if sequence.produced >= length:
                return ending
            sequence.changed.set()

    async def _fault(self, sequence: Sequence) -> Ending | None:
        """The fault that is due before the next token; a hang never returns, a silence returns late."""
        knobs, made = sequence.knobs, sequence.produced
        if made == knobs.hang_after_tokens:
            await asyncio.Event().wait()
        if made == knobs.silence_after_tokens:
            await asyncio.sleep(knobs.silence_seconds)
        if made == knobs.die_after_tokens:
            self._die()
            return Ending.DEAD
        due = {
            knobs.error_after_tokens: Ending.ERROR,
            knobs.stop_after_tokens: Ending.BROKEN_OFF,
            knobs.cut_after_tokens: Ending.CUT,
        }
        return due.get(made)

    def _die(self) -> None:
        self.dead.set()
        for sequence, task in list(self._tasks.values()):
            sequence.end(Ending.DEAD)
            if task is not asyncio.current_task():
                task.cancel()

    def _pause(self, sequence: Sequence) -> float:
        knobs = sequence.knobs
        if sequence.produced == 0:
            mean, deviation = knobs.time_to_first_token, knobs.time_to_first_token_std_dev
        else:
            mean, deviation = knobs.inter_token_latency, knobs.inter_token_latency_std_dev
        return max(0.0, self._dice.gauss(mean, deviation) if deviation else mean) / 1000

    def _count_token(self, sequence: Sequence, before: float) -> None:
        metrics = self._metrics
        metrics.counters["generation_tokens"].inc()
        if before:
            metrics.inter_token.observe(sequence.last - before)
            metrics.iteration.observe(1)
            return
        metrics.counters["prompt_tokens"].inc(sequence.prompt_tokens)
        metrics.by_source["local_compute"].inc(sequence.prompt_tokens)
        metrics.time_to_first_token.observe(sequence.last - sequence.arrived)
        metrics.iteration.observe(sequence.prompt_tokens + 1)

    def _finish(self, sequence: Sequence, ending: Ending) -> None:
        sequence.end(ending)
        metrics, moment = self._metrics, now()
        if ending.value not in metrics.finished:
            return
        metrics.finished[ending.value].inc()
        scheduled, first = sequence.scheduled or moment, sequence.first or moment
        last = sequence.last or moment
        metrics.end_to_end.observe(moment - sequence.arrived)
        metrics.queue.observe(scheduled - sequence.arrived)
        metrics.inference.observe(last - scheduled)
        metrics.prefill.observe(first - scheduled)
        metrics.decode.observe(last - first)
        metrics.per_token.observe((last - first) / max(1, sequence.produced - 1))
        metrics.prompt_length.observe(sequence.prompt_tokens)
        metrics.answer_length.observe(sequence.produced)
        metrics.asked_length.observe(sequence.max_tokens)
