"""Caches against a real API server: what a lost connection hides, what a kind that is installed late changes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streaming_operator import routes
from streaming_operator.api.crd import UNOBSERVED
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Reason
from streaming_operator.cluster import facade, resources
from streaming_operator.errors import Conflict, EndpointGone, Expired, NotFound, Rejected
from streaming_operator.kube.client import Transport
from streaming_operator.settings import EdgeSetting, Settings
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import (
    TcpProxy,
    an_endpoint,
    as_service_account,
    connected,
    exists,
    of_kind,
    write_kubeconfig,
)

pytestmark = pytest.mark.apiserver

INGRESS_CLASS = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass"}


def a_class(name: str, controller: str) -> dict[str, Any]:
    """An IngressClass."""
    return {**INGRESS_CLASS, "metadata": {"name": name}, "spec": {"controller": controller}}


async def test_what_happened_while_the_connection_was_cut_is_noticed(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A child deleted and one edited during the cut both wake their endpoint, and are repaired."""
    endpoint = an_endpoint(control_plane, namespace)
    async with TcpProxy(int(control_plane.server.rsplit(":", 1)[1])) as proxy:
        server = f"https://127.0.0.1:{proxy.port}"
        kubeconfig = write_kubeconfig(tmp_path / "proxy", server, control_plane.token, control_plane.ca)
        async with connected(kubeconfig, monkeypatch) as here:
            children = here.children(endpoint)
            await here.cluster.apply(endpoint, children)
            proxy.cut()
            await here.until(lambda: proxy.refused > 0, "the informers tried again")
            here.woken.clear()
            control_plane.delete(of_kind(children, "Service"))
            control_plane.patch(of_kind(children, "Deployment"), {"spec": {"replicas": 5}})
            proxy.restore()
            repaired: set[str] = set()
            while repaired != {"Service/chat", "Deployment/chat"}:
                await here.until(lambda: endpoint.key in here.woken, f"a change besides {repaired or 'none'}")
                here.woken.clear()
                repaired |= set((await here.cluster.apply(endpoint, children)).written)


async def test_a_version_that_is_too_old_is_an_error_of_its_own(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server's real 410 becomes `Expired`, upon which an informer lists again."""
    an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch):
        transport = await Transport.open(connections=1, field_manager="test")
        try:
            query = {"watch": "1", "resourceVersion": "1", "timeoutSeconds": "5"}
            with pytest.raises(Expired):
                await told_by(transport, query)
        finally:
            await transport.close()


async def told_by(transport: Transport, query: dict[str, str]) -> None:
    """Follow a watch to its end; a 410 comes as a status or, on older servers, as an event."""
    async with transport.watch(resources.SERVICE_MONITORS.path(), query, "watch") as lines:
        async for line in lines:
            if b'"code":410' in line:
                raise Expired("as an event")


async def test_classes_and_gateways_are_seen_as_they_come(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known controller is recognised, an unknown one is generic, the administrator's setting overrides both."""
    known, other, listed = f"known-{namespace}", f"other-{namespace}", f"listed-{namespace}"
    settings = Settings(
        edges=(EdgeSetting(class_name=listed, profile="ingress-nginx", service="infra/edge", http_port=8080),)
    )
    async with connected(control_plane.kubeconfig, monkeypatch, settings) as here:
        exposure = {"host": f"a.{namespace}.example.com", "ingress": {"className": known}}
        endpoint = an_endpoint(control_plane, namespace, exposure=exposure)
        elsewhere = an_endpoint(control_plane, namespace, "elsewhere")
        for one in (endpoint, elsewhere):
            await here.cluster.apply(one, here.children(one))
        here.woken.clear()
        control_plane.create(a_class(known, "k8s.io/ingress-nginx"))
        control_plane.create(a_class(other, "example.com/other"))
        control_plane.create(a_class(listed, "example.com/other"))
        await here.until(
            lambda: listed in here.cluster.capabilities().ingress_classes, "the classes are known"
        )

        classes = here.cluster.capabilities().ingress_classes
        assert [classes[name].profile for name in (known, other, listed)] == [
            "ingress-nginx",
            "generic",
            "ingress-nginx",
        ]
        assert (classes[listed].service, classes[listed].http_port) == ("infra/edge", 8080)
        assert endpoint.key in here.woken
        assert elsewhere.key not in here.woken


async def test_what_a_reload_does_to_streams_is_read_where_it_is_set(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ingress-nginx' ConfigMap: said in `Exposed` before it happens, and no more once the administrator raised it."""
    name = f"class-{namespace}"
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "edge", "namespace": namespace},
    }
    control_plane.create({**config, "data": {"proxy-body-size": "8m"}})
    control_plane.create(a_class(name, "k8s.io/ingress-nginx"))
    exposure = {"host": f"chat.{namespace}.example.com", "ingress": {"className": name}}
    endpoint = an_endpoint(control_plane, namespace, exposure=exposure)
    settings = Settings(edges=(EdgeSetting(class_name=name, service=f"{namespace}/edge"),))

    async def remark() -> str:
        async with connected(control_plane.kubeconfig, monkeypatch, settings) as here:
            return routes.remark(endpoint, here.cluster.capabilities()) or ""

    assert "240 s after a reload" in await remark()
    for value, expected in (("90s", "90 s after a reload"), ("5m", ""), ("soon", "240 s after a reload")):
        control_plane.patch(config, {"data": {"worker-shutdown-timeout": value}})
        text = await remark()
        assert (expected in text, bool(text)) == (True, bool(expected))
    control_plane.delete(config)
    assert await remark() == ""


