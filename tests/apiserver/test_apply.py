"""Writing children to a real API server: what is written, what is not, refused, or taken away."""

from pathlib import Path
from typing import Any

import pytest

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster.apply import Applier
from streaming_operator.cluster.drift import APPLIED_HASH
from streaming_operator.cluster.objects import Cached
from streaming_operator.cluster.write import Child
from streaming_operator.errors import (
    ClusterError,
    Conflict,
    EndpointGone,
    Forbidden,
    KindMissing,
    NotOurs,
    Rejected,
)
from streaming_operator.kube.client import Transport
from streaming_operator.values import Manifest
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import an_endpoint, as_service_account, connected, exists, of_kind, versions

pytestmark = pytest.mark.apiserver


def titles(children: tuple[Manifest, ...]) -> tuple[str, ...]:
    """`Kind/name` of each."""
    return tuple(f"{child['kind']}/{child['metadata']['name']}" for child in children)


async def test_a_second_apply_writes_nothing(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first apply makes every child; the second, of the same rendering, sends no request at all."""
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        first = await here.cluster.apply(endpoint, children)
        stored, requests = versions(control_plane, children), dict(here.cluster.requests)

        second = await here.cluster.apply(endpoint, children)

        assert first.written == titles(children)
        assert second.written == ()
        assert here.cluster.requests == requests
        assert versions(control_plane, children) == stored


async def test_a_restarted_operator_writes_nothing(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no memory but the cluster's, an unchanged endpoint costs no write; amounts in any spelling."""
    amounts = {"requests": {"cpu": "1500m", "memory": "2048Mi"}, "limits": {"cpu": "1.5"}}
    endpoint = an_endpoint(control_plane, namespace, resources=amounts, replicas=2)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        await here.cluster.apply(endpoint, here.children(endpoint))
    async with connected(control_plane.kubeconfig, monkeypatch) as again:
        applied = await again.cluster.apply(endpoint, again.children(endpoint))

        assert (applied.writes, again.writes) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Deployment", {"spec": {"replicas": 7}}),
        ("Deployment", {"metadata": {"labels": {"app.kubernetes.io/name": "stranger"}}}),
        ("Service", {"spec": {"selector": {"app": "stranger"}}}),
        ("Service", {"spec": {"ports": [{"name": "http", "port": 9999, "targetPort": "http"}]}}),
        ("Ingress", {"metadata": {"annotations": {APPLIED_HASH: None}}}),
        ("Ingress", {"spec": {"rules": [{"host": "elsewhere.example.com"}]}}),
        ("ServiceMonitor", {"spec": {"endpoints": [{"port": "other"}]}}),
        ("PrometheusRule", {"spec": {"groups": []}}),
    ],
)
async def test_an_edit_by_hand_is_repaired_and_nothing_else_is_written(
    control_plane: ControlPlane,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    change: dict[str, Any],
) -> None:
    """The edit wakes the endpoint, the next apply restores that child alone, one more writes nothing."""
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        child = of_kind(children, kind)
        before = versions(control_plane, children)
        here.woken.clear()

        edited = control_plane.patch(child, change)["metadata"]["resourceVersion"]
        await here.until_woken(endpoint.key)
        applied = await here.cluster.apply(endpoint, children)

        after = versions(control_plane, children)
        title = f"{kind}/{child['metadata']['name']}"
        assert applied.written == (title,)
        assert {name for name, version in after.items() if version != before[name]} == {title}
        assert edited != after[title]
        assert (await here.cluster.apply(endpoint, children)).writes == 0


