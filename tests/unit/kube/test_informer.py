"""The informer against a scripted API server: however a watch ends, the cache is right again afterwards."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import orjson
import pytest

from streaming_operator.cluster.resources import SERVICES
from streaming_operator.errors import ClusterError, Expired, Forbidden, KindMissing, Unreachable
from streaming_operator.kube import decode
from streaming_operator.kube.client import Transport
from streaming_operator.kube.informer import LONGEST_BACKOFF_SECONDS, Change, Informer
from streaming_operator.kube.objects import StoredObject
from tests.unit.virtual_time import run

Step = bytes | ClusterError | Exception | Callable[[], None]


def an_object(name: str, version: int, uid: str | None = None, **spec: Any) -> dict[str, Any]:
    """A Service of that version."""
    metadata = {"name": name, "namespace": "demo", "uid": uid or name, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": spec}


def event(kind: str, body: dict[str, Any]) -> bytes:
    """One line of a watch."""
    return orjson.dumps({"type": kind, "object": body})


def bookmark(version: int) -> bytes:
    """A line that tells the version only."""
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


class ScriptedServer:
    """Answers lists from `objects`, and watches from one script each; without a script a watch is silent."""

    def __init__(self, *watches: list[Step]) -> None:
        self.objects: list[dict[str, Any]] = []
        self.version = 10
        self.page_size = 500
        self.watches = list(watches)
        self.list_errors: list[ClusterError] = []
        self.lists = 0
        self.versions: list[str] = []

    async def page(
        self, path: str, doing: str, *, query: Mapping[str, str], accept: str | None = None
    ) -> decode.Page:
        """One page of the list."""
        if self.list_errors:
            raise self.list_errors.pop(0)
        start = int(query.get("continue", "0"))
        self.lists += start == 0
        metadata = {"resourceVersion": str(self.version)}
        if start + self.page_size < len(self.objects):
            metadata["continue"] = str(start + self.page_size)
        return decode.page(
            orjson.dumps({"metadata": metadata, "items": self.objects[start : start + self.page_size]})
        )

    @asynccontextmanager
    async def watch(
        self, path: str, query: Mapping[str, str], doing: str, accept: str | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Play the next script."""
        self.versions.append(query["resourceVersion"])
        yield self._lines(self.watches.pop(0) if self.watches else None)

    async def _lines(self, script: list[Step] | None) -> AsyncIterator[bytes]:
        if script is None:
            await asyncio.sleep(1e9)
        for step in script or ():
            if isinstance(step, bytes):
                yield step
            elif isinstance(step, Exception):
                raise step
            else:
                step()


