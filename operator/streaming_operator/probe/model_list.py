"""
The models that a server lists, for people who name none. One GET of `/v1/models`.

Gateways list hundreds of models in shapes of their own, and not all of them generate text: those that seem to are put
first.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import ApiKey, Request, get, models_path
from streaming_operator.probe.judge.finding import Attempt, Finding
from streaming_operator.probe.judge.http_errors import http_error, no_head, no_response, not_a_stream
from streaming_operator.probe.stream.error_shapes import error_in, parsed
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.redaction import without_secrets
from streaming_operator.probe.stream.timeline import Timeline

LARGEST = 4 * 1024 * 1024
"""Bytes of a list that are read; OpenRouter's has about 700 KiB."""
OF_ONE_SERVER = 1024 * 1024
"""Bytes that are read of a model server's own list; vLLM writes about 600 a model or adapter."""
_CONTAINERS = 100_000
"""Objects and arrays in a list: OpenRouter's has about ten a model."""
_NO_LIST = (404, 405, 501)

_OTHER_WORK = re.compile(
    r"(?i)(embed|rerank|retriev|moderation|guard|whisper|transcri|speech|audio|realtime|image|video|diffusion|flux"
    r"|dall-e|imagen|sora|clip|colbert|minilm|classif|reward|ocr|(^|[-_/])(tts|asr|stt|bge|gte|e5)([-_/.]|$))"
)
"""Names and kinds of models that do not answer in a chat."""


async def models(
    target: connection.Target,
    key: ApiKey | None,
    guard: Guard,
    limits: connection.Limits,
    on_exchange: Callable[[Request, Timeline], None] = lambda request, timeline: None,
) -> tuple[str, ...] | Finding:
    """
    The names, those that seem to chat first, empty where the response lists none; a Finding where there was no usable
    response.
    """
    path = models_path(target.path)
    try:
        timeline = await _response(replace(target, path=path), key, guard, limits, on_exchange)
    except connection.NoResponseError as error:
        return no_response(Attempt(cause=error.cause, detail=error.detail))
    return await connection.off_loop(partial(_names_of, timeline, path, with_key=key is not None))


def _names_of(timeline: Timeline, path: str, *, with_key: bool) -> tuple[str, ...] | Finding:
    names = names_in(parsed(timeline.body, LARGEST, _CONTAINERS)) if timeline.status == 200 else None
    if names is not None:
        return names
    finding = _finding(timeline, with_key=with_key)
    return replace(finding, evidence=f"{path.partition('?')[0]}: {finding.evidence}")


async def listed(
    target: connection.Target, key: ApiKey | None, guard: Guard, limits: connection.Limits
) -> object:
    """The list as a model server gives it, parsed; None where it gives none, or a very long one."""
    target = replace(target, path=models_path(target.path))
    try:
        timeline = await _response(target, key, guard, limits, largest=OF_ONE_SERVER)
    except connection.NoResponseError:
        return None
    if timeline.status != 200:
        return None
    return await connection.off_loop(partial(parsed, timeline.body, OF_ONE_SERVER, _CONTAINERS))


async def _response(
    target: connection.Target,
    key: ApiKey | None,
    guard: Guard,
    limits: connection.Limits,
    on_exchange: Callable[[Request, Timeline], None] = lambda request, timeline: None,
    *,
    largest: int = LARGEST,
) -> Timeline:
    """The response to one GET; raises NoResponseError."""
    recorder = Recorder(body_kept=largest)
    pinned = await connection.resolve(target, guard, key)
    request = get(pinned.path, pinned.host_header, key, pinned.headers)
    end = await connection.exchange(pinned, request, recorder, replace(limits, size=largest))
    timeline = await connection.off_loop(partial(_recorded, recorder, end, pinned.secrets(key)))
    on_exchange(request, timeline)
    return timeline


def _recorded(recorder: Recorder, end: connection.ExchangeEnd, secrets: tuple[ApiKey, ...]) -> Timeline:
    return without_secrets(recorder.timeline(end.ending, end.at, end.clock, end.segments), secrets)


def names_in(value: object) -> tuple[str, ...] | None:
    """The names in a list of models, those that seem to chat first; None where it is no such list."""
    entries = value
    if isinstance(value, Mapping):
        entries = next((value[key] for key in ("data", "models") if isinstance(value.get(key), list)), None)
    if not isinstance(entries, list) or error_in(value) is not None:
        return None
    names = [(name, _chats(entry, name)) for entry in entries if (name := _name(entry))]
    return tuple(dict.fromkeys(name for name, _ in sorted(names, key=lambda pair: not pair[1])))


def _name(entry: object) -> str:
    if isinstance(entry, Mapping):
        names = (entry.get(key) for key in ("id", "model", "name", "slug"))
        entry = next((name for name in names if isinstance(name, str) and name), "")
    return entry if isinstance(entry, str) else ""


def _chats(entry: object, name: str) -> bool:
    """Whether a model seems to generate text, by what the list says of it, else by its name."""
    kinds: list[Any] = []
    if isinstance(entry, Mapping):
        able = entry.get("capabilities")
        if isinstance(able, Mapping):  # Mistral's and Azure's words
            stated = [able[key] for key in ("completion_chat", "chat_completion") if key in able]
            if stated:
                return bool(stated[0])
        kinds = [entry.get(key) for key in ("type", "task", "mode", "model_type", "pipeline_tag")]
    return not any(_OTHER_WORK.search(kind) for kind in (name, *kinds) if isinstance(kind, str))


def _finding(t: Timeline, *, with_key: bool) -> Finding:
    """Why there is no list."""
    if t.status is None:
        return no_head(t)
    if t.status in _NO_LIST:
        return replace(
            http_error(t, with_key), verdict=Verdict.ROUTE_NOT_FOUND, symptom=Symptom.NO_MODEL_LIST
        )
    if t.status != 200:
        return http_error(t, with_key)
    unreadable = Finding(
        Verdict.UPSTREAM_ERROR, Symptom.UNREADABLE, f"the list could not be read: {t.broken}"
    )
    return unreadable if t.broken else (not_a_stream(t) or unreadable)
