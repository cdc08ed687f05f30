"""
The models that a server lists, for people who name none. One GET of `/v1/models`.
"""

import json
from dataclasses import replace

from streaming_operator.probe.http import connection
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import ApiKey, get, models_path
from streaming_operator.probe.judge.finding import Attempt, Finding
from streaming_operator.probe.judge.http_errors import http_error, no_head, no_response
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.redaction import without_key


async def models(
    target: connection.Target, key: ApiKey | None, guard: Guard, limits: connection.Limits
) -> tuple[str, ...] | Finding:
    """The names, empty where the response lists none; a Finding where there was no usable response."""
    path = models_path(target.path)
    recorder = Recorder()
    try:
        pinned = await connection.resolve(replace(target, path=path), guard, key)
        end = await connection.exchange(pinned, get(path, pinned.host_header, key), recorder, limits)
    except connection.NoResponseError as error:
        return no_response(Attempt(cause=error.cause, detail=error.detail))
    timeline = without_key(recorder.timeline(end.ending, end.at, end.clock, end.segments), key)
    if timeline.status is None:
        return no_head(timeline)
    if timeline.status in (401, 403):
        return http_error(timeline, key is not None)
    return _names(timeline.body) if timeline.status == 200 else ()


def _names(body: str) -> tuple[str, ...]:
    try:
        entries = json.loads(body)["data"]
        return tuple(entry["id"] for entry in entries if isinstance(entry["id"], str))
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()