async def test_a_child_deleted_by_hand_comes_back(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind of child: its deletion wakes the endpoint and the next apply makes it again, and it alone."""
    endpoint = an_endpoint(control_plane, namespace, replicas=2)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        for child in children:
            here.woken.clear()
            control_plane.delete(child)
            await here.until_woken(endpoint.key)

            assert (await here.cluster.apply(endpoint, children)).written == titles((child,))
            assert exists(control_plane, child)


async def test_what_others_add_stays_and_asks_for_no_write(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label, an annotation or a sidecar of somebody else is theirs."""
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        here.woken.clear()
        service = of_kind(children, "Service")
        control_plane.patch(service, {"metadata": {"labels": {"team": "x"}, "annotations": {"note": "y"}}})
        await here.until_woken(endpoint.key)

        assert (await here.cluster.apply(endpoint, children)).writes == 0
        assert control_plane.get(service)["metadata"]["labels"]["team"] == "x"


@pytest.mark.parametrize("restarted", [False, True], ids=["same operator", "restarted operator"])
async def test_a_field_that_is_no_longer_rendered_is_removed(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    """Also when the operator was restarted in between and remembers nothing of the field."""
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        service = of_kind(children, "Service")
        annotated = {**service, "metadata": {**service["metadata"], "annotations": {"example.com/once": "1"}}}
        with_it = tuple(annotated if child is service else child for child in children)
        await here.cluster.apply(endpoint, with_it)
        assert control_plane.get(service)["metadata"]["annotations"]["example.com/once"] == "1"
        if not restarted:
            await here.cluster.apply(endpoint, children)
    if restarted:
        async with connected(control_plane.kubeconfig, monkeypatch) as again:
            await again.cluster.apply(endpoint, children)

    assert "example.com/once" not in control_plane.get(service)["metadata"].get("annotations", {})


OWNERS = {
    "nobody": [],
    "another controller": [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "foreign", "uid": "0-0-0", "controller": True}
    ],
}


@pytest.mark.parametrize("owners", OWNERS.values(), ids=OWNERS)
@pytest.mark.parametrize("labelled", [False, True], ids=["without our label", "with our label"])
async def test_an_object_that_is_not_ours_is_refused_and_nothing_is_written(
    control_plane: ControlPlane,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    owners: list[dict[str, Any]],
    labelled: bool,
) -> None:
    """The refusal names the object and its owner; no other child is made, the object stays as it was."""
    endpoint = an_endpoint(control_plane, namespace)
    labels = {"app.kubernetes.io/managed-by": "streaming-operator"} if labelled else {}
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "chat", "namespace": namespace, "ownerReferences": owners, "labels": labels},
        "spec": {"ports": [{"port": 1234}]},
    }
    before = control_plane.create(foreign)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        with pytest.raises(NotOurs) as refusal:
            await here.cluster.apply(endpoint, children)

        assert "Service/chat" in str(refusal.value)
        assert ("ReplicaSet/foreign" if owners else "controlled by nobody") in str(refusal.value)
        assert here.writes == 0
        assert titles(tuple(child for child in children if exists(control_plane, child))) == ("Service/chat",)
        assert (
            control_plane.get(foreign)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        )


async def test_what_is_no_longer_rendered_is_pruned(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without exposure the Ingress goes; what else the namespace holds stays."""
    endpoint = an_endpoint(control_plane, namespace)
    bystander = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "bystander", "namespace": namespace},
    }
    control_plane.create(bystander)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        ingress = of_kind(children, "Ingress")

        applied = await here.cluster.apply(
            endpoint, tuple(child for child in children if child is not ingress)
        )

        assert (applied.pruned, applied.written) == (titles((ingress,)), ())
        assert not exists(control_plane, ingress)
        assert exists(control_plane, bystander)


async def test_a_config_map_that_a_pod_still_mounts_is_kept(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pods that drain need their script; the old ConfigMap goes when the last of them has gone."""
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        old = of_kind(children, "ConfigMap")
        new = {**old, "metadata": {**old["metadata"], "name": "chat-engine-0123456789"}}
        await here.cluster.apply(endpoint, children)
        pod = a_pod(endpoint, old["metadata"]["name"])
        here.woken.clear()
        control_plane.create(pod)
        await here.until_woken(endpoint.key)
        swapped = tuple(new if child is old else child for child in children)

        assert (await here.cluster.apply(endpoint, swapped)).pruned == ()
        here.woken.clear()
        control_plane.request("DELETE", control_plane.path(pod), gracePeriodSeconds="0")
        await here.until_woken(endpoint.key)
        assert (await here.cluster.apply(endpoint, swapped)).pruned == titles((old,))


def a_pod(endpoint: StreamingEndpoint, config_map: str) -> Manifest:
    """A pod as the Deployment's ReplicaSet would make it, mounting that ConfigMap."""
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "chat-1",
        "uid": "1-1",
        "controller": True,
    }
    labels = {
        "app.kubernetes.io/managed-by": "streaming-operator",
        "streamingendpoints.dev/endpoint": endpoint.name,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "chat-1-x",
            "namespace": endpoint.namespace,
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [{"name": "engine", "image": "none"}],
            "volumes": [{"name": "files", "configMap": {"name": config_map}}],
        },
    }


