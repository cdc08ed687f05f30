"""No object, whatever is stored in it, keeps the operator from reading any other one."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import kopf
import orjson
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming_operator.api.endpoint import InvalidEndpoint, StreamingEndpoint
from streaming_operator.cluster import objects
from streaming_operator.cluster.objects import LARGEST_SPEC, Cached
from streaming_operator.cluster.resources import CHILDREN, PODS, REPLICA_SETS
from streaming_operator.cluster.store import PACKED, TRIMS
from streaming_operator.controller.kopf_watch import KopfWatch
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube import decode
from streaming_operator.kube.client import LARGEST_PAGE, Transport
from streaming_operator.kube.informer import Informer
from streaming_operator.kube.packing import Packer
from streaming_operator.kube.paging import pages
from tests.loop.scripted_api import COLLECTION, ScriptedApi, body, serving

PATIENCE = 30.0
DEPTHS = (199, 260, 1_000, 1_100, 9_990)
"""The API server takes 10,000 levels."""


def nested(depth: int, inner: str = "1") -> str:
    """JSON of that many objects in each other."""
    return '{"a":' * depth + inner + "}" * depth


HOSTILE = {
    **{f"{depth} levels": nested(depth) for depth in DEPTHS},
    "lists in each other": "[" * 5_000 + "]" * 5_000,
    "1e20 as Go writes it": "100000000000000000000",
    "2^64": str(2**64),
    "300 digits": "1" + "0" * 300,
    "1e308": "1e308",
    "300 KiB": json.dumps("x" * 300_000),
    "20,000 lists": "[" + ",".join(["[]"] * 20_000) + "]",
    "brackets in a string": json.dumps('{"[' * 2_000),
    "NUL": '"\\u0000"',
}
"""Values that the API server may store in a part whose inside it does not check."""


def poison(value: str, name: str = "poison") -> str:
    """An endpoint with the value in its spec, its status, an annotation's place and its managedFields."""
    metadata = json.dumps(
        {"name": name, "namespace": "default", "uid": f"u-{name}", "resourceVersion": "7", "generation": 1}
    )
    fields = f'[{{"manager":"kubectl","fieldsV1":{{"f:spec":{value}}}}}]'
    return (
        f'{{"metadata":{metadata[:-1]},"managedFields":{fields}}},"spec":{{"affinity":{{"x":{value}}},'
        f'"model":{{"source":{{"huggingFace":{{"repo":"a/b"}}}}}}}},"status":{{"x":{value}}}}}'
    )


class Watched:
    """What the main loop was given."""

    def __init__(self) -> None:
        self.bodies: dict[str, Any] = {}
        self._changed = asyncio.Event()

    def update(self, key: Key, given: Any) -> None:
        self.bodies[key[1]] = given
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


class PoisonedApi(ScriptedApi):
    """Lists one endpoint as the text that it is given."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    async def _collection(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") == "true":
            return await super()._collection(request)
        self.lists += 1
        healthy = [json.dumps(body(name, 3)) for name in ("before", "after")]
        items = ",".join((healthy[0], self.text, healthy[1]))
        return web.Response(
            text=f'{{"kind":"StreamingEndpointList","metadata":{{"resourceVersion":"9"}},"items":[{items}]}}',
            content_type="application/json",
        )

    async def send_text(self, event: str, text: str) -> None:
        """One line of the watch, as it is."""
        await self.watching.wait()
        assert self._watch is not None
        await self._watch.write(f'{{"type":"{event}","object":{text}}}\n'.encode())


@asynccontextmanager
async def watched(api: ScriptedApi) -> AsyncIterator[Watched]:
    """kopf's watch in front of that API server."""
    given = Watched()
    async with serving(api) as url:

        async def login() -> kopf.AiohttpSession:
            return kopf.AiohttpSession(aiohttp_session=aiohttp.ClientSession(), server=url)

        watch = KopfWatch((), login, given.update, lambda gone: None, lambda: None)
        task = asyncio.create_task(watch.run())
        try:
            yield given
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("what", HOSTILE)
async def test_an_endpoint_in_the_list_hides_no_other(what: str) -> None:
    """kopf's list brings both healthy endpoints, and the hostile one as an invalid spec, without a second list."""
    api = PoisonedApi(poison(HOSTILE[what]))
    async with watched(api) as given:
        await given.until(lambda: {"before", "poison", "after"} <= set(given.bodies))

    assert api.lists == 1
    assert _is_told_or_parsed(given.bodies["poison"])


