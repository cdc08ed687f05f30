"""What makes the double slow or broken on purpose: read from flags, environment, headers or the request body.

Names are llm-d-inference-sim's where it has one. A later source wins: default, `DOUBLE_<KNOB>`, `--<knob>`,
`X-Double-<Knob>` header, `vllm_double` object of the JSON body. Must not know how a fault is carried out.
"""

import dataclasses
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Text = Mapping[str, str]


@dataclass(frozen=True)
class Knobs:
    """The behaviour of one request. Counts of tokens: -1 means never; 0 means before the first token."""

    time_to_first_token: float = 30.0
    """Milliseconds from leaving the queue to the first token."""
    time_to_first_token_std_dev: float = 0.0
    inter_token_latency: float = 10.0
    """Milliseconds between tokens; the tiny real model on CPU takes 10 to 20."""
    inter_token_latency_std_dev: float = 0.0
    eos_after_tokens: int = -1
    """End with finish_reason `stop` after so many tokens, unless `ignore_eos`."""
    error_after_tokens: int = -1
    """An error event, then [DONE], on an HTTP answer that was 200."""
    die_after_tokens: int = -1
    """The engine process dies: the error event it gives, health 503, then the server exits with 0."""
    stop_after_tokens: int = -1
    """The stream ends cleanly without finish reason and without [DONE]."""
    cut_after_tokens: int = -1
    """The connection is reset."""
    hang_after_tokens: int = -1
    """No token ever again; health stays 200 and the request stays running."""
    silence_after_tokens: int = -1
    """A gap of `silence_seconds`, then the stream goes on."""
    silence_seconds: float = 70.0
    http_status: int = 0
    """Refuse with this status before the stream begins."""
    failure_injection_rate: float = 100.0
    """Per cent of the requests that get the faults above."""
    full_buffer: bool = False
    """Make the whole stream before sending any of it, as VLLM_DEBUG_LOG_API_SERVER_RESPONSE does."""
    close_delimited: bool = False
    """Answer a stream un-chunked and end it by closing: what an HTTP/1.0 style upstream does."""
    lose_abort: bool = False
    """At SIGTERM without a drain the engine is killed before the streams have ended: they hang. The real server
    sends its engine SIGTERM and SIGKILL back to back, and on a busy machine the second one wins."""
    mode: str = "random"
    """`random` text, or `echo` of the prompt."""
    seed: int = 0

    def updated(self, given: Text) -> "Knobs":
        """These knobs with those of `given` (by dashed name) read over them; ValueError for a bad value."""
        changes: dict[str, Any] = {
            name: _parse(kind, given[dashed]) for dashed, name, kind in FIELDS if dashed in given
        }
        return dataclasses.replace(self, **changes) if changes else self

    def without_faults(self) -> "Knobs":
        never: dict[str, Any] = dict.fromkeys(FAULTS, -1)
        return dataclasses.replace(self, http_status=0, **never)

    def drawn(self, dice: random.Random) -> "Knobs":
        """These knobs for one request: a request that escapes the failure rate keeps only its pace."""
        lucky = dice.uniform(0, 100) >= self.failure_injection_rate
        return self.without_faults() if lucky else self


FAULTS = (
    "error_after_tokens",
    "die_after_tokens",
    "stop_after_tokens",
    "cut_after_tokens",
    "hang_after_tokens",
    "silence_after_tokens",
)

FIELDS: tuple[tuple[str, str, type], ...] = tuple(
    (field.name.replace("_", "-"), field.name, type(field.default)) for field in dataclasses.fields(Knobs)
)


def _parse(kind: type, text: str) -> object:
    if kind is bool:
        return text.strip().lower() in ("1", "true", "yes", "on", "")
    return kind(text)


def from_environment(environment: Text) -> dict[str, str]:
    names = [(dashed, "DOUBLE_" + name.upper()) for dashed, name, _ in FIELDS]
    return {dashed: environment[variable] for dashed, variable in names if variable in environment}


def from_request(headers: Text, body: Mapping[str, object]) -> dict[str, str]:
    """The knobs one request carries; `headers` must look up without regard to case."""
    given = {
        dashed: headers["x-double-" + dashed] for dashed, _, _ in FIELDS if "x-double-" + dashed in headers
    }
    inline = body.get("vllm_double")
    if isinstance(inline, Mapping):
        given |= {str(name).replace("_", "-"): str(value) for name, value in inline.items()}
    return given