async def test_an_update_does_not_restore_an_object_that_was_deleted_meanwhile(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that goes between look and write is not made again by that write, only after a fresh look."""
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        service = of_kind(children, "Service")
        changed = {**service, "metadata": {**service["metadata"], "annotations": {"example.com/new": "1"}}}
        control_plane.delete(service)  # no await since: the cache still holds it

        with pytest.raises(Conflict):
            await here.cluster.apply(
                endpoint, tuple(changed if child is service else child for child in children)
            )

        assert not exists(control_plane, service)


MADE_MEANWHILE: dict[str, dict[str, Any]] = {
    "Deployment": {
        "selector": {"matchLabels": {"app": "theirs"}},
        "template": {
            "metadata": {"labels": {"app": "theirs"}},
            "spec": {"containers": [{"name": "theirs", "image": "theirs"}]},
        },
    },
    "Service": {"selector": {"app": "theirs"}, "ports": [{"port": 1234}]},
    "Ingress": {
        "defaultBackend": {"service": {"name": "theirs", "port": {"number": 80}}},
        "ingressClassName": "theirs",
    },
}
"""Specs of objects of others, by kind."""


@pytest.mark.parametrize("kind", MADE_MEANWHILE)
async def test_an_object_that_others_make_between_look_and_write_stays_theirs(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Nothing of its name was there a moment ago: the API server refuses the write, and their object is as it was."""
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        ours = of_kind(children, kind)
        name = {"name": ours["metadata"]["name"], "namespace": namespace}
        theirs = {
            "apiVersion": ours["apiVersion"],
            "kind": kind,
            "metadata": name,
            "spec": MADE_MEANWHILE[kind],
        }
        find = Applier._find
        made: list[Any] = []

        async def look(applier: Applier, looking_for: StreamingEndpoint, child: Child) -> Cached | None:
            found = await find(applier, looking_for, child)
            if child.kind.kind == kind and not made:
                made.append(control_plane.create(theirs))
            return found

        monkeypatch.setattr(Applier, "_find", look)
        with pytest.raises(Conflict):
            await here.cluster.apply(endpoint, children)

    stored = control_plane.get(theirs)
    assert (stored["metadata"].get("ownerReferences"), stored["spec"]) == (None, made[0]["spec"])


@pytest.mark.parametrize("made_again", [False, True], ids=["gone", "another of its name"])
async def test_no_child_is_made_for_an_endpoint_that_is_gone(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch, made_again: bool
) -> None:
    """An operator that missed the deletion finds out before it creates anything."""
    endpoint = an_endpoint(control_plane, namespace)
    control_plane.delete(body_of(endpoint))
    if made_again:
        an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        with pytest.raises(EndpointGone):
            await here.cluster.apply(endpoint, children)

        assert here.writes == 0
        assert not any(exists(control_plane, child) for child in children)


def body_of(endpoint: StreamingEndpoint) -> Manifest:
    """The name of the endpoint's own object."""
    return {
        "apiVersion": "streamingendpoints.dev/v1alpha1",
        "kind": "StreamingEndpoint",
        "metadata": {"name": endpoint.name, "namespace": endpoint.namespace},
    }


async def test_missing_rights_are_reported_as_such(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """RBAC that lacks a verb ends in `Forbidden` with the API server's own words."""
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(as_service_account(control_plane, namespace, tmp_path, rules), monkeypatch) as here:
        with pytest.raises(Forbidden, match="cannot patch resource"):
            await here.cluster.apply(endpoint, here.children(endpoint))


@pytest.mark.parametrize("error", [KindMissing, Forbidden])
async def test_a_kind_that_cannot_be_read_keeps_no_other_child_from_being_written(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch, error: type[ClusterError]
) -> None:
    """Its CRD was removed a moment ago, or the role lacks it: a new endpoint has its other children all the same."""
    real = Transport.read

    async def without_monitors(self: Transport, path: str, doing: str, **more: Any) -> Any:
        if "/servicemonitors/" in path:
            raise error(f"cannot {doing}")
        return await real(self, path, doing, **more)

    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        monkeypatch.setattr(Transport, "read", without_monitors)
        with pytest.raises(error, match="cannot read ServiceMonitor/chat"):
            await here.cluster.apply(endpoint, children)

        missing = [child["kind"] for child in children if not exists(control_plane, child)]
        assert missing == ["ServiceMonitor"]
        monkeypatch.setattr(Transport, "read", real)
        assert (await here.cluster.apply(endpoint, children)).written == ("ServiceMonitor/chat",)


async def test_what_the_server_refuses_names_the_field(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong value in a free-form field of the spec ends in `Rejected`, naming object and path."""
    endpoint = an_endpoint(control_plane, namespace, tolerations=[{"key": "gpu", "operator": "Sometimes"}])
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        with pytest.raises(Rejected, match=r"write Deployment/chat in .*tolerations\[0\]\.operator"):
            await here.cluster.apply(endpoint, here.children(endpoint))
