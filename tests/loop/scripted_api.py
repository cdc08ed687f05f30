"""
An API server with a script: it lists and watches StreamingEndpoints as a test orders, faults included.

Only what kopf asks is there. The behaviour of a true API server is tested in tests/apiserver; this one exists
for what a true one does rarely: an expired watch, a kind that is gone for a moment, a cut line.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from streaming_operator.api.endpoint import API_VERSION, GROUP, KIND, PLURAL, VERSION

COLLECTION = f"/apis/{GROUP}/{VERSION}/{PLURAL}"


def body(name: str, version: int) -> dict[str, Any]:
    """One endpoint as the API server sends it."""
    metadata = {"name": name, "namespace": "default", "uid": f"u-{name}", "resourceVersion": str(version)}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": {}}


class ScriptedApi:
    """Holds the objects, and sends what a test asks for to the open watch."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 1
        self.lists = 0
        self.missing = False
        """Answer 404 to everything about endpoints."""
        self.refused = asyncio.Event()
        """Such an answer was given."""
        self._watch: web.StreamResponse | None = None
        self.watching = asyncio.Event()
        self._end = asyncio.Event()

    def put(self, name: str) -> dict[str, Any]:
        """Store an object without an event."""
        self.version += 1
        self.objects[name] = body(name, self.version)
        return self.objects[name]

    def remove(self, name: str) -> dict[str, Any]:
        """Remove an object without an event."""
        self.version += 1
        return self.objects.pop(name)

    async def send(self, kind: str, thing: dict[str, Any]) -> None:
        """One line of the watch."""
        await self.watching.wait()
        assert self._watch is not None
        await self._watch.write(json.dumps({"type": kind, "object": thing}).encode() + b"\n")

    async def send_together(self, *events: tuple[str, dict[str, Any]]) -> None:
        """Several lines of the watch in one write, so that they are read at once."""
        await self.watching.wait()
        assert self._watch is not None
        lines = (json.dumps({"type": kind, "object": thing}).encode() + b"\n" for kind, thing in events)
        await self._watch.write(b"".join(lines))

    async def expire(self) -> None:
        """Send the watch the error that its version is too old, and end it."""
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
        await self.send("ERROR", status)
        self.end_watch()

    def end_watch(self) -> None:
        """End the watch that is open."""
        self.watching.clear()
        self._end.set()

    async def _collection(self, request: web.Request) -> web.StreamResponse:
        if self.missing:
            self.refused.set()
            return web.json_response({"kind": "Status", "code": 404, "reason": "NotFound"}, status=404)
        if request.query.get("watch") != "true":
            self.lists += 1
            listed = {"resourceVersion": str(self.version)}
            return web.json_response(
                {"kind": f"{KIND}List", "metadata": listed, "items": list(self.objects.values())}
            )
        self._watch = web.StreamResponse(headers={"Content-Type": "application/json"})
        self._end = asyncio.Event()
        await self._watch.prepare(request)
        self.watching.set()
        await self._end.wait()
        return self._watch

    def app(self) -> web.Application:
        """The routes that kopf asks."""
        ours = _resources(f"{GROUP}/{VERSION}", PLURAL, KIND, namespaced=True)
        crds = _resources("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition")
        answers = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/api/v1": _resources("v1", "namespaces", "Namespace"),
            "/apis": {"groups": [_group(GROUP, VERSION), _group("apiextensions.k8s.io", "v1")]},
            f"/apis/{GROUP}/{VERSION}": ours,
            "/apis/apiextensions.k8s.io/v1": crds,
        }
        app = web.Application()
        for path, answer in answers.items():
            app.router.add_get(path, self._fixed(answer))
        app.router.add_get(COLLECTION, self._collection)
        return app

    @staticmethod
    def _fixed(answer: dict[str, Any]) -> Any:
        async def handler(_: web.Request) -> web.Response:
            return web.json_response(answer)

        return handler


def _group(name: str, version: str) -> dict[str, Any]:
    """One API group with its only version."""
    only = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [only], "preferredVersion": only}


def _resources(group_version: str, plural: str, kind: str, *, namespaced: bool = False) -> dict[str, Any]:
    """The discovery document of one kind."""
    verbs = ["get", "list", "watch", "patch"]
    one = {
        "name": plural,
        "singularName": kind.lower(),
        "namespaced": namespaced,
        "kind": kind,
        "verbs": verbs,
    }
    return {"kind": "APIResourceList", "groupVersion": group_version, "resources": [one]}


@asynccontextmanager
async def serving(api: ScriptedApi) -> AsyncIterator[str]:
    """Serve on a free loopback port; gives the URL."""
    runner = web.AppRunner(api.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        api.end_watch()
        await runner.cleanup()
