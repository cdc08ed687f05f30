"""A request body, read and judged: what was asked for, or the refusal vLLM would send. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from .args import Settings
from .knobs import Knobs, Text, from_request
from .wire import Api, Json, error_body


@dataclass(frozen=True)
class Asked:
    """One completion to make."""

    model: str
    prompt: str
    prompt_tokens: int
    max_tokens: int
    ignore_eos: bool
    stream: bool
    include_usage: bool
    continuous_usage: bool
    stream_interval: int
    knobs: Knobs


@dataclass(frozen=True)
class Refusal:
    """An answer before any stream: a status and its body."""

    status: int
    body: Json


UNLIMITED_LENGTH = 48
"""Tokens of an answer whose request sets no limit; a real model stops somewhere too."""
COMPLETION_LENGTH = 16
"""vLLM's own default of max_tokens for /v1/completions."""


PROMPTS: dict[Api, str] = {"chat": "messages", "completions": "prompt", "responses": "input"}


def read(raw: bytes, headers: Text, settings: Settings, api: Api) -> Asked | Refusal:
    body = _object(raw)
    if isinstance(body, Refusal):
        return body
    field = PROMPTS[api]
    if field not in body:
        message = (
            f"1 validation error:\n  {{'type': 'missing', 'loc': 'body.{field}', 'msg': 'Field required'}}"
        )
        return Refusal(400, error_body(message, "Bad Request", 400, f"body.{field}"))
    if (unknown := _unknown_model(body, settings)) is not None:
        return unknown
    prompt = _prompt(body)
    templated = api != "completions"
    tokens = count_tokens(prompt) + (10 if templated else 0)
    name = "max_output_tokens" if api == "responses" else "max_tokens"
    requested = body.get(name) or (body.get("max_completion_tokens") if api == "chat" else None)
    limit = int(str(requested)) if requested else (UNLIMITED_LENGTH if templated else COMPLETION_LENGTH)
    if tokens + limit > settings.max_model_len:
        message = (
            f"{name}={limit} cannot be greater than max_model_len={settings.max_model_len}. "
            f"Please request fewer output tokens. (parameter={name}, value={limit})"
        )
        return Refusal(400, error_body(message, "BadRequestError", 400, name))
    try:
        knobs = settings.knobs.updated(from_request(headers, body))
    except ValueError as error:
        return Refusal(400, error_body(f"bad knob: {error}", "BadRequestError", 400, "vllm_double"))
    if api == "responses":  # which knows neither of these
        body = {key: value for key, value in body.items() if key not in ("stream_options", "stream_interval")}
    return _asked(body, settings, prompt, tokens, limit, knobs)


def _asked(body: Json, settings: Settings, prompt: str, tokens: int, limit: int, knobs: Knobs) -> Asked:
    options = body.get("stream_options")
    options = options if isinstance(options, Mapping) else {}
    usage = settings.force_include_usage or bool(options.get("include_usage"))
    continuous = settings.force_include_usage or bool(options.get("continuous_usage_stats"))
    return Asked(
        model=str(body.get("model") or settings.served_names[0]),
        prompt=prompt,
        prompt_tokens=tokens,
        max_tokens=limit,
        ignore_eos=bool(body.get("ignore_eos")),
        stream=bool(body.get("stream")),
        include_usage=usage,
        continuous_usage=usage and continuous,
        stream_interval=max(settings.stream_interval, int(str(body.get("stream_interval") or 1))),
        knobs=knobs,
    )


def count_tokens(text: str) -> int:
    """About vLLM's for the tiny model: three characters a token, at least one."""
    return max(1, len(text) // 3)


def _prompt(body: Json) -> str:
    messages = body.get("messages")
    if isinstance(messages, list):
        return " ".join(str(message.get("content", "")) for message in messages if isinstance(message, dict))
    return str(body.get("prompt") or body.get("input") or "")


def _object(raw: bytes) -> Json | Refusal:
    try:
        body = json.loads(raw)
    except ValueError as error:
        message = (
            f"1 validation error:\n  {{'type': 'json_invalid', 'msg': 'JSON decode error', 'ctx': '{error}'}}"
        )
        return Refusal(400, error_body(message, "Bad Request", 400, "body.1"))
    if isinstance(body, dict):
        return body
    return Refusal(400, error_body("Input should be a valid dictionary", "Bad Request", 400, "body"))


def _unknown_model(body: Json, settings: Settings) -> Refusal | None:
    name = body.get("model")
    if not name or name in settings.served_names or name in settings.adapters:
        return None
    aliases = ", ".join(settings.served_names)
    message = f"The model `{name}` does not exist. Valid aliases: {aliases}."
    return Refusal(404, error_body(message, "NotFoundError", 404, "model"))
