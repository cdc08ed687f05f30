"""
The values of judging: the attempt that is judged, the symptom, the finding.

Values only; the rules are in `verdict`, `terminations` and `http_errors`, the advice in `remedies`.
"""

from dataclasses import dataclass
from enum import Enum

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.http.response import NoResponse
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.values import Remark


class Needs(Enum):
    """What would make a finding certain."""

    NOTHING = "nothing"
    MORE_TOKENS = "more tokens"
    CONTROL = "the same request nearer to the engine"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request at one hop: its timeline, or why there is none."""

    timeline: Timeline | None = None
    cause: NoResponse | None = None
    detail: str = ""
    with_key: bool = False
    asked: int | None = None
    """Tokens that were requested."""
    remarks: tuple[Remark, ...] = ()
    """What was noticed while the request was made; what its response shows is remarked when it is judged."""


@dataclass(frozen=True, slots=True)
class Cut:
    """When a stream was cut off, in seconds: several cuts together distinguish a timeout from an accident."""

    age: float
    """Since the request."""
    silence: float
    """Since the last byte before the cut."""
    events: int
    """Token-bearing events until then."""
    flowing: bool = True
    """Whether the silence before it was no longer than the stream's own pauses."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with its evidence in one sentence."""

    verdict: Verdict
    symptom: Symptom
    evidence: str
    needs: Needs = Needs.NOTHING
    fingerprint: str = ""
    """The proxy that the response seems to come from, a value of `fingerprint.Proxy`; empty if unknown."""
    cut: Cut | None = None
    remarks: tuple[Remark, ...] = ()
    """What else a person should know; it decides nothing."""
