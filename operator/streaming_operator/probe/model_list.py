"""
Which models a server says it serves: for people who name none. One GET of `/v1/models`.
"""

import json
from dataclasses import replace

from streaming_operator.probe.http import connection
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import ApiKey, get, models_path
from streaming_operator.probe.judge.finding import Attempt, Finding
from streaming_operator.probe.judge.http_errors import no_answer, no_head, refused
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.redaction import without_key


async def models(
    target: connection.Target, key: ApiKey | None, guard: Guard, limits: connection.Limits
) -> tuple[str, ...] | Finding:
    """The names, empty where the answer holds none; a Finding where there was no answer to read."""
    path = models_path(target.path)
    recorder = Recorder()
    try:
        pinned = await connection.resolve(replace(target, path=path), guard, key)
        ended = await connection.exchange(pinned, get(path, pinned.host_header, key), recorder, limits)
    except connection.NoResponseError as error:
        return no_answer(Attempt(cause=error.cause, detail=error.detail))
    timeline = without_key(recorder.timeline(ended.ending, ended.at, ended.clock, ended.segments), key)
    if timeline.status is None:
        return no_head(timeline)
    if timeline.status in (401, 403):
        return refused(timeline, key is not None)
    return _names(timeline.body) if timeline.status == 200 else ()


def _names(body: str) -> tuple[str, ...]:
    try:
        listed = json.loads(body)["data"]
        return tuple(entry["id"] for entry in listed if isinstance(entry["id"], str))
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()
