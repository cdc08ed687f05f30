"""A connected `Cluster` for tests: endpoints in a namespace, which of them were woken, and a connection to cut."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from streaming_operator import render
from streaming_operator.api.endpoint import API_VERSION, KIND, StreamingEndpoint
from streaming_operator.cluster import Cluster
from streaming_operator.kinds import Key
from streaming_operator.settings import Settings
from streaming_operator.values import Manifest
from tests.apiserver.client import ApiClient, ApiError, Object
from tests.apiserver.control_plane import ControlPlane

PATIENCE = 60.0
"""Seconds until a test that waits for an event gives up."""


class Connected:
    """A started `Cluster`, and the keys that it woke."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.woken: list[Key] = []

    def children(self, endpoint: StreamingEndpoint) -> tuple[Manifest, ...]:
        """What is rendered for the endpoint now."""
        return render.children(endpoint, self.cluster.capabilities())

    @property
    def writes(self) -> int:
        """Requests so far that change something."""
        return sum(count for method, count in self.cluster.requests.items() if method != "GET")

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until *holds*."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds():  # noqa: ASYNC110 - watched from outside, as a user would
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not within {PATIENCE:.0f} s: {what}") from None

    async def until_woken(self, key: Key) -> None:
        """Wait until the key is woken (again, after a `clear` of `woken`)."""
        await self.until(lambda: key in self.woken, f"{key} is woken")


@asynccontextmanager
async def connected(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings | None = None
) -> AsyncIterator[Connected]:
    """Connect as *kubeconfig* says and fill the caches."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    cluster = await Cluster.connect(settings or Settings())
    connection = Connected(cluster)
    try:
        await cluster.start(connection.woken.append)
        yield connection
    finally:
        await cluster.close()


def an_endpoint(plane: ControlPlane, namespace: str, name: str = "chat", **spec: Any) -> StreamingEndpoint:
    """Create a StreamingEndpoint and read it back as the operator does."""
    body = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"source": {"huggingFace": {"repo": "org/model"}}},
            "exposure": {"host": f"{name}.{namespace}.example.com", "ingress": {"className": "nginx"}},
            **spec,
        },
    }
    return StreamingEndpoint.from_body(plane.create(body))


def versions(plane: ControlPlane, children: tuple[Manifest, ...]) -> dict[str, str]:
    """`Kind/name` -> resource version of each child as it is stored."""
    return {
        f"{child['kind']}/{child['metadata']['name']}": plane.get(child)["metadata"]["resourceVersion"]
        for child in children
    }


def exists(plane: ControlPlane, child: Manifest) -> bool:
    """Whether the object that *child* names is stored."""
    try:
        plane.get(child)
    except ApiError as refusal:
        if refusal.status != 404:
            raise
        return False
    return True


def of_kind(children: tuple[Manifest, ...], kind: str) -> Manifest:
    """The one child of that kind."""
    return next(child for child in children if child["kind"] == kind)


def as_service_account(plane: ControlPlane, namespace: str, folder: Path, rules: list[Object]) -> Path:
    """A kubeconfig of a service account that may do what *rules* (of a ClusterRole) say and nothing else."""
    name = f"limited-{namespace}"
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
    }
    group = "rbac.authorization.k8s.io"
    plane.create(account)
    plane.create(
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
    )
    plane.create(
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }
    )
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
    token = plane.request("POST", f"{plane.path(account)}/token", request)["status"]["token"]
    until_allowed(ApiClient(plane.server, token, plane.ca), rules)
    return write_kubeconfig(folder / "limited", plane.server, token, plane.ca)


def until_allowed(client: ApiClient, rules: list[Object], namespace: str = "") -> None:
    """
    Wait until the client may do what *rules* say, in a namespace or everywhere: the API server decides by what it
    watches, and hears of a new binding a moment later.
    """
    review: Object = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    deadline = time.monotonic() + PATIENCE
    for asked in (one for rule in rules for one in _questions(rule, namespace)):
        answer: Object = {}
        while not answer.get("allowed"):
            assert time.monotonic() < deadline, f"still not allowed: {asked}: {answer}"
            path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            answer = client.request("POST", path, review | {"spec": asked})["status"]
            time.sleep(0 if answer["allowed"] else 0.05)


def _questions(rule: Object, namespace: str) -> list[Object]:
    """A question, as a review has it, for everything that a rule allows."""
    if "nonResourceURLs" in rule:
        pairs = itertools.product(rule["nonResourceURLs"], rule["verbs"])
        return [{"nonResourceAttributes": {"path": path, "verb": verb}} for path, verb in pairs]
    names = rule.get("resourceNames") or [""]
    questions = []
    for group, resource, verb, name in itertools.product(
        rule["apiGroups"], rule["resources"], rule["verbs"], names
    ):
        kind, _, part = resource.partition("/")
        what = {"group": group, "resource": kind, "subresource": part, "verb": verb, "name": name}
        questions.append({"resourceAttributes": what | {"namespace": namespace}})
    return questions


def write_kubeconfig(path: Path, server: str, token: str, ca: Path, namespace: str = "default") -> Path:
    """A kubeconfig with one cluster and one user, who works in *namespace*."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [
            {"name": "test", "context": {"cluster": "test", "user": "user", "namespace": namespace}}
        ],
        "current-context": "test",
    }
    path.write_text(json.dumps(config))
    return path


class TcpProxy:
    """A TCP proxy to the API server that can be cut and restored; TLS passes through unchanged."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.up = True
        self.refused = 0

    @property
    def port(self) -> int:
        """The local port that it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Reset what is open, and whatever is opened from now on."""
        self.up = False
        for writer in self._open:
            writer.transport.abort()

    def restore(self) -> None:
        """Let connections through again."""
        self.up = True

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.up:
            self.refused += 1
            writer.transport.abort()
            return
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._open |= {writer, upstream_writer}
        try:
            await asyncio.gather(_copy(reader, upstream_writer), _copy(upstream_reader, writer))
        except OSError:
            pass
        finally:
            self._open -= {writer, upstream_writer}
            writer.close()
            upstream_writer.close()

    async def __aenter__(self) -> "TcpProxy":
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self.cut()
        self._server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way until their end."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
