"""
What one verification asks: a value that says everything, so that asking needs nothing else.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from streaming_operator.api.exposure import Checks
from streaming_operator.api.reasons import Hop
from streaming_operator.probe.gauges import Gauges
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import PROMPT, Api, ApiKey, Encoding
from streaming_operator.probe.judge.finding import Finding
from streaming_operator.probe.judge.remedies import Names


def _now() -> datetime:
    return datetime.now(UTC)


def _nonce() -> str:
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Replica:
    """One ready pod."""

    pod: str
    target: connection.Target


@dataclass(frozen=True, slots=True)
class Plan:
    """What to verify and what the result will speak of."""

    targets: tuple[connection.Target, ...]
    """At most one a hop, in any order; the outermost judges."""
    model: str
    names: Names = field(default_factory=Names)
    key: ApiKey | None = None
    prompt: str = PROMPT
    api: Api = "chat"
    start_tokens: int = 64
    """max_tokens of the first stream; doubled while a verdict would be a guess."""
    cap_tokens: int = 1024
    """The most tokens asked for: 1,024 or what the model's length leaves."""
    encodings: tuple[Encoding, ...] = ("gzip", "identity")
    """Asked one after the other, the worse counts; a routine verification asks only the first."""
    limits: connection.Limits = field(default_factory=connection.Limits)
    guard: Guard = field(default_factory=Guard)
    pod_template_hash: str = ""
    route_hash: str = ""
    ready_pods: frozenset[str] = frozenset()
    replicas: tuple[Replica, ...] = ()
    """Every ready pod of the newest template: whose gauges are read, and who is asked by `checks.per_replica`."""
    gauges: Gauges | None = None
    """The engine's own metrics; None: the queue is not looked at and `checks.cancel` is not judged."""
    may_skip: bool = False
    """Ask nothing while requests wait in every replica's queue."""
    checks: Checks = field(default_factory=Checks)
    max_ttft: float | None = None
    """Seconds to the first token that are too many; not judged while every queue is full."""
    max_gap: float | None = None
    """Seconds between two tokens that are too many."""
    keep_alive: float = 0.0
    """Seconds of silence after which the engine promises a comment; 0 for none."""
    clock: Callable[[], datetime] = _now
    nonce: Callable[[], str] = _nonce
    heard: Callable[[Hop, Encoding, int, Finding], None] = lambda hop, encoding, tokens, finding: None
    """Told after each stream, for a person who waits."""
    arrived: Callable[[Hop, float, int], None] = lambda hop, at, size: None
    """
    Told of each read while it happens: seconds since the request, bytes. Called in the thread that reads all, so it
    must be quick and safe to call there.
    """
    every_hop: bool = False
    """Ask the inner hops also when the judging one streams: a person wants to see them side by side."""
