"""Events: what happens again is counted, for as long as the API server keeps it, and what is remembered is bounded."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from streaming_operator.cluster import events
from streaming_operator.cluster.events import Publisher
from streaming_operator.errors import ClusterError, Forbidden, NotFound, Unreachable
from streaming_operator.kube.client import Transport
from tests.unit.cluster.test_hosts import an_endpoint


class Server:
    """Events in memory: how often each happened; `refusal` is what a count is refused with."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.refusal: ClusterError | None = None
        self.now = 0.0

    async def create(self, path: str, manifest: Mapping[str, Any], doing: str) -> None:
        self.counts[manifest["metadata"]["name"]] = 1

    async def merge(self, path: str, change: Mapping[str, Any], doing: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.counts[path.rsplit("/", 1)[1]] = change["series"]["count"]

    def publisher(self) -> Publisher:
        """A publisher with this server and this clock."""
        return Publisher(cast(Transport, self), clock=lambda: self.now)


def told(server: Server, *pauses: float) -> list[int]:
    """The same thing happens, and again after each pause; how often each Event says that it did."""

    async def main() -> None:
        publisher = server.publisher()
        await publisher.publish(
            an_endpoint("chat", "2026-11-26T12:00:00Z"), "Warning", "Buffered", "held back"
        )
        for pause in pauses:
            server.now += pause
            await publisher.publish(
                an_endpoint("chat", "2026-11-26T12:00:00Z"), "Warning", "Buffered", "held back"
            )

    asyncio.run(main())
    return list(server.counts.values())


def test_a_series_ends_when_nothing_happens_for_long() -> None:
    """The API server deletes Events after an hour: what comes later is a new one."""
    assert told(Server(), 60, 60, events.SERIES_SECONDS + 1, 60) == [3, 2]


@pytest.mark.parametrize("refusal", [NotFound("gone"), Forbidden("no patch")], ids=["gone", "forbidden"])
def test_what_cannot_be_counted_is_told_anew(refusal: ClusterError) -> None:
    """A role of an earlier version has no `patch`: nothing is lost by it."""
    server = Server()
    server.refusal = refusal
    assert told(server, 60, 60) == [1, 1, 1]


def test_an_api_server_that_does_not_answer_costs_one_event() -> None:
    """It is not asked twice, and the next occurrence is told."""
    server = Server()
    server.refusal = Unreachable("no answer")
    assert told(server, 60, 60) == [1, 1]


def test_no_more_is_remembered_than_was_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes with changing numbers are different Events, and the oldest of them are forgotten."""
    monkeypatch.setattr(events, "MOST_REMEMBERED", 10)
    server = Server()

    async def main() -> int:
        publisher = server.publisher()
        for number in range(100):
            await publisher.publish(
                an_endpoint("chat", "2026-11-26T12:00:00Z"), "Warning", "Buffered", f"after {number} s"
            )
        return len(publisher._told)

    assert asyncio.run(main()) == 10
