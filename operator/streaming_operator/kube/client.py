"""
One session to the API server: raw JSON in and out, bounded, timed, with typed errors.

The official client's configuration decides host, TLS and token; its models and request path cost several
times the request itself (docs/decisions/0005-thin-transport.md), so bytes go through aiohttp and orjson here.
Nothing in this module knows what an object means.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import orjson
from yarl import URL

from streaming_operator.errors import Forbidden, NotFound, NotLeading, TooLarge, Unreachable
from streaming_operator.kube import decode, fence
from streaming_operator.kube.answers import error_of, retry_after
from streaming_operator.kube.credentials import Credentials
from streaming_operator.kube.fence import FencedBody, MayWrite
from streaming_operator.kube.objects import Body
from streaming_operator.kube.rate_limit import WriteLimit
from streaming_operator.kube.request_count import counting

CALL_SECONDS = 15.0
"""Limit of one call: three times the slowest response of a busy API server that is still useful."""
LIST_SECONDS = 60.0
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 90.0
"""Longest silence of a watch; the API server sends a bookmark about every minute."""
TRIES = 4
"""Of a call that is answered 429; the answer's Retry-After is kept in between."""

LARGEST_ANSWER = 16 << 20
"""Bytes of one answer, or of one line of a watch, that are held: 1.5 MiB in etcd are up to 9 MiB of JSON."""
LARGEST_PAGE = 4 << 20
"""Bytes of one page of several objects that are held."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
APPLY_QUERY = {"fieldValidation": "Strict"}

_NETWORK = (aiohttp.ClientError, TimeoutError, OSError)


class Transport:
    """The session; one per operator."""

    def __init__(
        self,
        credentials: Credentials,
        connections: int,
        *,
        field_manager: str,
        may_write: MayWrite = fence.always,
    ) -> None:
        """
        `field_manager` is how the API server calls the author of what we write; our User-Agent, too. `may_write` is
        asked before every request that changes something, and again as its bytes leave.
        """
        self._may_write = may_write
        self._field_manager = field_manager
        self._credentials = credentials
        self._limit = WriteLimit(connections)
        self._connections = connections
        self._session = self._new_session()
        self._watches = self._new_session(limit=0)
        self.requests: dict[str, int] = {}
        """Calls so far by HTTP method, for the bench and the tests."""

    @classmethod
    async def open(cls, *, connections: int, field_manager: str, may_write: MayWrite = fence.always) -> Self:
        """Read the credentials and prepare the session; sends no request yet."""
        credentials = await Credentials.load()
        return cls(credentials, connections, field_manager=field_manager, may_write=may_write)

    @classmethod
    def of_person(cls, credentials: Credentials, *, field_manager: str) -> Self:
        """A session for one command of a person."""
        return cls(credentials, 10, field_manager=field_manager)

    @property
    def server(self) -> str:
        """`https://host:port` of the API server."""
        return self._credentials.server

    @property
    def own_namespace(self) -> str:
        """The namespace that this process belongs to."""
        return self._credentials.own_namespace()

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()
        await self._watches.close()

    async def get(
        self, path: str, doing: str, *, query: Mapping[str, str] | None = None, accept: str | None = None
    ) -> Body:
        """Read what is no stored object: what discovery says, or a list that is short by its nature."""
        answer: Body = await self._call("GET", path, doing, query=query, accept=accept)
        return answer

    async def read(self, path: str, doing: str, *, accept: str | None = None) -> Body:
        """Read one object by its name; raises `Unreachable` for an answer without name, uid or version."""
        answer: Body = await self._call("GET", path, doing, accept=accept, read=decode.stored)
        return answer

    async def page(
        self, path: str, doing: str, *, query: Mapping[str, str], accept: str | None = None
    ) -> decode.Page:
        """Read one page of a list; raises `TooLarge` where it is more than may be held at once."""
        most = LARGEST_ANSWER if query["limit"] == "1" else LARGEST_PAGE
        page: decode.Page = await self._call(
            "GET", path, doing, query=query, accept=accept, seconds=LIST_SECONDS, read=decode.page, most=most
        )
        return page

    async def apply(self, path: str, manifest: Mapping[str, Any], doing: str, *, force: bool = True) -> Body:
        """
        Server-side apply with our field manager; returns the object as it is now.

        Without *force* it raises `Conflict` where another manager owns a field of another value.
        """
        answer: Body = await self._call(
            "PATCH",
            path,
            doing,
            query={"fieldManager": self._field_manager, "force": str(force).lower(), **APPLY_QUERY},
            body=orjson.dumps(manifest),
            content=APPLY,
            read=decode.stored,
            fenced=True,
        )
        return answer

    async def merge(self, path: str, change: Mapping[str, Any], doing: str) -> None:
        """JSON merge patch: lists are replaced as a whole."""
        query = {"fieldManager": self._field_manager}
        await self._call(
            "PATCH", path, doing, query=query, body=orjson.dumps(change), content=MERGE, fenced=True
        )

    async def preview(self, path: str, change: Mapping[str, Any], doing: str, *, manager: str | None) -> Body:
        """
        The object as a change would leave it; nothing is stored. The change is a server-side apply by *manager*, or a
        JSON merge patch where that is None.
        """
        query = {"dryRun": "All", "fieldValidation": "Strict", "fieldManager": manager or self._field_manager}
        if manager is not None:
            query["force"] = "true"
        content = APPLY if manager is not None else MERGE
        answer: Body = await self._call(
            "PATCH", path, doing, query=query, body=orjson.dumps(change), content=content
        )
        return answer

    async def create(self, path: str, manifest: Mapping[str, Any], doing: str) -> Body:
        """Create one object; raises `Conflict` where its name is taken."""
        answer: Body = await self._call("POST", path, doing, body=orjson.dumps(manifest), fenced=True)
        return answer

    async def review(self, path: str, manifest: Mapping[str, Any], doing: str) -> Body:
        """Ask a question that the API server answers at once, such as a TokenReview."""
        answer: Body = await self._call("POST", path, doing, body=orjson.dumps(manifest))
        return answer

    async def validate(self, path: str, manifest: Mapping[str, Any], doing: str) -> None:
        """Ask whether an object could be created, without creating it; raises the refusal."""
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        await self._call("POST", path, doing, query=query, body=orjson.dumps(manifest))

    async def delete(self, path: str, uid: str, doing: str) -> None:
        """Delete one object if it is still the one with *uid*; its own children go in the background."""
        body = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        await self._call("DELETE", path, doing, body=orjson.dumps(body), fenced=True)

    async def _call(
        self,
        method: str,
        path: str,
        doing: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content: str = "application/json",
        accept: str | None = None,
        seconds: float = CALL_SECONDS,
        read: Callable[[bytes], Any] = decode.document,
        most: int = LARGEST_ANSWER,
        fenced: bool = False,
    ) -> Any:
        """One call, repeated while the API server says 429, and once with fresh credentials after a 401."""
        may_write = self._may_write if fenced else fence.always
        headers = {"Content-Type": content} if body is not None else {}
        if accept:
            headers["Accept"] = accept
        renewed = False
        for attempt in range(1, TRIES + 1):
            await self._limit.unpaused()
            async with nullcontext() if method == "GET" else self._limit.write():
                may_write()
                started = asyncio.get_running_loop().time()
                sent = FencedBody(body, may_write) if fenced and body is not None else body
                code, wait, answer = await self._once(
                    method, path, doing, query, sent, headers, seconds, read, most
                )
            if code != 429 and method != "GET":
                self._limit.responded(started)
            if code < 400:
                return answer
            if code == 429 and attempt < TRIES:
                self._limit.refused(started, wait)
            elif code == 401 and not renewed:
                renewed = True
                await self._credentials.reload()
            else:
                raise error_of(code, answer, doing)
        raise Unreachable(f"cannot {doing}: the API server asks to slow down, {TRIES} times in a row")

    async def _once(
        self,
        method: str,
        path: str,
        doing: str,
        query: Mapping[str, str] | None,
        body: bytes | FencedBody | None,
        headers: Mapping[str, str],
        seconds: float,
        read: Callable[[bytes], Any],
        most: int,
    ) -> tuple[int, float, Any]:
        """One request: status code, wanted pause, decoded answer."""
        self.requests[method] = self.requests.get(method, 0) + 1
        headers = {**headers, **await self._credentials.authorization()}
        try:
            async with self._session.request(
                method,
                self._url(path, query),
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS),
                proxy=self._credentials.proxy,
            ) as response:
                raw = await _read(response.content, doing, most)
                return (
                    response.status,
                    retry_after(response.headers.get("Retry-After")),
                    read(raw) if response.status < 400 else _refusal(raw),
                )
        except _NETWORK as error:
            if isinstance(error.__cause__, NotLeading):  # of the fence; aiohttp calls it a failure to send
                raise error.__cause__ from None
            raise Unreachable(f"cannot {doing}: {_network(error)}") from error
        except ValueError as error:
            raise Unreachable(
                f"cannot {doing}: the answer is not the JSON object that was asked for"
            ) from error

    @asynccontextmanager
    async def watch(
        self, path: str, query: Mapping[str, str], doing: str, accept: str | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch; yields whole lines and raises `Unreachable` on a cut or a long silence."""
        headers = await self._credentials.authorization()
        if accept:
            headers["Accept"] = accept
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        try:
            async with self._watches.get(
                self._url(path, query), headers=headers, timeout=limits, proxy=self._credentials.proxy
            ) as response:
                if response.status >= 400:
                    if response.status == 401:
                        await self._credentials.reload()
                    raise error_of(response.status, _refusal(await _read(response.content, doing)), doing)
                yield lines(response.content, doing)
        except _NETWORK as error:
            raise Unreachable(f"cannot {doing}: {_network(error)}") from error

    @asynccontextmanager
    async def websocket(
        self, path: str, query: Mapping[str, str], doing: str, protocol: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket to a subresource of a pod; raises what the handshake is refused with."""
        # A kubelet answers 406 to a client of port-forward that takes only JSON.
        headers = {**await self._credentials.authorization(), "Accept": "*/*"}
        try:
            async with self._watches.ws_connect(
                self._url(path, query),
                protocols=(protocol,),
                headers=headers,
                proxy=self._credentials.proxy,
                max_msg_size=0,
            ) as socket:
                yield socket
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (401, 403):
                raise Forbidden(f"cannot {doing}: it is not allowed (HTTP {error.status})") from error
            if error.status == 404:  # a handshake has no body that would say what is missing
                raise NotFound(f"cannot {doing}: the pod does not exist (HTTP 404)") from error
            raise error_of(error.status, "the API server refuses it", doing) from error
        except _NETWORK as error:
            raise Unreachable(f"cannot {doing}: {_network(error)}") from error

    def _new_session(self, limit: int | None = None) -> aiohttp.ClientSession:
        """A session whose connections are capped; watches get one of their own, they would use up the cap."""
        connector = aiohttp.TCPConnector(
            limit=self._connections if limit is None else limit,
            ssl=self._credentials.tls(),
            keepalive_timeout=60,
            socket_factory=fence.socket_with_write_timeout,
        )
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": self._field_manager,
        }
        return aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[counting()],
        )

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        """The address of a call; paths are made of names that need no quoting."""
        text = self._credentials.server + path
        return URL(f"{text}?{urlencode(query)}" if query else text, encoded=True)


async def lines(content: aiohttp.StreamReader, doing: str) -> AsyncIterator[bytes]:
    """Split a stream into lines of any length; a line cut off at the end is an error."""
    rest = bytearray()
    async for chunk in content.iter_any():
        rest += chunk
        if len(rest) > LARGEST_ANSWER:
            raise TooLarge(f"cannot {doing}: a line has more than {LARGEST_ANSWER >> 20} MiB")
        if b"\n" not in chunk:
            continue
        *whole, last = bytes(rest).split(b"\n")
        rest = bytearray(last)
        for line in whole:
            yield line
    if rest:
        raise Unreachable(f"cannot {doing}: the stream was cut within a line")


async def _read(content: aiohttp.StreamReader, doing: str, most: int = LARGEST_ANSWER) -> bytes:
    """A whole answer, unless it is too large to be held."""
    answer = bytearray()
    async for chunk in content.iter_any():
        answer += chunk
        if len(answer) > most:
            raise TooLarge(f"cannot {doing}: the answer has more than {most >> 20} MiB")
    return bytes(answer)


def _refusal(raw: bytes) -> Any:
    """What the API server says of a refusal: its JSON, or a text that is none."""
    try:
        return decode.value(raw)
    except ValueError:
        return raw[:200].decode(errors="replace")


def _network(error: BaseException) -> str:
    """A short text for a failed connection; time-outs have none of their own."""
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"