class Followed:
    """An informer of a scripted server, and all that it reported."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.reported: list[tuple[str | None, str | None]] = []
        self.informer = Informer(cast(Transport, server), SERVICES, StoredObject, self._changed)

    def _changed(self, old: StoredObject | None, new: StoredObject | None, change: Change) -> None:
        if change is Change.FOREIGN:
            self.reported.append((old and old.resource_version, new and new.resource_version))

    def follow(self, seconds: float = 600.0) -> dict[str, str]:
        """Let it run; returns name -> version of all that it knows then."""

        async def main() -> dict[str, str]:
            task = asyncio.create_task(self.informer.run())
            await asyncio.sleep(seconds)
            assert not task.done()
            task.cancel()
            return {stored.key[1]: stored.resource_version for stored in self.informer}

        return run(main())


def test_a_list_and_its_watch_become_the_cache() -> None:
    """Added, modified and deleted objects are reported once each, in order."""
    server = ScriptedServer(
        [
            event("ADDED", an_object("b", 11)),
            event("MODIFIED", an_object("a", 12, x=1)),
            event("DELETED", an_object("b", 13)),
        ]
    )
    server.objects = [an_object("a", 5)]
    followed = Followed(server)

    assert followed.follow() == {"a": "12"}
    assert followed.reported == [(None, "5"), (None, "11"), ("5", "12"), ("11", None)]


def test_pages_make_one_list() -> None:
    """A list longer than a page is read to its end before anything is reported as deleted."""
    server = ScriptedServer()
    server.objects = [an_object(f"o{n}", n + 1) for n in range(7)]
    server.page_size = 3

    assert len(Followed(server).follow()) == 7


def test_a_watch_that_ends_by_itself_goes_on_where_it_was() -> None:
    """The time-out of a watch costs no list; the version comes from events and bookmarks."""
    server = ScriptedServer([event("ADDED", an_object("a", 11))], [bookmark(42)])
    Followed(server).follow()

    assert server.lists == 1
    assert server.versions == ["10", "11", "42"]


@pytest.mark.parametrize(
    "ending",
    [
        Expired("410"),
        Unreachable("connection reset"),
        Forbidden("403"),
        KindMissing("404"),
        RuntimeError("nobody thought of this"),
        event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"}),
        event("ERROR", {"kind": "Status", "code": 500, "message": "etcd leader changed"}),
        b'{"type":"MODIFIED","object":{"metadata":{"na',
        b"<html>not JSON</html>",
        b'{"neither":"an event"}',
    ],
    ids=[
        "410",
        "reset",
        "403",
        "404",
        "unforeseen",
        "error 410",
        "error 500",
        "cut line",
        "html",
        "no event",
    ],
)
def test_however_a_watch_breaks_what_the_gap_hid_is_noticed(ending: Step) -> None:
    """After any end that is not a time-out it lists again, and reports what was deleted and what is new."""
    server = ScriptedServer([])
    server.objects = [an_object("stays", 1), an_object("goes", 2), an_object("made again", 3, uid="first")]

    def meanwhile() -> None:
        server.objects = [
            an_object("stays", 1),
            an_object("made again", 20, uid="second"),
            an_object("comes", 21),
        ]
        server.version = 30

    server.watches = [[meanwhile, ending]]
    followed = Followed(server)

    assert followed.follow() == {"stays": "1", "made again": "20", "comes": "21"}
    assert followed.reported[3:] == [("2", None), ("3", "20"), (None, "21")]
    assert server.versions == ["10", "30"]


def test_a_server_that_is_away_for_minutes_is_waited_for() -> None:
    """Lists that fail are tried again, ever more slowly, without an end."""
    server = ScriptedServer()
    server.objects = [an_object("a", 1)]
    server.list_errors = [Unreachable("503") for _ in range(20)]

    assert Followed(server).follow(1000) == {"a": "1"}


def test_silence_is_the_time_since_the_server_last_sent_something() -> None:
    """A list that fails again and again does not end it, although the informer moves."""
    server = ScriptedServer()
    server.watches = [
        [bookmark(11), lambda: server.list_errors.extend([Unreachable("away")] * 1000), Unreachable("cut")]
    ]

    async def main() -> tuple[float, float]:
        informer = Informer(cast(Transport, server), SERVICES, StoredObject, lambda *_: None)
        task = asyncio.create_task(informer.run())
        await asyncio.sleep(600)
        task.cancel()
        return informer.silence, informer.age

    silence, age = run(main())
    assert (silence, age < LONGEST_BACKOFF_SECONDS) == (600.0, True)


def test_what_is_not_kept_wakes_nobody() -> None:
    """An event that changes only the version is stored and not reported as a change."""
    server = ScriptedServer([event("MODIFIED", an_object("a", 11))])
    server.objects = [an_object("a", 5)]
    followed = Followed(server)

    assert followed.follow() == {"a": "11"}
    assert followed.reported == [(None, "5")]


def test_a_list_that_shows_nothing_new_wakes_nobody() -> None:
    """A new list after a broken watch, with newer versions of the same content, is no change of any object."""
    server = ScriptedServer([])
    server.objects = [an_object(f"o{n}", n + 1) for n in range(7)]

    def meanwhile() -> None:
        server.objects = [an_object(f"o{n}", n + 20) for n in range(7)]
        server.version = 30

    server.watches = [[meanwhile, Expired("410")]]
    followed = Followed(server)

    assert followed.follow() == {f"o{n}": str(n + 20) for n in range(7)}
    assert len(followed.reported) == 7
    assert server.lists == 2


def test_our_own_write_is_not_reported_and_no_older_event_replaces_it() -> None:
    """The answer to a write is in the cache at once; its event is ignored, an older one changes nothing."""
    server = ScriptedServer([])
    server.objects = [an_object("a", 5)]
    followed = Followed(server)

    def write() -> None:
        followed.informer.note(an_object("a", 12, x=1))
        followed.informer.note(an_object("b", 13))

    server.watches = [
        [write, event("MODIFIED", an_object("a", 11, x=0)), event("MODIFIED", an_object("a", 12, x=1))]
    ]

    assert followed.follow() == {"a": "12", "b": "13"}
    assert followed.reported == [(None, "5")]


def test_a_version_that_is_stored_already_is_not_stored_again() -> None:
    """Most events are of our own writes: what the response brought stays, and what was learnt of it."""
    server = ScriptedServer([])
    followed = Followed(server)
    stored: list[StoredObject] = []

    def write() -> None:
        stored.append(followed.informer.note(an_object("a", 12, x=1)))

    server.watches = [[write, event("ADDED", an_object("a", 12, x=1))]]

    assert followed.follow() == {"a": "12"}
    assert followed.informer.get(("demo", "a")) is stored[0]


@pytest.mark.parametrize("answered", [12, 11], ids=["ours", "somebody else's"])
def test_an_event_before_the_response_to_our_write_is_reported_only_if_it_is_not_ours(
    answered: int,
) -> None:
    """The watch may be faster than the answer: our own version is ignored, another one is reported in the end."""
    server = ScriptedServer([])
    server.objects = [an_object("a", 5)]
    followed = Followed(server)
    writing = followed.informer.writing(("demo", "a"))

    def answer() -> None:
        followed.informer.note(an_object("a", answered, x=1))
        writing.__exit__(None, None, None)

    server.watches = [[writing.__enter__, event("MODIFIED", an_object("a", 12, x=1)), answer]]

    assert followed.follow() == {"a": "12"}
    assert followed.reported == [(None, "5")] + [("12", "12")] * (answered != 12)


def test_a_response_that_comes_late_does_not_restore_a_deleted_object() -> None:
    """The watch reported the deletion before the response to our write came: it stays deleted."""
    server = ScriptedServer([])
    server.objects = [an_object("a", 5)]
    followed = Followed(server)

    def write() -> None:
        followed.informer.note(an_object("a", 11, x=1))

    server.watches = [[event("DELETED", an_object("a", 12)), write]]

    assert followed.follow() == {}
    assert followed.reported == [(None, "5"), ("5", None)]


def test_what_we_write_to_an_object_that_had_lost_its_label_is_known_at_once() -> None:
    """It is told as deleted when it leaves what is listed: until the event of our write a pass would write it again."""
    server = ScriptedServer([])
    server.objects = [an_object("a", 5)]
    followed = Followed(server)

    def write() -> None:
        followed.informer.note(an_object("a", 13))

    server.watches = [[event("DELETED", an_object("a", 12)), write, event("ADDED", an_object("a", 13))]]

    assert followed.follow() == {"a": "13"}
    assert followed.reported == [(None, "5"), ("5", None)]


def test_a_watch_that_ends_at_once_is_not_opened_again_at_once() -> None:
    """A proxy or a server that shuts down answers 200 and nothing else: the watches back off, without a new list."""
    server = ScriptedServer(*([] for _ in range(1000)))
    Followed(server).follow(60.0)

    assert server.lists == 1
    assert len(server.versions) < 15


def test_what_we_made_while_a_list_was_under_way_is_not_reported_as_deleted() -> None:
    """The list was taken before our write: the object stays, and a later write of it is taken in as well."""
    server = ScriptedServer()
    followed = Followed(server)
    answer = server.page

    async def slow(*words: Any, **more: Any) -> Any:
        followed.informer.note(an_object("made", 11))
        return await answer(*words, **more)

    server.page = slow  # type: ignore[method-assign]

    assert followed.follow() == {"made": "11"}
    assert followed.reported == []
    followed.informer.note(an_object("made", 12))
    assert [stored.resource_version for stored in followed.informer] == ["12"]


def test_a_list_is_right_also_where_its_versions_are_lower() -> None:
    """After a restore of etcd from a backup versions begin lower: what the server lists replaces what was known."""
    server = ScriptedServer([])
    server.objects = [an_object("a", 900, replicas=5)]
    server.version = 900

    def restored() -> None:
        server.objects = [an_object("a", 100, replicas=1)]
        server.version = 100

    server.watches = [[restored, Expired("410")], [event("MODIFIED", an_object("a", 101, replicas=2))]]
    followed = Followed(server)

    assert followed.follow() == {"a": "101"}
    assert followed.reported == [(None, "900"), ("900", "100"), ("100", "101")]