async def test_endpoints_in_the_watch_hide_no_other() -> None:
    """One line after the other, each hostile in another way, then a healthy one: it comes, without a second list."""
    api = PoisonedApi(poison("1"))
    async with watched(api) as given:
        await given.until(lambda: "after" in given.bodies)
        for number, value in enumerate(HOSTILE.values()):
            await api.send_text("ADDED", poison(value, f"poison-{number}"))
        await api.send_text("ADDED", '{"no metadata":1}')
        await api.send("ADDED", api.put("healthy"))
        await given.until(lambda: "healthy" in given.bodies)

    assert sum(name.startswith("poison-") for name in given.bodies) == len(HOSTILE)
    assert api.lists == 1


@pytest.mark.parametrize("depth", [260, 1_000, 9_990])
def test_a_spec_that_is_too_deep_says_which_field(depth: int) -> None:
    """The condition of that one endpoint names the field and the limit."""
    with pytest.raises(InvalidEndpoint) as error:
        StreamingEndpoint.from_body(objects.endpoint(decode.value(poison(nested(depth)).encode())))

    assert error.value.problems == ("spec.affinity.x: nested deeper than 32 levels",)


@pytest.mark.parametrize("part", [{"x": "a\ud800"}, {"\udc00": 1}, {"x": ["\ud800"]}])
def test_half_of_a_surrogate_pair_says_which_field(part: dict[str, Any]) -> None:
    """A file's text that cannot be written as UTF-8 is a problem of its field, in words that can be printed."""
    body = decode.value(poison("1").encode())
    body["spec"]["affinity"] = part
    with pytest.raises(InvalidEndpoint) as error:
        StreamingEndpoint.from_body(body)

    (problem,) = error.value.problems
    assert (problem.endswith(": texts are valid Unicode"), problem.startswith("spec.affinity")) == (
        True,
        True,
    )
    assert problem.encode().decode() == problem


def test_a_spec_that_is_too_large_says_so() -> None:
    """The spec is not kept, its reason is: 10,000 such endpoints take 10 MB."""
    large = decode.value(poison(json.dumps("x" * LARGEST_SPEC)).encode())

    kept = objects.endpoint(large)

    assert len(orjson.dumps(kept)) < 1_000
    with pytest.raises(InvalidEndpoint, match="spec: has more than 256 KiB"):
        StreamingEndpoint.from_body(kept)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["model", "engine", "affinity", "gpu", "x"]), VALUES), VALUES)
def test_any_spec_is_an_endpoint_or_an_invalid_one(spec: dict[str, Any], inside: Any) -> None:
    """Nothing but `InvalidEndpoint` comes out of the parser, whatever the spec is."""
    metadata = {"name": "a", "namespace": "b", "uid": "c", "generation": 1}
    for one in (spec, inside, {**spec, "model": {"source": {"huggingFace": {"repo": "a/b"}}}}):
        _is_told_or_parsed({"metadata": metadata, "spec": one})


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("kind", [*CHILDREN, PODS, REPLICA_SETS], ids=lambda kind: kind.plural)
def test_a_foreign_object_costs_only_itself(kind: Kind, what: str) -> None:
    """An object with our label and anything inside leaves the others of its kind in the cache, by list and by watch."""
    trim, packer = TRIMS.get(kind, objects.whole), Packer() if kind in PACKED else None
    informer: Informer[Cached] = Informer(
        None,  # type: ignore[arg-type]
        kind,
        lambda given: objects.cache(given, trim, packer),
        lambda *change: None,
    )
    hostile = poison(HOSTILE[what])
    listed = f'{{"metadata":{{"resourceVersion":"9"}},"items":[{_child("one")},{hostile},{_child("two")}]}}'
    for item in decode.page(listed.encode()).items():
        if (stored := informer._stored(item)) is not None:
            informer._put(stored.key, stored)
    for text in (hostile, _child("three")):
        informer._take(f'{{"type":"ADDED","object":{text}}}'.encode())

    names = {stored.key[1] for stored in informer}
    assert {"one", "two", "three"} <= names
    assert all(stored.body for stored in informer)


