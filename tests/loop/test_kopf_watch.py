"""The watch by kopf: what it hands over, what a gap hides from it, and that it comes back when kopf ends."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar, cast

import aiohttp
import kopf
import pytest

from streaming_operator.cluster import Cluster
from streaming_operator.controller import endpoint_watch, kopf_watch
from streaming_operator.controller.endpoint_watch import EndpointWatch
from streaming_operator.controller.kopf_watch import Body, KopfWatch, roll_call
from streaming_operator.errors import Unreachable
from streaming_operator.kinds import Key
from streaming_operator.kube import decode
from streaming_operator.kube.client import Transport
from streaming_operator.settings import Settings
from streaming_operator.values import Identity
from tests.unit.virtual_time import run

from .cluster_in_memory import ClusterInMemory, Driver
from .scripted_api import ScriptedApi, body, serving

PATIENCE = 60.0
"""Seconds after which a test that waits for an event gives up."""


class Heard:
    """What was handed over to the main loop."""

    watch: KopfWatch

    def __init__(self) -> None:
        self.reconciler = Driver(ClusterInMemory()).reconciler
        self.bodies: dict[Key, Body] = {}
        self.gone: list[Identity] = []
        self.lists = 0
        self._changed = asyncio.Condition()

    def known(self) -> frozenset[Identity]:
        return self.reconciler.known()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something that was handed over makes this true."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(holds)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def on_seen(self, key: Key, body: Body) -> None:
        self.reconciler.update(key, body)
        self.bodies[key] = body
        self._notification = asyncio.ensure_future(self._notify())

    def on_gone(self, endpoint: Identity) -> None:
        if self.reconciler.remove(endpoint):
            del self.bodies[endpoint.key]
        self.gone.append(endpoint)
        self._notification = asyncio.ensure_future(self._notify())

    def on_listed(self) -> None:
        self.lists += 1
        self._notification = asyncio.ensure_future(self._notify())


@pytest.fixture
async def api() -> ScriptedApi:
    """An API server with a script."""
    return ScriptedApi()


@pytest.fixture
async def heard(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Heard]:
    """A running edge in front of that server."""
    heard = Heard()
    async with serving(api) as url:

        async def login() -> kopf.AiohttpSession:
            return kopf.AiohttpSession(aiohttp_session=aiohttp.ClientSession(), server=url)

        monkeypatch.setattr(kopf_watch, "RESTART_PAUSES", (0.05,))
        heard.watch = KopfWatch((), login, heard.on_seen, heard.on_gone, heard.on_listed)
        task = asyncio.create_task(heard.watch.run())
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_endpoints_are_handed_over_as_they_come_and_go(api: ScriptedApi, heard: Heard) -> None:
    """Listed, added and deleted endpoints reach the main loop under their key."""
    await api.send("ADDED", api.put("one"))
    await heard.until(lambda: ("default", "one") in heard.bodies)

    await api.send("DELETED", api.remove("one"))
    await heard.until(lambda: heard.gone == [Identity("default", "one", "u-one")])


async def test_a_bookmark_ends_the_silence_of_the_watch(api: ScriptedApi, heard: Heard) -> None:
    """Nothing is handed over, and yet the API server is known to be there."""

    def last_heard() -> float:
        return asyncio.get_running_loop().time() - heard.watch.silence

    await api.send("ADDED", api.put("one"))
    await heard.until(lambda: ("default", "one") in heard.bodies)
    before = last_heard()
    await asyncio.sleep(0.1)
    await api.send("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    async with asyncio.timeout(PATIENCE):
        while last_heard() < before + 0.05:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def test_an_endpoint_deleted_and_made_again_at_once_stays_known(api: ScriptedApi, heard: Heard) -> None:
    """kopf may hand over the new one first, since it orders events by uid: the deletion names the old uid."""
    for number in range(10):
        name = f"again-{number}"
        old = api.put(name)
        await api.send("ADDED", old)
        new = {**api.put(name), "metadata": {**api.put(name)["metadata"], "uid": f"second-{name}"}}
        await api.send_together(("MODIFIED", old), ("DELETED", old), ("ADDED", new))
        await heard.until(lambda name=name: Identity("default", name, f"u-{name}") in heard.gone)
        await heard.until(lambda name=name: Identity("default", name, f"second-{name}") in heard.known())

    assert len(heard.known()) == 10


async def test_an_endpoint_deleted_while_the_watch_was_expired_is_found_by_the_roll_call(
    api: ScriptedApi, heard: Heard
) -> None:
    """kopf does not report what vanished before a new list; that list asks for a roll call, which does."""
    await api.send("ADDED", api.put("ghost"))
    await api.send("ADDED", api.put("stays"))
    await heard.until(lambda: len(heard.bodies) == 2)

    api.remove("ghost")
    await api.expire()
    await heard.until(lambda: heard.lists > 0)

    async def listing() -> frozenset[Identity]:
        return frozenset(Identity.of(body["metadata"]) for body in api.objects.values())

    await roll_call(heard.known, listing, heard.on_gone, _no_miss)
    assert set(heard.bodies) == {("default", "stays")}


async def test_kopf_is_started_again_after_it_ended(api: ScriptedApi, heard: Heard) -> None:
    """A 404 ends kopf; events of its next run are handed over like those of the first."""
    await api.send("ADDED", api.put("one"))
    await heard.until(lambda: ("default", "one") in heard.bodies)

    api.missing = True
    api.end_watch()
    api.put("two")
    lists = api.lists
    async with asyncio.timeout(PATIENCE):
        await api.refused.wait()
    api.missing = False

    await heard.until(lambda: ("default", "two") in heard.bodies)
    assert api.lists > lists


async def test_the_roll_call_fetches_what_was_missed() -> None:
    """A name without an event is fetched; nothing that exists is dropped."""
    missed: list[Key] = []

    known, new = Identity("a", "known", "u1"), Identity("a", "new", "u2")
    gone: list[Identity] = []

    async def listing() -> frozenset[Identity]:
        return frozenset({known, new})

    async def fetch(key: Key) -> None:
        missed.append(key)

    await roll_call(lambda: (known,), listing, gone.append, fetch)

    assert (missed, gone) == ([("a", "new")], [])


async def test_an_endpoint_made_again_while_the_list_is_under_way_stays_known() -> None:
    """The list is from between deletion and creation: it lacks the old uid, and says nothing of the new one."""
    endpoints = {("a", "chat"): Identity("a", "chat", "old")}

    async def listing() -> frozenset[Identity]:
        endpoints["a", "chat"] = Identity("a", "chat", "new")
        return frozenset()

    gone: list[Identity] = []
    await roll_call(lambda: frozenset(endpoints.values()), listing, gone.append, _no_miss)

    assert gone == [Identity("a", "chat", "old")]


def test_answers_of_another_form_end_no_roll_call_but_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list with an item without a name, an error that no code expects: nobody is forgotten, and it is asked again."""
    known, new = body("known", 3), body("new", 4)

    class Server:
        """Gives one list after the other, and the last of them for ever."""

        lists: ClassVar = [[known, {"metadata": {}}], [{}], [None], [known, new]]
        reads: ClassVar = [TypeError("of another form"), Unreachable("no answer in time")]

        async def page(self, path: str, doing: str, **_: Any) -> decode.Page:
            items = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
            return decode.page(json.dumps({"metadata": {"resourceVersion": "9"}, "items": items}).encode())

        async def read(self, path: str, doing: str, **_: Any) -> Any:
            if self.reads:
                raise self.reads.pop(0)
            return new

    class SilentWatch:
        def __init__(self, *_: Any) -> None:
            """Hands over nothing."""

        async def run(self) -> None:
            await asyncio.Event().wait()

    async def main() -> frozenset[Identity]:
        driver, settings = Driver(ClusterInMemory()), Settings()
        driver.reconciler.update(("default", "known"), known)
        cluster = Cluster(cast(Transport, Server()), settings)
        endpoints = EndpointWatch(cluster, settings, driver.queue, driver.reconciler)
        watch = asyncio.create_task(endpoints.run())
        await asyncio.sleep(settings.roll_call_seconds * 8)
        assert not watch.done()
        watch.cancel()
        return driver.reconciler.known()

    monkeypatch.setattr(endpoint_watch, "KopfWatch", SilentWatch)

    assert run(main()) == {Identity("default", "known", "u-known"), Identity("default", "new", "u-new")}


async def _no_miss(key: Key) -> None:
    raise AssertionError(f"{key} was known")