async def test_the_change_of_a_reload_limit_wakes_every_endpoint(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a restart of the operator, at the next look."""
    monkeypatch.setattr(facade, "ROUND_SECONDS", 0.2)
    name = f"class-{namespace}"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "edge", "namespace": namespace}}
    control_plane.create({**config, "data": {}})
    control_plane.create(a_class(name, "k8s.io/ingress-nginx"))
    exposure = {"host": f"chat.{namespace}.example.com", "ingress": {"className": name}}
    endpoint = an_endpoint(control_plane, namespace, exposure=exposure)
    settings = Settings(edges=(EdgeSetting(class_name=name, service=f"{namespace}/edge"),))
    async with connected(control_plane.kubeconfig, monkeypatch, settings) as here:
        here.cluster.observe(endpoint, here.children(endpoint))
        here.woken.clear()
        control_plane.patch(config, {"data": {"worker-shutdown-timeout": "1h"}})
        await here.until_woken(endpoint.key)
        assert here.cluster.capabilities().ingress_classes[name].reload_seconds == 3600


async def test_a_kind_that_is_installed_later_is_noticed(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discovery finds the kind, its objects are followed, and every endpoint is woken; and back again."""
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        endpoint = an_endpoint(control_plane, namespace)
        here.cluster.observe(endpoint, ())
        caches = here.cluster._caches
        assert here.cluster.capabilities().service_monitors
        with monkeypatch.context() as without:
            hidden = resources.SERVICE_MONITORS.plural
            real = Transport.get

            async def blind(self: Transport, path: str, doing: str, **more: Any) -> Any:
                answer = await real(self, path, doing, **more)
                if doing.startswith("discover"):
                    answer["resources"] = [entry for entry in answer["resources"] if entry["name"] != hidden]
                return answer

            without.setattr(Transport, "get", blind)
            await caches.discover_again()
            assert not here.cluster.capabilities().service_monitors
        here.woken.clear()

        await caches.discover_again()

        assert here.cluster.capabilities().service_monitors
        assert endpoint.key in here.woken


async def test_chosen_namespaces_need_no_rights_elsewhere(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a list of namespaces, an operator without cluster-wide rights works there, in each of them."""
    second = f"{namespace}-b"
    control_plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": second}})
    cluster_scoped = {
        "apiGroups": ["networking.k8s.io", "gateway.networking.k8s.io"],
        "resources": ["ingressclasses", "gatewayclasses", "gateways"],
        "verbs": ["list", "watch"],
    }
    kubeconfig = as_service_account(control_plane, namespace, tmp_path, [cluster_scoped])
    group = "rbac.authorization.k8s.io"
    for where in (namespace, second):
        rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
        role = {"apiVersion": f"{group}/v1", "metadata": {"name": "all", "namespace": where}}
        control_plane.create({**role, "kind": "Role", "rules": rules})
        subject = {"kind": "ServiceAccount", "name": f"limited-{namespace}", "namespace": namespace}
        reference = {"apiGroup": group, "kind": "Role", "name": "all"}
        control_plane.create({**role, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]})
    async with connected(kubeconfig, monkeypatch, Settings(watch_namespaces=(namespace, second))) as here:
        for where in (namespace, second):
            endpoint = an_endpoint(control_plane, where)
            children = here.children(endpoint)
            await here.cluster.apply(endpoint, children)
            here.woken.clear()
            control_plane.delete(of_kind(children, "Service"))
            await here.until_woken(endpoint.key)
            assert (await here.cluster.apply(endpoint, children)).written == ("Service/chat",)
        assert {endpoint["namespace"] for endpoint in await here.cluster.list_endpoints()} == {
            namespace,
            second,
        }


async def test_a_host_that_another_ingress_serves_is_reported_and_watched(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older Ingress is named; when it goes, the endpoint is woken and the conflict is over."""
    name = f"class-{namespace}"
    control_plane.create(a_class(name, "k8s.io/ingress-nginx"))
    backend = {"service": {"name": "x", "port": {"number": 80}}}
    path = {"path": "/v1", "pathType": "Prefix", "backend": backend}
    other = control_plane.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "a-other", "namespace": namespace},
            "spec": {
                "ingressClassName": name,
                "rules": [{"host": f"chat.{namespace}.example.com", "http": {"paths": [path]}}],
            },
        }
    )
    exposure = {"host": f"chat.{namespace}.example.com", "ingress": {"className": name}}
    endpoint = an_endpoint(control_plane, namespace, exposure=exposure)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        route = here.cluster.observe(endpoint, children).route
        assert route is not None
        assert route.problem is not None
        assert route.problem.reason is Reason.HOST_CONFLICT
        assert f"Ingress {namespace}/a-other" in route.problem.message
        here.woken.clear()

        control_plane.delete(other)
        await here.until_woken(endpoint.key)
        await here.cluster.apply(endpoint, children)

        route = here.cluster.observe(endpoint, children).route
        assert route is not None
        assert (route.exists, route.admitted, route.problem) == (True, True, None)


