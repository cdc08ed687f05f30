"""
The values of judging: the attempt that is judged, the symptom, the finding.

Values only; the rules are in `verdict`, `terminations` and `http_errors`, the advice in `remedies`.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe.http.response import NoResponse
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.values import Remark


class Symptom(StrEnum):
    """Finer than the verdict: the key of the table of remedies."""

    FINE = "fine"
    CONTENT_LENGTH = "length known beforehand"
    NOT_A_STREAM = "one JSON answer"
    GZIP_BLOCK = "one gzip block"
    BLOCK = "one block"
    ONE_EVENT = "all text in one event"
    SIZED_BURSTS = "bursts of a buffer's size"
    TIMED_BURSTS = "bursts of a timer"
    BURSTS = "bursts of a hop or of the engine"
    HELD_HEAD = "beginning held back"
    BUNDLED = "several tokens an event"
    CUT = "cut"
    TOTAL_CUT = "cut at an age"
    HANGS = "hangs"
    IDLE_CUT = "cut after silence"
    IN_STREAM = "error event"
    NO_DONE = "no end marker"
    ABORTED = "aborted"
    NO_REASON = "no finish reason"
    UNKNOWN_REASON = "unknown finish reason"
    NO_TOKEN = "no first token"  # noqa: S105 - words, not a secret
    KEPT_WAITING = "kept alive without a token"
    LATE_FIRST = "late first token"
    LONG_GAP = "long pause"
    KEY_MISSING = "no key sent"
    KEY_REFUSED = "key refused"
    KEY_BROKEN = "key not sendable"
    CERTIFICATE = "certificate"
    HANDSHAKE = "handshake"
    PLAIN_HTTP = "no TLS where TLS is spoken"
    NAME = "name"
    FORBIDDEN_ADDRESS = "address not allowed"
    NO_CONNECTION = "no connection"
    PROXY = "the HTTP proxy makes no connection"
    CLIENT_CERTIFICATE = "client certificate"
    NO_ROUTE = "no route"
    REDIRECT = "redirect"
    WRONG_PATH = "wrong path"
    UNKNOWN_MODEL = "unknown model"
    BAD_REQUEST = "refused request"
    TOO_BIG = "request too large"
    BAD_GATEWAY = "bad gateway"
    GATEWAY_TIMEOUT = "gateway timeout"
    UNAVAILABLE = "unavailable"
    KEPT_CONNECTION = "kept connection closed"
    BUSY = "busy"
    LIMITED = "limited by the edge"
    UNCLEAR = "unclear"
    TOO_LARGE = "response too large"
    UNREADABLE = "body that cannot be read"
    HTTP2_ONLY = "speaks HTTP/2 alone"
    LOGIN = "login page"
    CHALLENGE = "bot protection"
    NO_MODEL_LIST = "no list of models"
    OPEN = "answers without the key"
    WRONG_MODEL = "another model"
    LEFT_RUNNING = "goes on without its client"


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
