"""
The watch of the endpoints by kopf: it logs in, and is started again whenever kopf ends.

kopf ends itself on a long 5xx, a 404 or a cut line, and cancels every task of its loop when it stops: hence a
thread and a loop of its own (docs/decisions/0003-kopf-in-its-own-thread.md). It writes nothing, holds no
finalizer and decides nothing; all it does is hand bodies over to the main loop. What it reads has been read and trimmed
before (docs/decisions/0038-one-object-costs-itself.md).
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from typing import Any

import aiohttp
import kopf

from streaming_operator.api.endpoint import GROUP, KIND, PLURAL, VERSION
from streaming_operator.cluster import objects
from streaming_operator.kinds import Key
from streaming_operator.kube.checked_session import CheckedSession
from streaming_operator.kube.credentials import Credentials
from streaming_operator.kube.request_count import counting
from streaming_operator.values import Identity

log = logging.getLogger(__name__)

Body = Mapping[str, Any]

Session = kopf.AiohttpSession

LIST_PAGE = 25
"""Endpoints on one page of kopf's list: at their largest, 1.5 MiB in etcd, all of them are 40 MB."""

WORKER_IDLE = 0.2
"""
Seconds that kopf keeps a task, a queue and the last event of an object after that: 5 by default, in which a list of
thousands of endpoints has all of them at once.
"""

LOGIN_BACKOFF = 5.0
"""Seconds between two tries to log in."""

RESTART_PAUSES = (1.0, 2.0, 5.0, 15.0, 30.0)
"""Seconds before kopf is started again, growing while it does not stay up."""

STEADY = 60.0
"""After a run of more seconds than this, the pauses start anew."""

STOP_PATIENCE = 10.0
"""Seconds that kopf's thread gets to end; it is a daemon thread, so that it cannot hold the process."""


class EndlessBackoff:
    """Endless pauses for kopf's own retries of a request; by default it leaves after 54 s of 5xx."""

    def __iter__(self) -> Iterator[float]:
        yield from (1, 1, 2, 3, 5, 8, 13, 21)
        while True:
            yield 30


class NoProgress(kopf.ProgressStorage):
    """Keeps nothing: only `on.event` is used, and nothing may be written to the resource."""

    def fetch(self, **_: Any) -> None:
        """Know of no progress."""

    def store(self, **_: Any) -> None:
        """Store nothing."""

    def purge(self, **_: Any) -> None:
        """Have nothing to purge."""

    def touch(self, **_: Any) -> None:
        """Touch nothing."""

    def clear(self, *, essence: Any) -> Any:
        """Leave the body as it is."""
        return essence


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps nothing, and builds nothing: the default copies every body three times an event."""

    def build(self, **_: Any) -> Any:
        """Build no essence."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Know of no last-handled configuration."""

    def store(self, **_: Any) -> None:
        """Store nothing."""


async def login() -> Session:
    """
    A session of kopf's own loop with the same credentials as everything else.

    kopf asks again after a 401, so a replaced service account token is read anew.
    """
    credentials = await Credentials.load()
    connector = aiohttp.TCPConnector(ssl=credentials.tls(), limit=4)
    session = aiohttp.ClientSession(
        connector=connector, headers=await credentials.authorization(), trace_configs=[counting()]
    )
    return kopf.AiohttpSession(aiohttp_session=session, server=credentials.server)


class _KopfRun:
    """
    One run of kopf in a loop of its own; `stop` may be called from any thread.

    The stop flag is an event of that loop: kopf waits for a `threading.Event` in an executor's thread, which
    would keep the loop from ending when kopf leaves by itself.
    """

    def __init__(self, registry: kopf.OperatorRegistry, namespaces: tuple[str, ...]) -> None:
        self._registry = registry
        self._namespaces = namespaces
        self._lock = threading.Lock()
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flag: asyncio.Event | None = None

    async def operate(self) -> None:
        """Run until stopped, or until kopf leaves by itself."""
        flag = asyncio.Event()
        with self._lock:
            if self._stopped:
                return
            self._loop, self._flag = asyncio.get_running_loop(), flag
        try:
            await kopf.operator(
                registry=self._registry,
                settings=operator_settings(),
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                standalone=True,
                stop_flag=flag,
            )
        finally:
            with self._lock:
                self._loop = None

    def stop(self) -> None:
        """Ask it to end."""
        with self._lock:
            self._stopped = True
            if self._loop is not None and self._flag is not None:
                self._loop.call_soon_threadsafe(self._flag.set)


