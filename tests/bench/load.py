"""
The load: N endpoints created at once, and the bare loop that writes what the operator would, raw.

The bare loop sends prepared bytes by server-side apply over the same number of connections, without models,
caches, reads or decisions: what is left is what the API server itself costs.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from streaming_operator import render
from streaming_operator.api.endpoint import API_VERSION, KIND, StreamingEndpoint
from streaming_operator.cluster import resources
from streaming_operator.cluster.drift import sealed
from streaming_operator.values import Capabilities, Edge
from tests.apiserver.client import Object
from tests.apiserver.control_plane import ControlPlane

APPLY = {"Content-Type": "application/apply-patch+yaml"}
QUERY = "?fieldManager=streaming-operator&force=true&fieldValidation=Strict"
UID = "00000000-0000-0000-0000-000000000000"
"""Placeholder of the endpoint's uid in prepared bytes; the uid is known only after the creation."""

CAPABILITIES = Capabilities(
    service_monitors=True,
    http_routes=True,
    ingress_classes={"nginx": Edge("ingress-nginx")},
    prometheus_rules=True,
)
"""What the control plane of the bench has, as the operator finds it."""


def body(namespace: str, name: str) -> Object:
    """An endpoint: the four facts, two replicas (so that there is a budget), nothing else."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"source": {"huggingFace": {"repo": "org/model"}}},
            "gpu": {"count": 1},
            "replicas": 2,
            "exposure": {"host": f"{name}.example.com", "ingress": {"className": "nginx"}},
        },
    }


@asynccontextmanager
async def raw_session(plane: ControlPlane, connections: int) -> AsyncIterator[aiohttp.ClientSession]:
    """A plain session with a cap on connections."""
    connector = aiohttp.TCPConnector(limit=connections, ssl=ssl.create_default_context(cafile=str(plane.ca)))
    headers = {"Authorization": f"Bearer {plane.token}", "Accept": "application/json"}
    async with aiohttp.ClientSession(plane.server, connector=connector, headers=headers) as session:
        yield session


async def send(
    session: aiohttp.ClientSession, method: str, path: str, data: bytes, headers: dict[str, str]
) -> bytes:
    """One request that must succeed."""
    async with session.request(method, path, data=data, headers=headers) as answer:
        content = await answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:500]!r}")
        return content


async def create_all(session: aiohttp.ClientSession, namespace: str, names: Iterable[str]) -> None:
    """Apply all endpoints at once."""

    async def create(name: str) -> None:
        await send(
            session, "POST", resources.ENDPOINTS.path(namespace), orjson.dumps(body(namespace, name)), JSON
        )

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(create(name))


JSON = {"Content-Type": "application/json"}


Job = Callable[[aiohttp.ClientSession], Awaitable[None]]
"""All writes of one endpoint."""


def prepare(namespace: str, name: str, status: dict[str, Any]) -> Job:
    """Everything of one endpoint as bytes; returns what sends it: endpoint, children, status."""
    endpoint = body(namespace, name)
    parsed = StreamingEndpoint.from_body({**endpoint, "metadata": {**endpoint["metadata"], "uid": UID}})
    children = [
        (
            resources.BY_NAME[child["apiVersion"], child["kind"]].path(namespace, child["metadata"]["name"])
            + QUERY,
            orjson.dumps(sealed(child)),
        )
        for child in render.children(parsed, CAPABILITIES)
    ]
    first = orjson.dumps(endpoint)
    last = orjson.dumps(
        {key: endpoint[key] for key in ("apiVersion", "kind", "metadata")} | {"status": status}
    )
    last_path = resources.ENDPOINTS.path(namespace, name, "status") + QUERY

    async def write(session: aiohttp.ClientSession) -> None:
        created = orjson.loads(await send(session, "POST", resources.ENDPOINTS.path(namespace), first, JSON))
        uid = created["metadata"]["uid"].encode()
        for path, data in children:
            await send(session, "PATCH", path, data.replace(UID.encode(), uid), APPLY)
        await send(session, "PATCH", last_path, last, APPLY)

    return write


async def bare_loop(
    session: aiohttp.ClientSession,
    jobs: list[Job],
    at_once: int,
) -> None:
    """Write all jobs, at most *at_once* endpoints at a time."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job(session)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
