"""The routes: vLLM's paths, statuses and bodies, over one Engine. Starts no server and reads no flags."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from . import responses, wire
from .args import VERSION, Settings
from .asked import Asked, Refusal, count_tokens, read
from .engine import Ending, Engine, Sequence
from .faults import CloseDelimited, reset
from .metrics import EngineMetrics, Gauges, HttpMetrics, registry_with_process
from .middleware import layers
from .responses import Reply
from .streams import FAILED, events, text
from .wire import Answer, Api


class DrainingError(Exception):
    """A request after SIGTERM; vLLM fails in the same place, outside every layer that adds headers."""


class Double:
    """The application and its engine."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._dice = settings, random.Random(settings.knobs.seed)
        self._registry: CollectorRegistry = registry_with_process()
        name = settings.served_names[0]
        self._metrics = EngineMetrics(self._registry, name, settings.max_model_len, settings.buckets)
        self.engine = Engine(settings.max_num_seqs, self._metrics, settings.knobs.seed)
        self._registry.register(Gauges(name, self.engine))
        self._fingerprint = f"vllm-{VERSION}-{secrets.token_hex(4)}"
        self.app = Starlette(
            routes=self._routes(),
            middleware=layers(
                settings.middleware, settings.api_keys, HttpMetrics(self._registry), settings.allowed_origins
            ),
            exception_handlers={HTTPException: _http_error, Exception: _crash},
        )

    def _routes(self) -> list[Route]:
        return [
            Route("/health", self._health, methods=["GET"]),
            Route("/ping", self._health, methods=["GET", "POST"]),
            Route("/version", self._version, methods=["GET"]),
            Route("/load", self._load, methods=["GET"]),
            Route("/metrics", self._scrape, methods=["GET"]),
            Route("/tokenize", self._tokenize, methods=["POST"]),
            Route("/v1/models", self._models, methods=["GET"]),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._completions, methods=["POST"]),
            Route("/v1/responses", self._responses, methods=["POST"]),
        ]

    async def _health(self, request: Request) -> Response:
        return Response(status_code=503 if self.engine.dead.is_set() else 200)

    async def _version(self, request: Request) -> Response:
        return answer_json({"version": VERSION})

    async def _load(self, request: Request) -> Response:
        return answer_json({"server_load": 0})

    async def _scrape(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST})

    async def _models(self, request: Request) -> Response:
        s = self._settings
        now, permission = int(time.time()), secrets.token_hex(8)
        listed = wire.model_list(s.served_names, s.model, s.max_model_len, now, permission, s.adapters)
        return answer_json(listed)

    async def _tokenize(self, request: Request) -> Response:
        self._refuse_when_draining()
        body = await request.json()
        words = str(body.get("prompt") or body.get("messages") or "")
        count, limit = count_tokens(words), self._settings.max_model_len
        tokens = [ord(letter) for letter in words[:count]]
        return answer_json({"count": count, "max_model_len": limit, "tokens": tokens, "token_strs": None})

    async def _chat(self, request: Request) -> ASGIApp:
        return await self._complete(request, "chat")

    async def _completions(self, request: Request) -> ASGIApp:
        return await self._complete(request, "completions")

    async def _responses(self, request: Request) -> ASGIApp:
        return await self._complete(request, "responses")

    async def _complete(self, request: Request, api: Api) -> ASGIApp:
        asked = read(await request.body(), request.headers, self._settings, api)
        if isinstance(asked, Refusal):
            return answer_json(asked.body, asked.status)
        if (refusal := self._refusal(asked)) is not None:
            return answer_json(refusal.body, refusal.status)
        self._refuse_when_draining()
        knobs = asked.knobs.drawn(self._dice)
        sequence = Sequence(asked.prompt_tokens, asked.max_tokens, asked.ignore_eos, knobs)
        answer = self._answer(asked, api)
        self.engine.add(sequence)
        if not asked.stream:
            return await self._whole(request, asked, answer, sequence)
        stream = await self._stream(asked, answer, sequence, request.scope)
        response = StreamingResponse(stream, media_type="text/event-stream")
        return CloseDelimited(response) if knobs.close_delimited else response

    def _refusal(self, asked: Asked) -> Refusal | None:
        """What stands before the engine: an injected status, a dead engine, a full queue."""
        status = asked.knobs.drawn(self._dice).http_status
        if status:
            return Refusal(status, wire.error_body("injected", "InjectedError", status))
        if self.engine.dead.is_set():
            return Refusal(500, wire.error_body(wire.ENGINE_DEAD, "InternalServerError", 500))
        limit, queued = self._settings.max_num_queued_reqs, self.engine.running_count()
        if limit is not None and queued + self.engine.waiting_count() >= limit:
            self._metrics.rejected.inc()
            return Refusal(503, wire.error_body(wire.BUSY, "Service Unavailable", 503))
        return None

    def _refuse_when_draining(self) -> None:
        if self.engine.closed:
            raise DrainingError

    def _answer(self, asked: Asked, api: Api) -> Answer | Reply:
        now, name = int(time.time()), asked.model
        if api == "responses":
            return Reply(name, now, asked.prompt_tokens, asked.max_tokens)
        chat = api == "chat"
        identity = ("chatcmpl-" if chat else "cmpl-") + secrets.token_hex(8)
        return Answer(chat, identity, now, name, self._fingerprint, asked.prompt_tokens)

    async def _stream(
        self, asked: Asked, answer: Answer | Reply, sequence: Sequence, scope: Scope
    ) -> AsyncIterator[bytes]:
        stream = self._events(asked, answer, sequence, scope)
        if not sequence.knobs.full_buffer:
            return stream
        return _replayed([event async for event in stream])

    async def _events(
        self, asked: Asked, answer: Answer | Reply, sequence: Sequence, scope: Scope
    ) -> AsyncIterator[bytes]:
        keep_alive = self._settings.sse_keep_alive_interval or None
        metrics = self._settings.per_request_metrics
        if isinstance(answer, Reply):
            made = responses.events(sequence, asked, answer, metrics)
        else:
            made = events(sequence, asked, answer, metrics, keep_alive)
        try:
            async for event in made:
                yield event
            if sequence.ending is Ending.CUT:
                reset(scope)
        finally:
            self.engine.drop(sequence)

    async def _whole(
        self, request: Request, asked: Asked, answer: Answer | Reply, sequence: Sequence
    ) -> Response:
        gone = asyncio.create_task(_disconnected(request))
        done = asyncio.create_task(sequence.progress(asked.max_tokens + 1, None))
        await asyncio.wait({gone, done}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        done.cancel()
        self.engine.drop(sequence)
        if sequence.ending in FAILED:
            return answer_json(wire.error_body(FAILED[sequence.ending], "InternalServerError", 500), 500)
        words, metrics = text(asked, 0, sequence.produced), self._settings.per_request_metrics
        timings = sequence.timings() if metrics else None
        if isinstance(answer, Reply):
            return answer_json(answer.whole(words, sequence.produced, sequence.ending, timings))
        finish = sequence.ending.value if sequence.ending else "abort"
        return answer_json(answer.whole(words, finish, sequence.produced, timings))


async def _replayed(made: list[bytes]) -> AsyncIterator[bytes]:
    for event in made:
        yield event


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer_json({"detail": error.detail}, error.status_code, error.headers)


async def _crash(request: Request, error: Exception) -> Response:
    message = wire.DRAINING if isinstance(error, DrainingError) else "Internal server error"
    return answer_json(wire.error_body(message, "InternalServerError", 500), 500)


def answer_json(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(wire.compact(content), status, headers, media_type="application/json")
