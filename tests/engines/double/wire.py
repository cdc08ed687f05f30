"""The bytes of the API, pure: every JSON object with vLLM's keys in vLLM's order, every server-sent event.

Compact JSON throughout, but for the error event, which the real server writes with blanks after `:` and `,`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
ENGINE_DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."
DRAINING = "cannot schedule new futures after shutdown"
BUSY = (
    "The engine is currently busy and cannot accept new requests. "
    "Please try again later or on a different instance."
)

Json = dict[str, object]
Api = Literal["chat", "completions", "responses"]


@dataclass(frozen=True)
class Answer:
    """What all events of one answer share; `chat` tells /v1/chat/completions from /v1/completions."""

    chat: bool
    id: str
    created: int
    model: str
    fingerprint: str
    prompt_tokens: int

    def chunk(self, text: str, finish: str | None, usage: Json | None, last: bool = False) -> Json:
        """One chunk with text. The one that ends the answer carries the last text and the reason.

        `usage` is what the request wants on every chunk, if it does; `last` says that no usage chunk follows.
        """
        reason: Json = {"logprobs": None, "finish_reason": finish}
        choice: Json
        if self.chat:
            choice = {"index": 0, "delta": {"content": text}} | reason
            choice |= ({"stop_reason": None} if finish else {}) | {"token_ids": None}
        else:
            choice = {"index": 0, "text": text} | reason
            choice |= dict.fromkeys(("stop_reason", "prompt_token_ids", "token_ids"))
        chunk = self._head() | {"choices": [choice]} | _usage(usage)
        return chunk | {"system_fingerprint": self.fingerprint} if last else chunk

    def role(self, usage: Json | None) -> Json:
        """The first chunk of a chat, sent together with the first token."""
        delta = {"role": "assistant", "content": ""}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        prompt: Json = dict.fromkeys(("prompt_token_ids", "prompt_text"))
        return self._head() | {"choices": [choice]} | _usage(usage) | prompt

    def usage_chunk(self, tokens: int, metrics: Json | None) -> Json:
        chunk = self._head() | {"choices": [], "usage": self.usage(tokens)}
        chunk |= {"system_fingerprint": self.fingerprint}
        return chunk if metrics is None else chunk | {"metrics": metrics}

    def usage(self, tokens: int) -> Json:
        total = self.prompt_tokens + tokens
        return {"prompt_tokens": self.prompt_tokens, "total_tokens": total, "completion_tokens": tokens}

    def running_usage(self, tokens: int) -> Json:
        """The usage of a chunk on the way (`continuous_usage_stats`); chat adds a key there."""
        return self.usage(tokens) | ({"completion_tokens_details": None} if self.chat else {})

    def _head(self) -> Json:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def whole(self, text: str, finish: str, tokens: int, metrics: Json | None) -> Json:
        """The body of an answer that is not streamed."""
        usage = self.usage(tokens) | {"prompt_tokens_details": None, "completion_tokens_details": None}
        choice: Json = {"index": 0}
        if self.chat:
            silent = dict.fromkeys(("refusal", "annotations", "audio", "function_call", "reasoning"))
            choice |= {"message": {"role": "assistant", "content": text} | silent}
            choice |= {"logprobs": None, "finish_reason": finish, "stop_reason": None}
            choice |= {"token_ids": None, "routed_experts": None}
            prompt = ["prompt_logprobs", "prompt_token_ids", "prompt_text"]
        else:
            choice |= {"text": text, "logprobs": None, "finish_reason": finish, "stop_reason": None}
            choice |= dict.fromkeys(("token_ids", "prompt_logprobs", "prompt_token_ids", "routed_experts"))
            prompt = []
        body = self._head() | {"choices": [choice], "service_tier": None}
        if self.chat:
            body["object"] = "chat.completion"
        body |= {"system_fingerprint": self.fingerprint, "usage": usage}
        body |= dict.fromkeys((*prompt, "kv_transfer_params", "ec_transfer_params"))
        detail = None if metrics is None else metrics | {"speculative_decoding": None}
        return body | {"metrics": detail}


def _usage(usage: Json | None) -> Json:
    return {} if usage is None else {"usage": usage}


def event(content: Json) -> bytes:
    return b"data: " + compact(content) + b"\n\n"


def compact(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def error_body(message: str, kind: str, code: int, param: str | None = None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_event(message: str) -> bytes:
    return b"data: " + json.dumps(error_body(message, "InternalServerError", 500)).encode() + b"\n\n"


def model_list(
    names: tuple[str, ...], root: str, limit: int, now: int, permission: str, adapters: Mapping[str, str]
) -> Json:
    """The body of GET /v1/models; `permission` is the random part of the permission's id."""
    rights = {
        "id": "modelperm-" + permission,
        "object": "model_permission",
        "created": now,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    shared = {"object": "model", "created": now, "owned_by": "vllm"}
    entries = [(name, {"root": root, "parent": None, "max_model_len": limit}) for name in names]
    entries += [
        (name, {"root": path, "parent": names[0], "max_model_len": None}) for name, path in adapters.items()
    ]
    data = [{"id": name} | shared | fields | {"permission": [rights]} for name, fields in entries]
    return {"object": "list", "data": data}