async def test_a_canary_beside_the_endpoints_ingress_is_no_conflict(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the endpoint's own namespace; once it is no canary any more, the elder Ingress is a conflict."""
    name, host = f"class-{namespace}", f"chat.{namespace}.example.com"
    control_plane.create(a_class(name, "k8s.io/ingress-nginx"))
    backend = {"service": {"name": "next", "port": {"number": 80}}}
    path = {"path": "/v1", "pathType": "Prefix", "backend": backend}
    canary = "nginx.ingress.kubernetes.io/canary"
    other = control_plane.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "a-next", "namespace": namespace, "annotations": {canary: "true"}},
            "spec": {"ingressClassName": name, "rules": [{"host": host, "http": {"paths": [path]}}]},
        }
    )
    exposure = {"host": host, "ingress": {"className": name}}
    endpoint = an_endpoint(control_plane, namespace, exposure=exposure)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        route = here.cluster.observe(endpoint, children).route
        assert route is not None
        assert (route.exists, route.admitted, route.problem) == (True, True, None)

        control_plane.patch(other, {"metadata": {"annotations": {canary: "false"}}})
        await here.until(
            lambda: bool((r := here.cluster.observe(endpoint, children).route) and r.problem),
            "the change is seen",
        )
        route = here.cluster.observe(endpoint, children).route
        assert route is not None
        assert route.problem is not None
        assert route.problem.reason is Reason.HOST_CONFLICT