async def test_the_list_of_names_reads_any_managed_fields() -> None:
    """The list behind the watch is metadata with managedFields of any depth: every name is in it."""
    texts = [poison(value, f"poison-{number}") for number, value in enumerate(HOSTILE.values())]
    listed = f'{{"metadata":{{"resourceVersion":"9"}},"items":[{",".join(texts)}]}}'

    names = [objects.identity(item)["name"] for item in decode.page(listed.encode()).items()]  # type: ignore[arg-type]

    assert names == [f"poison-{number}" for number in range(len(HOSTILE))]


def test_what_is_no_json_costs_only_itself() -> None:
    """An item that no parser takes is named, the others are read."""
    listed = (
        b'{"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"bad","x":nul}},{"metadata":{"name":"c"}}],'
    )

    items = list(decode.page(listed + b'"metadata":{}}').items())

    assert items == [
        {"metadata": {"name": "a"}},
        decode.Unreadable("bad", "ValueError"),
        {"metadata": {"name": "c"}},
    ]


async def test_large_objects_are_listed_in_small_pages() -> None:
    """12 objects of 1 MiB, on a server that gives as many as it is asked for: all are read, at most 4 MiB at a time."""
    size, count, largest = 1 << 20, 12, 0

    async def collection(request: web.Request) -> web.Response:
        nonlocal largest
        start = int(request.query.get("continue", "0"))
        end = min(start + int(request.query["limit"]), count)
        metadata = {"resourceVersion": "9", **({"continue": str(end)} if end < count else {})}
        items = [{"metadata": {"name": f"c{n}"}, "data": {"x": "a" * size}} for n in range(start, end)]
        text = json.dumps({"metadata": metadata, "items": items})
        largest = max(largest, len(text) if len(text) <= LARGEST_PAGE else 0)
        return web.Response(text=text, content_type="application/json")

    app = web.Application()
    app.router.add_get(COLLECTION, collection)
    async with _listening(app) as transport:
        names = [
            item["metadata"]["name"]  # type: ignore[index]
            async for page in pages(transport, COLLECTION, "list ConfigMaps")
            for item in page.items()
        ]

    assert names == [f"c{n}" for n in range(count)]
    assert 0 < largest <= LARGEST_PAGE


@asynccontextmanager
async def _listening(app: web.Application) -> AsyncIterator[Transport]:
    """A transport to that application."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    transport = Transport(_Credentials(f"http://127.0.0.1:{runner.addresses[0][1]}"), 4, field_manager="test")  # type: ignore[arg-type]
    try:
        yield transport
    finally:
        await transport.close()
        await runner.cleanup()


class _Credentials:
    proxy = None

    def __init__(self, server: str) -> None:
        self.server = server

    def tls(self) -> bool:
        return True

    async def authorization(self) -> dict[str, str]:
        return {}


def _child(name: str) -> str:
    metadata = {"name": name, "namespace": "default", "uid": f"u-{name}", "resourceVersion": "5"}
    return json.dumps({"metadata": metadata})


def _is_told_or_parsed(given: Any) -> bool:
    """Whether a body is an endpoint, or raises what becomes its condition; anything else raises here."""
    try:
        StreamingEndpoint.from_body(given)
    except InvalidEndpoint as invalid:
        return len("; ".join(invalid.problems)) < 20_000
    return True
