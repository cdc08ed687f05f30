"""
The models that a server lists, for people who name none. One GET of `/v1/models`.

Gateways list hundreds of models in shapes of their own, and not all of them generate text: those that seem to are put
first.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import ApiKey, get, models_path
from streaming_operator.probe.judge.finding import Attempt, Finding, Symptom
from streaming_operator.probe.judge.http_errors import http_error, no_head, no_response, not_a_stream
from streaming_operator.probe.stream.error_shapes import error_in, parsed
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.redaction import without_key
from streaming_operator.probe.stream.timeline import Timeline

LARGEST = 4 * 1024 * 1024
"""Bytes of a list that are read; OpenRouter's has about 700 KiB."""
_CONTAINERS = 100_000
"""Objects and arrays in a list: OpenRouter's has about ten a model."""
_NO_LIST = (404, 405, 501)

_OTHER_WORK = re.compile(
    r"(?i)(embed|rerank|retriev|moderation|guard|whisper|transcri|speech|audio|realtime|image|video|diffusion|flux"
    r"|dall-e|imagen|sora|clip|colbert|minilm|classif|reward|ocr|(^|[-_/])(tts|asr|stt|bge|gte|e5)([-_/.]|$))"
)
"""Names and kinds of models that do not answer in a chat."""


async def models(
    target: connection.Target, key: ApiKey | None, guard: Guard, limits: connection.Limits
) -> tuple[str, ...] | Finding:
    """
    The names, those that seem to chat first, empty where the response lists none; a Finding where there was no usable
    response.
    """
    path = models_path(target.path)
    recorder = Recorder(body_kept=LARGEST)
    try:
        pinned = await connection.resolve(replace(target, path=path), guard, key)
        request = get(path, pinned.host_header, key)
        end = await connection.exchange(pinned, request, recorder, replace(limits, size=LARGEST))
    except connection.NoResponseError as error:
        return no_response(Attempt(cause=error.cause, detail=error.detail))
    return await connection.off_loop(partial(_listed, recorder, end, key, path))


def _listed(
    recorder: Recorder, end: connection.ExchangeEnd, key: ApiKey | None, path: str
) -> tuple[str, ...] | Finding:
    timeline = without_key(recorder.timeline(end.ending, end.at, end.clock, end.segments), key)
    names = names_in(parsed(timeline.body, LARGEST, _CONTAINERS)) if timeline.status == 200 else None
    if names is not None:
        return names
    finding = _finding(timeline, with_key=key is not None)
    return replace(finding, evidence=f"{path.partition('?')[0]}: {finding.evidence}")


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
