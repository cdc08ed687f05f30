"""
The published form of a report: `--output json` prints it, docs/probe-result.schema.json describes it.

Fields are only ever added; a change of meaning or a removal raises `schemaVersion`. It holds no key, no header
and no query of a URL.
"""

import json
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from streaming_operator.foreign_text import readable

SCHEMA_ID = "https://streamingendpoints.dev/schemas/probe-result.v1.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")

    @field_validator("*", mode="after")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        """Every text is safe to show, so that no form of output has to know who wrote it."""
        return readable(value) if type(value) is str else value


class Arrival(_Part):
    """One read of the answer's bytes from the socket."""

    milliseconds: float = Field(description="Since the last byte of the request was written.")
    bytes: int = Field(description="Raw bytes of this read, HTTP framing included.")
    tokens: int = Field(description="Token-bearing events that this read completed.")


class RemarkReport(_Part):
    """What a person should know about an answer although it decides no verdict."""

    name: str = Field(description="Stable name of its kind; docs/probe.md has them all.")
    observed: str
    advice: str = Field(description="What to do about it.")


class HopReport(_Part):
    """The result of one hop: its last or decisive stream."""

    hop: str = Field(description="URL or Control (--compare); for diagnose Pod, Service, Exposure or Public.")
    address: str = Field(description="Scheme, address and port that were connected to.")
    verdict: str
    evidence: str = Field(description="The observation, in one sentence with its numbers.")
    fingerprint: str = Field(
        default="", description="The proxy that it seems to be, e.g. nginx; empty if unknown."
    )
    note: str = Field(default="", description="What a reader must know about these numbers.")
    remarks: tuple[RemarkReport, ...] = Field(
        default=(), description="What else a person should know about this hop's answer; it decides nothing."
    )
    protocol: str = Field(default="", description="HTTP version of the answer.")
    clock: str = Field(
        default="", description="The clock of the arrivals: kernel (SO_TIMESTAMPNS) or monotonic."
    )
    ttft_milliseconds: float | None = Field(
        default=None, description="From the request's last byte to the first event with text."
    )
    ttft_content_milliseconds: float | None = Field(
        default=None, description="To the first token of the answer itself, after any reasoning."
    )
    ttft_reasoning_milliseconds: float | None = Field(
        default=None, description="To the first token of reasoning; null for a model without."
    )
    p50_gap_milliseconds: float | None = Field(
        default=None, description="Median time between two token-bearing events."
    )
    p95_gap_milliseconds: float | None = None
    p99_gap_milliseconds: float | None = None
    max_gap_milliseconds: float | None = None
    spread_milliseconds: float | None = Field(
        default=None, description="First to last token-bearing event, as they arrived."
    )
    tokens_per_event: float | None = Field(default=None, description="Above 1: the engine bundles.")
    events_per_read: float | None = Field(default=None, description="Above 1: a hop on the path bundles.")
    total_milliseconds: float | None = Field(default=None, description="Arrival of the end of the answer.")
    generation_milliseconds: float | None = Field(
        default=None, description="First to last token by the server's own clock; null if it gives no timing."
    )
    made_after_milliseconds: float | None = Field(
        default=None,
        description="Queue and prefill by the server's own clock: when it generated the first token.",
    )
    pacing: float | None = Field(
        default=None, description="First to last token here / at the server: 1 streams, 0 was buffered."
    )
    events: int = Field(default=0, description="Token-bearing events.")
    reads: int = Field(default=0, description="Reads that completed at least one of them.")
    tokens: int | None = Field(default=None, description="usage.completion_tokens.")
    done: bool = Field(default=False, description="Whether the end marker came: data: [DONE].")
    finish_reason: str | None = None
    arrivals: tuple[Arrival, ...] = Field(default=(), description="Every read, in order.")


class Run(_Part):
    """One verification: several streams, one verdict."""

    verdict: str
    hop: str = Field(description="The hop at fault; the outermost one when none is.")
    evidence: str
    remedy: str = Field(
        default="", description="What to set, where, to which value; empty if there is nothing to do."
    )
    fingerprint: str = Field(default="", description="The proxy that the hop at fault seems to be.")
    ended_at: datetime | None = None
    hops: tuple[HopReport, ...] = Field(default=(), description="The outermost hop first.")


class Child(_Part):
    """One object behind an endpoint (diagnose)."""

    kind: str
    name: str
    state: str = Field(description="In a few words, e.g. `1/1 ready`.")
    healthy: bool
    detail: str = Field(
        default="", description="Why not, and what to do about it; of a ready pod, the image that runs."
    )


class Report(_Part):
    """What was asked, the verdict that decides, and every run behind it."""

    schema_version: Literal[1] = 1
    tool: str = Field(description="Name and version of the program.")
    subject: str = Field(description="The URL without its query, or namespace/name of the endpoint.")
    model: str | None = Field(description="The model that was asked; null when it could not be determined.")
    api: str = Field(default="chat", description="Which API was asked: chat, completions or responses.")
    verdict: str = Field(description="Of the worst run; docs/conditions.md explains each.")
    exit_code: Literal[0, 1, 3, 4] = Field(
        description="0 streaming, 1 not streaming, 3 inconclusive, 4 could not connect."
    )
    hop: str
    evidence: str
    remedy: str = ""
    fingerprint: str = ""
    started_at: datetime
    distribution: dict[str, int] = Field(description="How many runs came to which verdict.")
    warnings: tuple[str, ...] = Field(
        default=(),
        description="What makes all of it less certain, such as a certificate that was not checked.",
    )
    decided_by: int = Field(default=0, description="Index of the run that decides.")
    runs: tuple[Run, ...]
    children: tuple[Child, ...] = Field(
        default=(), description="State of the objects behind it (diagnose only)."
    )

    @property
    def decisive(self) -> Run:
        """The run that decides."""
        return self.runs[self.decided_by]


def as_json(report: Report) -> str:
    """One document in one line."""
    return report.model_dump_json(by_alias=True)


def schema() -> str:
    """docs/probe-result.schema.json."""
    made: dict[str, Any] = Report.model_json_schema(by_alias=True, mode="serialization")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID}
    return json.dumps(head | made, indent=2) + "\n"
