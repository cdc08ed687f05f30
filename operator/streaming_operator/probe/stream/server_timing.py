"""
The server's own timing of a request, in the shapes of the servers that give one. Pure.

* vLLM: `metrics` (--enable-per-request-metrics), in milliseconds.
* llama.cpp: `timings`, in milliseconds. `predicted_ms` is from the first sampled token to the last, `prompt_ms` what
  came before it without the wait for a slot.
* Groq: `x_groq.usage` of the last chunk, or `usage` itself; Cerebras: `time_info`. Both have `queue_time`,
  `prompt_time` and `completion_time` in seconds, the last for all tokens, the first one among them.

TGI's and SGLang's streams for OpenAI's clients have none, counts of tokens alone: TGI's times are headers of whole
answers, SGLang's are in its own API. Ollama's are in its own API too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

LARGEST = 1e9
"""Tokens or milliseconds (twelve days) that no response reaches: numbers in JSON are unbounded."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """The server's own timing of this request, in milliseconds."""

    generation: float
    """First to last token, by the server's clock."""
    queue: float | None = None
    first_token: float | None = None
    mean_gap: float | None = None


def timing_of(event: Mapping[str, object]) -> Metrics | None:
    """The timing in the last event of a response; None where it has none."""
    if isinstance(vllm := event.get("metrics"), Mapping):
        return _of(vllm, "generation_time_ms", "queue_time_ms", "time_to_first_token_ms", "mean_itl_ms")
    if isinstance(llama := event.get("timings"), Mapping):
        return _of(llama, "predicted_ms", None, "prompt_ms")
    groq = event.get("x_groq")
    usages = (
        groq.get("usage") if isinstance(groq, Mapping) else None,
        event.get("usage"),
        event.get("time_info"),
    )
    for times in usages:
        if isinstance(times, Mapping) and "completion_time" in times:
            return _of(times, "completion_time", "queue_time", "prompt_time", scale=1000.0)
    return None


def _of(
    times: Mapping[str, object],
    generation: str,
    queue: str | None,
    first_token: str,
    mean_gap: str | None = None,
    *,
    scale: float = 1.0,
) -> Metrics | None:
    """The fields of these names in milliseconds; None without the time of generation."""

    def number(name: str | None) -> float | None:
        value = times.get(name) if name else None
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return float(value) * scale if 0 <= value < LARGEST / scale else None  # excludes NaN

    generated = number(generation)
    return (
        None
        if generated is None
        else Metrics(generated, number(queue), number(first_token), number(mean_gap))
    )
