"""
The control of one verification: a stream of the hop next to the engine, with which those of other hops are compared.

One that the probe came late to says nothing and is asked again. An engine may also be slow just while it makes one;
then every stream beside it looks as if its beginning had been held back, so such a verdict needs a second control.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.attempts import Attempts
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.request import Encoding
from streaming_operator.probe.judge.finding import Finding, Needs
from streaming_operator.probe.judge.lateness import is_in_time
from streaming_operator.probe.judge.numbers import pace
from streaming_operator.probe.judge.verdict import can_compare
from streaming_operator.probe.stream.timeline import Timeline

MOST = 4
"""Streams requested as controls in one verification: two that count, and two to which the probe came late."""
_BY_PACE = (Symptom.BLOCK, Symptom.GZIP_BLOCK, Symptom.HELD_HEAD)
"""Of findings that a slow control would be the reason of."""


class Control:
    """Asks *target*, the innermost hop, when a control is first needed; never without such a hop."""

    def __init__(self, attempts: Attempts, target: connection.Target | None) -> None:
        self._attempts, self._target = attempts, target
        self._timeline: Timeline | None = None
        self._left = MOST
        self._confirmed = False

    async def compare(
        self,
        finding: Finding,
        judge: Callable[..., Finding],
        encoding: Encoding,
        tokens: int,
    ) -> tuple[Finding, Timeline | None]:
        """
        What *judge* finds with a control (`control=`), and that control; the given *finding* where there is none. A
        verdict by the control's pace stands if a second one confirms it: the faster of both counts.
        """
        if self._timeline is None:
            self._timeline = await self._ask(encoding, tokens)
        if self._timeline is None:
            return finding, None
        found = await connection.off_loop(partial(judge, control=self._timeline))
        if found.symptom not in _BY_PACE or self._confirmed:
            return found, self._timeline
        second = await self._ask(encoding, tokens)
        if second is None:
            evidence = f"{found.evidence}; no second stream of the pod confirms it"
            unclear = replace(
                found, verdict=Verdict.INCONCLUSIVE, symptom=Symptom.UNCLEAR, needs=Needs.NOTHING
            )
            return replace(unclear, evidence=evidence), None
        self._confirmed = True
        if pace(second.of_text) < pace(self._timeline.of_text):
            self._timeline = second
            found = await connection.off_loop(partial(judge, control=second))
        return found, self._timeline

    async def _ask(self, encoding: Encoding, tokens: int) -> Timeline | None:
        """A complete stream without a fault of its own; None where there is none."""
        while self._target is not None and self._left > 0:
            self._left -= 1
            t = (await self._attempts.ask(self._target, encoding, tokens)).timeline
            if t is not None and t.done:
                if await connection.off_loop(partial(can_compare, t)):
                    return t
                if not is_in_time(t):
                    continue
            self._left = 0
        return None
