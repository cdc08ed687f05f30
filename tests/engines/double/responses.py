"""/v1/responses as vLLM 0.32 speaks it: named events, each with its number, and no [DONE].

Its own ways, all seen on the real server: the first two events come at once; a request's `stream_interval` and
`stream_options` are unknown to it; no keep-alive comments; `response.completed` ends even what ran out of tokens, and
an aborted answer looks like a finished one; a failure breaks the connection off.
"""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from .asked import Asked
from .engine import Ending, Sequence
from .streams import FAILED, text
from .wire import Json, compact


@dataclass
class Reply:
    """One answer: its identity and the number of its next event."""

    model: str
    created: int
    prompt_tokens: int
    max_tokens: int | None
    id: str = field(default_factory=lambda: "resp_" + secrets.token_hex(8))
    item: str = field(default_factory=lambda: "msg_" + secrets.token_hex(8))
    number: int = 0

    def event(self, kind: str, content: Json) -> bytes:
        """The bytes of an event; its keys are in alphabetical order."""
        body = dict(sorted((content | {"sequence_number": self.number, "type": kind}).items()))
        self.number += 1
        return f"event: {kind}\ndata: ".encode() + compact(body) + b"\n\n"

    def opening(self) -> list[bytes]:
        begun = self.response("in_progress", [])
        kinds = ("response.created", "response.in_progress")
        return [self.event(kind, {"response": begun}) for kind in kinds]

    def opened(self) -> list[bytes]:
        """The message and its text begin, together with the first token."""
        part = {"annotations": [], "text": "", "type": "output_text", "logprobs": []}
        item = self.message("in_progress", [])
        return [
            self.event("response.output_item.added", {"item": item, "output_index": 0}),
            self.event("response.content_part.added", self._where() | {"part": part}),
        ]

    def delta(self, words: str) -> bytes:
        content: Json = {"delta": words, "logprobs": []}
        return self.event("response.output_text.delta", self._where() | content)

    def closed(self, words: str) -> list[bytes]:
        """Text, part and message are sent once more, whole."""
        text: Json = {"text": words, "logprobs": []}
        item = self.message("completed", [said(words)])
        return [
            self.event("response.output_text.done", self._where() | text),
            self.event("response.content_part.done", self._where() | {"part": said(words)}),
            self.event("response.output_item.done", {"item": item, "output_index": 0}),
        ]

    def _where(self) -> Json:
        return {"content_index": 0, "item_id": self.item, "output_index": 0}

    def message(self, status: str, content: list[Json]) -> Json:
        named: Json = {"id": self.item, "content": content, "role": "assistant"}
        return named | {"status": status, "type": "message", "phase": None}

    def whole(self, words: str, tokens: int, ending: Ending | None, metrics: Json | None) -> Json:
        """The finished response: a body of its own, or what the last event holds."""
        ran_out = ending is Ending.LENGTH
        output = [self.message("completed", [said(words)])]
        status = "incomplete" if ran_out else "completed"
        return self.response(status, output, self._usage(tokens), ran_out, metrics)

    def response(
        self,
        status: str,
        output: list[Json],
        usage: Json | None = None,
        ran_out: bool = False,
        metrics: Json | None = None,
    ) -> Json:
        details = {"reason": "max_output_tokens"} if ran_out else None
        body: Json = {"id": self.id, "created_at": self.created, "incomplete_details": details}
        body |= {"instructions": None, "metadata": None, "model": self.model, "object": "response"}
        body |= {"output": output, "parallel_tool_calls": True, "temperature": 0.0, "tool_choice": "none"}
        body |= {"tools": [], "top_p": 1.0, "background": False, "max_output_tokens": self.max_tokens}
        body |= dict.fromkeys(("max_tool_calls", "previous_response_id", "prompt", "reasoning"))
        body |= {"service_tier": "auto", "status": status, "text": None, "top_logprobs": None}
        body |= {"truncation": "disabled", "usage": usage, "user": None}
        if metrics is not None:
            known = {"mean_itl_ms": None} | metrics
            order = ("time_to_first_token_ms", "generation_time_ms", "queue_time_ms", "mean_itl_ms")
            timed = {name: known.get(name) for name in (*order, "tokens_per_second")}
            body["metrics"] = timed | {"speculative_decoding": None}
        body |= {"presence_penalty": 0.0, "frequency_penalty": 0.0}
        names = ("kv_transfer_params", "ec_transfer_params", "input_messages", "output_messages")
        return body | dict.fromkeys(names)

    def _usage(self, tokens: int) -> Json:
        read = {"cached_tokens": 0, "cache_write_tokens": 0}
        read |= {"input_tokens_per_turn": [], "cached_tokens_per_turn": []}
        written = {"reasoning_tokens": 0, "tool_output_tokens": 0}
        written |= {"output_tokens_per_turn": [], "tool_output_tokens_per_turn": []}
        usage: Json = {"input_tokens": self.prompt_tokens, "input_tokens_details": read}
        usage |= {"output_tokens": tokens, "output_tokens_details": written}
        return usage | {"total_tokens": self.prompt_tokens + tokens}


class BrokenOffError(Exception):
    """What the real server raises in the middle of an answer: the connection closes without the last chunk."""


async def events(sequence: Sequence, asked: Asked, reply: Reply, metrics: bool) -> AsyncIterator[bytes]:
    """The body of a streamed answer."""
    for event in reply.opening():
        yield event
    sent = 0
    while True:
        await sequence.progress(sent + (asked.stream_interval if sent else 1), None)
        made, ending = sequence.produced, sequence.ending
        if made > sent:
            for event in reply.opened() if not sent else ():
                yield event
            yield reply.delta(text(asked, sent, made))
            sent = made
        if ending is not None:
            break
    if ending in (Ending.BROKEN_OFF, Ending.CUT):
        return
    if ending in FAILED:
        raise BrokenOffError
    words = text(asked, 0, sent)
    for event in reply.closed(words):
        yield event
    timings = sequence.timings() if metrics else None
    last = reply.whole(words, sent, ending, timings)
    yield reply.event("response.completed", {"response": last})


def said(words: str) -> Json:
    return {"annotations": [], "text": words, "type": "output_text", "logprobs": None}
