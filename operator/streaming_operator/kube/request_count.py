"""Counts requests to the API server by verb and status code, for every session that is made with it."""

import asyncio
from types import SimpleNamespace

import aiohttp
from yarl import URL

from streaming_operator import metrics
from streaming_operator.errors import NotLeading

VERBS = {"PATCH": "patch", "POST": "create", "DELETE": "delete"}
NO_ANSWER = "none"
"""In place of a status code."""


def counting() -> aiohttp.TraceConfig:
    """What makes a session count its requests."""
    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(_answered)
    trace.on_request_exception.append(_failed)
    return trace


def verb(method: str, url: URL) -> str:
    """By which the API server's roles and its audit log call a request, as far as its method and query say."""
    if method != "GET":
        return VERBS.get(method, method.lower())
    if "watch" in url.query:
        return "watch"
    return "list" if "limit" in url.query else "get"


async def _answered(
    _: aiohttp.ClientSession, __: SimpleNamespace, end: aiohttp.TraceRequestEndParams
) -> None:
    metrics.REQUESTS.labels(verb(end.method, end.url), str(end.response.status)).inc()


async def _failed(
    _: aiohttp.ClientSession, __: SimpleNamespace, failure: aiohttp.TraceRequestExceptionParams
) -> None:
    """One that we gave up ourselves, or that the fence held back, is none."""
    error = failure.exception
    if not isinstance(error, asyncio.CancelledError) and not isinstance(error.__cause__, NotLeading):
        metrics.REQUESTS.labels(verb(failure.method, failure.url), NO_ANSWER).inc()