class KopfWatch:
    """Runs kopf beside the main loop; the three functions are called in the main loop."""

    def __init__(
        self,
        namespaces: Collection[str],
        login: Callable[[], Awaitable[Session]],
        on_update: Callable[[Key, Body], None],
        on_delete: Callable[[Identity], None],
        on_list: Callable[[], None],
    ) -> None:
        self._namespaces = tuple(namespaces)
        self._login = login
        self._on_update, self._on_delete, self._on_list = on_update, on_delete, on_list
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()

    @property
    def silence(self) -> float:
        """Seconds since the API server last sent something of the endpoints, or since the start."""
        return self._loop.time() - self._heard

    async def run(self) -> None:
        """Keep kopf running until this task is cancelled; each ending is logged with its cause."""
        ended = 0
        while True:
            started = self._loop.time()
            await self._once()
            ended = 1 if self._loop.time() - started > STEADY else ended + 1
            pause = RESTART_PAUSES[min(ended, len(RESTART_PAUSES)) - 1]
            log.warning("kopf ended and is started again", extra={"pause_seconds": pause})
            await asyncio.sleep(pause)

    async def _once(self) -> None:
        """One run of kopf, in a daemon thread."""
        done = asyncio.Event()
        current = _KopfRun(self._registry(), self._namespaces)

        def run() -> None:
            try:
                asyncio.run(current.operate())
            except Exception as error:  # noqa: BLE001 - whatever ended it: it is logged, and kopf is started again
                log.warning("kopf failed", extra={"cause": f"{type(error).__name__}: {error}"})
            finally:
                if not self._loop.is_closed():
                    self._loop.call_soon_threadsafe(done.set)

        thread = threading.Thread(target=run, name="kopf", daemon=True)
        thread.start()
        try:
            await done.wait()
        except asyncio.CancelledError:
            current.stop()
            await asyncio.to_thread(thread.join, STOP_PATIENCE)
            raise

    def _registry(self) -> kopf.OperatorRegistry:
        """The only two handlers: log in, and hand an event over."""
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry, backoff=LOGIN_BACKOFF)
        async def login(**_: Any) -> Session:
            session = await self._login()
            checked: Any = CheckedSession(
                session.aiohttp_session, KIND, f"/{PLURAL}", objects.endpoint, self._hear
            )
            return kopf.AiohttpSession(aiohttp_session=checked, server=session.server)

        @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
        async def endpoint_event(*, event: Any, **_: Any) -> None:
            self._loop.call_soon_threadsafe(self._hand_over, event)

        return registry

    def _hear(self) -> None:
        """Note, in any thread, that the API server has sent something."""
        self._heard = self._loop.time()

    def _hand_over(self, event: Mapping[str, Any]) -> None:
        """In the main loop: keep the body, or forget the endpoint. kopf keeps the order of events by uid only."""
        identity = Identity.of(event["object"]["metadata"])
        if event.get("type") == "DELETED":
            self._on_delete(identity)
            return
        if event.get("type") is None:  # from a list: kopf never reports what was deleted before it
            self._on_list()
        self._on_update(identity.key, event["object"])


def operator_settings() -> kopf.OperatorSettings:
    """Settings under which kopf watches and does nothing else."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.progress_storage = NoProgress()
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.networking.request_timeout = 15
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = EndlessBackoff()
    settings.watching.chunk_size = LIST_PAGE
    settings.queueing.idle_timeout = WORKER_IDLE
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.process.ultimate_exiting_timeout = STOP_PATIENCE
    return settings


async def roll_call(
    known: Callable[[], Collection[Identity]],
    listing: Callable[[], Awaitable[Collection[Identity]]],
    gone: Callable[[Identity], None],
    missed: Callable[[Key], Awaitable[None]],
) -> None:
    """
    Compare what is known with one list of identities: what a gap hid from kopf is found here.

    An endpoint that was deleted and made again while the list was under way has another uid than the one that the
    list lacks, and stays.
    """
    before = frozenset(known())
    listed = frozenset(await listing())
    for endpoint in before - listed:
        log.info("endpoint is gone, its deletion was not seen", extra={"endpoint": "/".join(endpoint.key)})
        gone(endpoint)
    for endpoint in listed - frozenset(known()):
        await missed(endpoint.key)
