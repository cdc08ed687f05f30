"""
The control of one verification: a stream of the hop next to the engine, with which those of other hops are compared.

One that the probe came late to says nothing and is asked again. An engine may also be slow just while it makes one;
then every stream beside it looks as if its beginning had been held back, so such a verdict needs a second control.
"""

from functools import partial

from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.attempts import Attempts
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.request import Encoding
from streaming_operator.probe.judge.finding import Finding
from streaming_operator.probe.judge.lateness import is_in_time
from streaming_operator.probe.judge.verdict import can_compare
from streaming_operator.probe.stream.timeline import Timeline

CONTROLS = 3
"""Most streams requested as a control: the probe may come late to one of them, which says nothing of the hop."""
_BY_PACE = (Symptom.BLOCK, Symptom.GZIP_BLOCK, Symptom.HELD_HEAD)
"""Of findings that a slow control would be the reason of."""


class Control:
    """Asks *target*, the innermost hop, when a control is first needed; None without such a hop."""

    def __init__(self, attempts: Attempts, target: connection.Target | None) -> None:
        self._attempts, self._target = attempts, target
        self._timeline: Timeline | None = None
        self._left = CONTROLS if target is not None else 0
        self._confirmed = False

    async def get(self, encoding: Encoding, tokens: int) -> Timeline | None:
        """A complete stream; None where there is none or it has a fault itself."""
        if self._timeline is None:
            self._timeline = await self._ask(encoding, tokens)
        return self._timeline

    async def confirmed(self, finding: Finding, encoding: Encoding, tokens: int) -> Timeline | None:
        """A second control, where the pace of the first gave *finding*; None where the first is the faster one."""
        first = self._timeline
        if first is None or self._confirmed or finding.symptom not in _BY_PACE:
            return None
        self._confirmed, self._left = True, CONTROLS
        second = await self._ask(encoding, tokens)
        if second is None or _seconds_per_token(second) >= _seconds_per_token(first):
            return None
        self._timeline = second
        return second

    async def _ask(self, encoding: Encoding, tokens: int) -> Timeline | None:
        while self._target is not None and self._left > 0:
            t = (await self._attempts.ask(self._target, encoding, tokens)).timeline
            if t is None or not t.done:
                self._left = 0
            elif await connection.off_loop(partial(can_compare, t)):
                return t
            else:
                self._left -= 1 if not is_in_time(t) else CONTROLS
        return None


def _seconds_per_token(t: Timeline) -> float:
    return t.spread / max((t.tokens or t.events) - 1, 1)