async def test_the_loser_of_a_host_has_no_ingress(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Not while the winner's Ingress is missing, and not where it had one before; it gets one when the host is free.
    """
    name = f"class-{namespace}"
    control_plane.create(a_class(name, "example.com/edge"))
    exposure = {"host": f"chat.{namespace}.example.com", "ingress": {"className": name}}
    elder = an_endpoint(control_plane, namespace, "z-elder", exposure=exposure)
    younger = an_endpoint(control_plane, namespace, "a-younger", exposure=exposure)
    elder, younger = sorted((elder, younger), key=lambda one: (one.created, one.uid))
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = {one.key: here.children(one) for one in (elder, younger)}
        route = {one.key: of_kind(children[one.key], "Ingress") for one in (elder, younger)}
        await here.cluster.apply(younger, children[younger.key])
        assert exists(control_plane, route[younger.key])

        await here.cluster.apply(elder, children[elder.key])
        await here.until_woken(younger.key)
        await here.cluster.apply(younger, children[younger.key])
        assert not exists(control_plane, route[younger.key])
        assert exists(control_plane, route[elder.key])

        def has_ingress(one: StreamingEndpoint) -> bool:
            return here.cluster._caches.get(resources.INGRESSES, one.key) is not None

        # Its deletion wakes the elder too.
        await here.until(lambda: not has_ingress(younger), "the loser's Ingress is gone")
        here.woken.clear()
        control_plane.delete(route[elder.key])
        await here.until_woken(elder.key)
        await here.until(lambda: not has_ingress(elder), "the winner's Ingress is gone")
        await here.cluster.apply(younger, children[younger.key])
        assert not exists(control_plane, route[younger.key])
        observed = here.cluster.observe(younger, children[younger.key]).route
        assert observed is not None
        assert observed.problem is not None
        assert observed.problem.reason is Reason.HOST_CONFLICT

        here.woken.clear()
        here.cluster.forget(elder.key)
        await here.until_woken(younger.key)
        await here.cluster.apply(younger, children[younger.key])
        assert exists(control_plane, route[younger.key])


async def test_the_workload_is_observed_as_its_controllers_report_it(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replicas, the newest template's hash, ready pods and the Service's address; scaling keeps the hash."""
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        assert here.cluster.observe(endpoint, children).pod_template_hash is None
        await play_controllers(control_plane, of_kind(children, "Deployment"))
        await here.until(lambda: here.cluster.observe(endpoint, children).rolled_out, "the rollout is seen")
        await here.until(
            lambda: [pod.ready for pod in here.cluster.observe(endpoint, children).pods] == [True],
            "the pod is seen, and its status",
        )

        workload = here.cluster.observe(endpoint, children)
        assert (
            workload.desired_replicas,
            workload.ready_replicas,
            workload.updated_replicas,
            workload.pod_template_hash,
        ) == (1, 1, 1, "abc")
        assert [(p.name, p.ip, p.ready, p.template_hash) for p in workload.pods] == [
            ("chat-abc-1", "10.9.8.7", True, "abc")
        ]
        assert (
            workload.service_address == control_plane.get(of_kind(children, "Service"))["spec"]["clusterIP"]
        )
        assert workload.workload_problem is None

        deployment = of_kind(children, "Deployment")
        more = {**deployment, "spec": {**deployment["spec"], "replicas": 2}}
        await here.cluster.apply(
            endpoint, tuple(more if child is deployment else child for child in children)
        )
        scaled = here.cluster.observe(endpoint, children)
        assert (scaled.pod_template_hash, scaled.rolled_out) == ("abc", False)

        template = {
            **deployment["spec"]["template"],
            "metadata": {**deployment["spec"]["template"]["metadata"]},
        }
        template["metadata"]["annotations"] = {"new": "template"}
        newer = {**deployment, "spec": {**deployment["spec"], "template": template}}
        await here.cluster.apply(
            endpoint, tuple(newer if child is deployment else child for child in children)
        )
        assert here.cluster.observe(endpoint, children).pod_template_hash is None


async def test_a_pod_that_the_node_evicted_says_why_another_has_to_start(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves nobody any more, but its end is the reason why a replica is missing."""
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        deployment = of_kind(children, "Deployment")
        await play_controllers(control_plane, deployment)
        await here.until(lambda: bool(here.cluster.observe(endpoint, children).pods), "the pod is observed")
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "chat-abc-1", "namespace": namespace},
        }
        message = (
            "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 700Mi. "
        )
        control_plane.patch(
            pod,
            {"status": {"phase": "Failed", "reason": "Evicted", "message": message, "conditions": []}},
            part="status",
        )
        control_plane.patch(
            deployment, {"status": {"readyReplicas": 0, "availableReplicas": 0}}, part="status"
        )
        await here.until(
            lambda: (
                not here.cluster.observe(endpoint, children).pods
                and here.cluster.observe(endpoint, children).workload_problem is not None
            ),
            "the eviction is observed",
        )

        problem = here.cluster.observe(endpoint, children).workload_problem
        assert problem is not None
        assert problem.reason is Reason.EVICTED
        assert "raise spec.resources.requests.ephemeral-storage" in problem.message


async def play_controllers(plane: ControlPlane, deployment: dict[str, Any]) -> None:
    """Write what the Deployment controller and a kubelet would: a ReplicaSet, a ready pod, the status."""
    stored = plane.patch(
        deployment, {"metadata": {"annotations": {"deployment.kubernetes.io/revision": "1"}}}
    )
    labels = {**deployment["spec"]["template"]["metadata"]["labels"], "pod-template-hash": "abc"}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat", "uid": stored["metadata"]["uid"]}
    where = {"namespace": deployment["metadata"]["namespace"], "labels": labels}
    replica_set = plane.create(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                **where,
                "name": "chat-abc",
                "ownerReferences": [{**owner, "controller": True}],
                "annotations": {"deployment.kubernetes.io/revision": "1"},
            },
            "spec": {
                "selector": {"matchLabels": {"pod-template-hash": "abc"}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "engine", "image": "none"}]},
                },
            },
        }
    )
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "chat-abc",
        "uid": replica_set["metadata"]["uid"],
    }
    pod = plane.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**where, "name": "chat-abc-1", "ownerReferences": [{**owner, "controller": True}]},
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [{"name": "engine", "image": "none"}],
            },
        }
    )
    ready = {"type": "Ready", "status": "True"}
    plane.patch(
        pod, {"status": {"phase": "Running", "podIP": "10.9.8.7", "conditions": [ready]}}, part="status"
    )
    counts = {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    generation = stored["metadata"]["generation"]
    plane.patch(deployment, {"status": {"observedGeneration": generation, **counts}}, part="status")


async def test_the_status_is_written_for_the_very_endpoint_only(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is stored; one meant for an endpoint that was deleted touches no later one of its name."""
    endpoint = an_endpoint(control_plane, namespace)
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "Testing",
        "message": "",
        "lastTransitionTime": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        body = await here.cluster.read_endpoint(endpoint.key)
        assert body is not None
        status = {"observedGeneration": 1, "conditions": [condition]}
        version = await here.cluster.write_status(endpoint, status, body["metadata"]["resourceVersion"])
        with pytest.raises(Conflict):  # somebody wrote meanwhile
            await here.cluster.write_status(endpoint, {}, body["metadata"]["resourceVersion"])
        body = await here.cluster.read_endpoint(endpoint.key)
        assert body is not None
        assert body["metadata"]["resourceVersion"] == version
        assert body["status"]["conditions"][0]["reason"] == "Testing"
        assert [m["name"] for m in await here.cluster.list_endpoints() if m["namespace"] == namespace] == [
            endpoint.name
        ]

        control_plane.delete(body)
        with pytest.raises((EndpointGone, Conflict)):
            await here.cluster.write_status(endpoint, {"observedGeneration": 1}, version)
        assert await here.cluster.read_endpoint(endpoint.key) is None
        again = an_endpoint(control_plane, namespace)
        with pytest.raises(Conflict):
            await here.cluster.write_status(endpoint, {"observedGeneration": 1}, version)
        untouched = await here.cluster.read_endpoint(again.key) or {}
        assert untouched["status"] == {"observedGeneration": UNOBSERVED}


async def test_events_are_written_and_never_fail_a_pass(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An Event names its endpoint, however long the message; one that cannot be written raises nothing."""
    endpoint = an_endpoint(control_plane, namespace)
    nowhere = endpoint.model_copy(update={"namespace": "does-not-exist"})
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        await here.cluster.publish(endpoint, "Warning", "Buffered", "x" * 5000)
        await here.cluster.publish(nowhere, "Normal", "Streaming", "y")
    events = control_plane.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    assert [(event["reason"], event["regarding"]["uid"]) for event in events] == [("Buffered", endpoint.uid)]


async def test_what_happens_again_is_counted_in_its_event(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One object for the same reason and note of one endpoint; one that was deleted meanwhile is made anew."""
    endpoint, other = (an_endpoint(control_plane, namespace, name) for name in ("chat", "other"))
    path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"

    def told() -> list[tuple[str, str, int]]:
        events = control_plane.request("GET", path)["items"]
        return sorted(
            (event["regarding"]["name"], event["note"], event.get("series", {}).get("count", 1))
            for event in events
        )

    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        for _ in range(20):
            await here.cluster.publish(endpoint, "Warning", "Buffered", "held back")
        await here.cluster.publish(endpoint, "Warning", "Buffered", "held back elsewhere")
        await here.cluster.publish(other, "Warning", "Buffered", "held back")
        assert told() == [
            ("chat", "held back", 20),
            ("chat", "held back elsewhere", 1),
            ("other", "held back", 1),
        ]
        for event in control_plane.request("GET", path)["items"]:
            control_plane.delete({"apiVersion": "events.k8s.io/v1", "kind": "Event", **event})
        await here.cluster.publish(other, "Warning", "Buffered", "held back")
    assert told() == [("other", "held back", 1)]


async def test_secrets_and_config_maps_are_read_by_key(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value comes decoded; a missing object or key is named, and no error ever quotes a value."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": namespace}}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": namespace}}
    control_plane.create({**secret, "stringData": {"api-key": "sesame"}, "data": {"bytes": "/////w=="}})
    control_plane.create({**config, "data": {"ca.crt": "PEM"}})
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        assert await here.cluster.read_secret_key(namespace, "s", "api-key") == "sesame"
        assert await here.cluster.read_config_map_key(namespace, "c", "ca.crt") == "PEM"
        for name, key in (("s", "other"), ("missing", "api-key")):
            with pytest.raises(NotFound, match=name):
                await here.cluster.read_secret_key(namespace, name, key)
        with pytest.raises(NotFound, match="c has no key"):
            await here.cluster.read_config_map_key(namespace, "c", "other")
        with pytest.raises(Exception, match="is not text") as refusal:
            await here.cluster.read_secret_key(namespace, "s", "bytes")
        assert refusal.value.__cause__ is None
        assert await here.cluster.read_secret_entries(namespace, "s", ("api-key", "other")) == {
            "api-key": "sesame"
        }
        with pytest.raises(Rejected, match=f"Secret {namespace}/s: the value of 'bytes' is not text"):
            await here.cluster.read_secret_entries(namespace, "s")


async def test_the_edge_is_where_the_administrator_says(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Service of the list by its address and ports; without a list the Ingress's status, if any."""
    name = f"edge-{namespace}"
    control_plane.create(a_class(name, "k8s.io/ingress-nginx"))
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge", "namespace": namespace}}
    address = control_plane.create({**service, "spec": {"ports": [{"port": 80}]}})["spec"]["clusterIP"]
    endpoint = an_endpoint(
        control_plane, namespace, exposure={"host": "h.example.com", "ingress": {"className": name}}
    )
    settings = Settings(edges=(EdgeSetting(class_name=name, service=f"{namespace}/edge", https_port=8443),))
    async with connected(control_plane.kubeconfig, monkeypatch, settings) as here:
        edge = await here.cluster.edge_addresses(endpoint)
        assert (edge.addresses, edge.http_port, edge.https_port) == ((address,), 80, 8443)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        assert (await here.cluster.edge_addresses(endpoint)).addresses == ()
        status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}
        control_plane.patch(of_kind(children, "Ingress"), status, part="status")
        here.woken.clear()
        await here.until(
            lambda: bool((r := here.cluster.observe(endpoint, children).route) and r.addresses), "an address"
        )
        assert (await here.cluster.edge_addresses(endpoint)).addresses == ("192.0.2.7",)


async def test_the_users_url_follows_the_listener_of_the_gateway(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its port and TLS make the URL; a change of the listener wakes the endpoint and asks for a new verification."""
    gateway = {
        "apiVersion": resources.GATEWAYS.api_version,
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": namespace},
        "spec": {
            "gatewayClassName": f"class-{namespace}",
            "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"}],
        },
    }
    host = f"h.{namespace}.example.com"
    route = {"parentRefs": [{"name": "public", "sectionName": "web"}]}
    endpoint = an_endpoint(control_plane, namespace, exposure={"host": host, "httpRoute": route})
    control_plane.create(gateway)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        assert routes.users_url(endpoint, here.cluster.capabilities()) == f"http://{host}"
        plain = here.cluster.observe(endpoint, children).route_hash
        here.woken.clear()

        certificate = {"certificateRefs": [{"name": "certificate"}]}
        https = {"name": "web", "port": 8443, "protocol": "HTTPS", "tls": certificate}
        control_plane.patch(gateway, {"spec": {"listeners": [https]}})
        await here.until(
            lambda: routes.users_url(endpoint, here.cluster.capabilities()) == f"https://{host}:8443",
            "the listener's change is seen",
        )
        await here.until_woken(endpoint.key)

        assert here.cluster.observe(endpoint, children).route_hash != plain


async def test_an_ingress_may_have_tls_without_a_secret(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tls: {}` is stored as it is given, and the Ingress names the host for the edge's default certificate."""
    host = f"h.{namespace}.example.com"
    exposure = {"host": host, "ingress": {"className": "nginx", "tls": {}}}
    endpoint = an_endpoint(control_plane, namespace, exposure=exposure)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)

        stored = control_plane.get(of_kind(children, "Ingress"))
        assert stored["spec"]["tls"] == [{"hosts": [host]}]
        assert routes.users_url(endpoint, here.cluster.capabilities()) == f"https://{host}"
