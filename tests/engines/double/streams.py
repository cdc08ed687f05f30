"""A sequence of the engine turned into events, in vLLM's order and framing: one event, one write."""

import random
from collections.abc import AsyncIterator

from . import wire
from .asked import Asked
from .engine import Ending, Sequence
from .wire import Answer, Json

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SAID = (Ending.STOP, Ending.LENGTH, Ending.ABORT)
"""The endings that a client sees as a finish reason."""
FAILED = {Ending.ERROR: "Internal server error", Ending.DEAD: wire.ENGINE_DEAD}


async def events(
    sequence: Sequence, asked: Asked, answer: Answer, metrics: bool, keep_alive: float | None
) -> AsyncIterator[bytes]:
    """The body of a streamed answer; `keep_alive` is the longest silence in seconds, None for any."""
    sent, opened = 0, False
    while True:
        needed = sent + (asked.stream_interval if sent else 1)
        if not await sequence.progress(needed, keep_alive):
            yield wire.KEEP_ALIVE
            continue
        made, ending = sequence.produced, sequence.ending
        finish = ending.value if ending in SAID else None
        if answer.chat and not opened and (made or finish):
            opened = True
            yield wire.event(answer.role(_running(answer, asked, 0)))
        if made > sent or finish:
            last = finish is not None and not asked.include_usage
            words = text(asked, sent, made)
            yield wire.event(answer.chunk(words, finish, _running(answer, asked, made), last))
            sent = made
        if ending is not None:
            break
    if ending in (Ending.BROKEN_OFF, Ending.CUT):
        return
    if ending in FAILED:
        yield wire.error_event(FAILED[ending])
    elif asked.include_usage:
        yield wire.event(answer.usage_chunk(sent, sequence.timings() if metrics else None))
    yield wire.DONE


def text(asked: Asked, start: int, end: int) -> str:
    """Tokens `start` to `end`: two or so letters each, the same for a seed; or the prompt's words again."""
    if asked.knobs.mode == "echo":
        words = asked.prompt.split() or ["echo"]
        return "".join(words[index % len(words)] + " " for index in range(start, end))
    return "".join(_token(asked.knobs.seed, index) for index in range(start, end))


def _token(seed: int, index: int) -> str:
    dice = random.Random(seed * 1_000_003 + index)
    return "".join(dice.choices(LETTERS, k=dice.choice((1, 2, 2, 2, 3))))


def _running(answer: Answer, asked: Asked, tokens: int) -> Json | None:
    return answer.running_usage(tokens) if asked.continuous_usage else None
