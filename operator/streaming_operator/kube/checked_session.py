"""
A session for a client with a JSON reader of its own: what it gets has been read here first, object by object.

kopf reads with `json.loads`, which fails on deep nesting, and it ends with whatever fails. Through this one it gets
only objects that were read and trimmed (docs/decisions/0038-one-object-costs-itself.md).
"""

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from streaming_operator import metrics
from streaming_operator.errors import Unreachable
from streaming_operator.kube import decode
from streaming_operator.kube.client import lines
from streaming_operator.kube.objects import Body, as_json

Keep = Callable[[Body], Body]
"""What is handed on of an object; raises for one that no code expects, which is then left out."""

log = logging.getLogger(__name__)


class CheckedSession:
    """An `aiohttp.ClientSession` as far as kopf uses one."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        kind: str,
        path: str,
        keep: Keep,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Lists and watches whose address ends with *path* are of *kind*; others are handed on as they are.

        *heard* is called, in the session's loop, whenever the API server sends something of them.
        """
        self._session = session
        self._checks = _Checks(kind, keep)
        self._heard = heard
        self._path = path

    def __getattr__(self, name: str) -> Any:
        """Everything else is the session's own."""
        return getattr(self._session, name)

    async def request(self, method: str, url: str, **options: Any) -> Any:
        """One request; the response of a list or a watch is checked."""
        response = await self._session.request(method, url, **options)
        if response.status >= 400 or not response.url.path.endswith(self._path):
            return response
        self._heard()
        return _CheckedResponse(response, self._checks, self._heard)


class _CheckedResponse:
    """The response to a list or to a watch."""

    def __init__(
        self, response: aiohttp.ClientResponse, checks: "_Checks", heard: Callable[[], None]
    ) -> None:
        self._response = response
        self._checks = checks
        self.content = _CheckedLines(response.content, checks, heard)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    async def __aenter__(self) -> "_CheckedResponse":
        await self._response.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._response.__aexit__(*error)

    async def json(self) -> Body:
        """A list with the objects that can be read; raises aiohttp's error for what is no list."""
        try:
            page = decode.page(await self._response.read())
        except ValueError as error:
            raise aiohttp.ClientPayloadError(f"a list cannot be read: {error}") from None
        items = [body for item in page.items() if (body := self._checks.readable(item)) is not None]
        return {**page.head, "items": items}


class _CheckedLines:
    """The content of a watch."""

    def __init__(self, content: aiohttp.StreamReader, checks: "_Checks", heard: Callable[[], None]) -> None:
        self._content = content
        self._checks = checks
        self._heard = heard

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Lines of events whose objects can be read, whatever *size* is."""
        try:
            async for line in lines(self._content, "watch"):
                self._heard()
                if line and (checked := self._checks.line(line)):
                    yield checked + b"\n"
        except Unreachable as error:
            raise aiohttp.ClientPayloadError(str(error)) from None


class _Checks:
    """Reads objects of one kind."""

    def __init__(self, kind: str, keep: Keep) -> None:
        self._kind = kind
        self._keep = keep

    def readable(self, item: Body | decode.Unreadable) -> Body | None:
        """What is kept of an object; None for one that cannot be read."""
        if isinstance(item, decode.Unreadable):
            self._leave_out(item)
            return None
        try:
            return self._keep(item)
        except Exception as error:  # noqa: BLE001 - somebody has stored what no code expects: the log names the object
            self._leave_out(decode.unreadable(as_json(item), error))
            return None

    def line(self, line: bytes) -> bytes:
        """The line with its object as it is kept; empty for an object that cannot be read."""
        try:
            event: Body = decode.value(line)
            kind, body = event["type"], event["object"]
        except (ValueError, KeyError, TypeError) as error:
            self._leave_out(decode.unreadable(line, error))
            return b""
        if kind in ("ADDED", "MODIFIED", "DELETED"):
            body = self.readable(body)
        return b"" if body is None else as_json({"type": kind, "object": body})

    def _leave_out(self, item: decode.Unreadable) -> None:
        metrics.UNREADABLE.labels(kind=self._kind).inc()
        log.warning(
            "%s %s cannot be read and is left out", self._kind, item.name, extra={"cause": item.cause}
        )
