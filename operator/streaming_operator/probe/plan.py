"""
The plan of one verification: a value with everything that it needs. `endpoint_plan` makes one for an endpoint.
"""

import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from streaming_operator.api.reasons import Hop
from streaming_operator.api.verification import Checks
from streaming_operator.probe.gauges import Gauges
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import PROMPT, USUAL, Api, ApiKey, Encoding, Request, Wording
from streaming_operator.probe.judge.finding import Finding
from streaming_operator.probe.judge.remedies import Names
from streaming_operator.probe.stream.timeline import Timeline

REPLICA_CONCURRENCY = 4
"""Pods asked at the same time by `checks.perReplica`; each is an engine of its own."""


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
class Further:
    """What users may ask for besides the model at its first host: an adapter by its name, another host."""

    label: str
    """What it is, for evidence: `adapter sql`."""
    model: str
    target: connection.Target


@dataclass(frozen=True, slots=True)
class Plan:
    """What to verify, and what the result will refer to."""

    targets: tuple[connection.Target, ...]
    """At most one a hop, in any order; the verdict is that of the outermost."""
    model: str
    source: str | None = None
    """What the engine was configured to load, as its list of models must name it; None: that is not checked."""
    names: Names = field(default_factory=Names)
    key: ApiKey | None = None
    prompt: str = PROMPT
    api: Api = "chat"
    wording: Wording = USUAL
    """What to ask with first; what was accepted before, where that is known."""
    start_tokens: int = 64
    """max_tokens of the first stream; doubled while the stream is too short for a verdict."""
    cap_tokens: int = 1024
    """The most tokens to ask for: 1,024 or what the model's length leaves."""
    encodings: tuple[Encoding, ...] = ("gzip", "identity")
    """Tried one after the other, the worse verdict counts; a routine verification tries only the first."""
    limits: connection.Limits = field(default_factory=connection.Limits)
    guard: Guard = field(default_factory=Guard)
    pod_template_hash: str = ""
    route_hash: str = ""
    ready_pods: frozenset[str] = frozenset()
    replicas: tuple[Replica, ...] = ()
    """Every ready pod of the newest template: their gauges are read, and `checks.per_replica` asks each."""
    gauges: Gauges | None = None
    """The engine's own metrics; None: the queue is not read and `checks.cancel` is not judged."""
    may_skip: bool = False
    """Send no request while users' requests wait in every replica's queue."""
    checks: Checks = field(default_factory=Checks)
    max_ttft: float | None = None
    """Limit for the first token, in seconds; not judged while every queue is full."""
    max_gap: float | None = None
    """Limit between two tokens, in seconds."""
    quotes: bool = True
    """Whether messages may hold what a server said: its errors, its names, its finish reasons."""
    keep_alive: float = 0.0
    """Interval of the engine's keep-alive comments in seconds; 0 if it sends none."""
    clock: Callable[[], datetime] = _now
    nonce: Callable[[], str] = _nonce
    on_stream: Callable[[Hop, Encoding, int, Finding], None] = lambda hop, encoding, tokens, finding: None
    """Called after each stream, to show progress."""
    on_wording: Callable[[Wording], None] = lambda wording: None
    """Called when a server refused the first wording and accepted this one."""
    on_exchange: Callable[[Request, Timeline], None] = lambda request, timeline: None
    """Called after each response with its request, to show their heads; secrets are hidden in the response already."""
    on_read: Callable[[Hop, float, int], None] = lambda hop, at, size: None
    """
    Called for each read while it happens: seconds since the request, bytes. It runs in the reader thread, so it must be
    fast and thread-safe.
    """
    every_hop: bool = False
    """Ask the inner hops also when the outermost streams, so that a person can compare them."""
    other_names: tuple[str, ...] = ()
    """Further names of the model, which the engine's list of models must have."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """What each adapter was loaded from, by its name; the engine's list of models must have them."""
    further: tuple["Further", ...] = ()
    """Asked for a stream each, after the outermost hop has streamed."""

    @property
    def secrets(self) -> tuple[ApiKey, ...]:
        """Every text that is sent to one of the targets: an inner hop may show what an outer one was sent."""
        sent = (secret for target in self.targets for secret in target.secrets(self.key))
        return tuple(dict.fromkeys(sent))

    @property
    def longest(self) -> float:
        """
        Seconds after which the whole verification ends with what it has learnt.

        The first token may be late once, for what is compiled then. After it every stream may be as slow as a stream
        may be: one an encoding, one to confirm or to ask for more tokens, one a round of `checks.perReplica`, one an
        adapter or host that is asked too, and with `every_hop` one an inner hop. By default 300 + 3 * 300 s. A healthy
        endpoint at the limit of its own time-outs is done by then; faults at that pace are reported without being
        confirmed. A person's limit is one for each whole stream, its first token included.
        """
        limits = self.limits
        rounds = len(self.encodings) + 1 + (len(self.targets) - 1 if self.every_hop else 0)
        rounds += len(self.further)
        if self.checks.per_replica:
            rounds += math.ceil(len(self.replicas) / REPLICA_CONCURRENCY)
        each = limits.total - limits.first_token if limits.total > limits.first_token else limits.total
        return limits.first_token + rounds * each
