"""What cert-manager does beside an endpoint, done as it does it: nothing of it is a conflict or a reason to write."""

import pytest

from streaming_operator.api.reasons import Reason
from streaming_operator.cluster import facade
from streaming_operator.settings import EdgeSetting, Settings
from tests.apiserver.client import Object
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import an_endpoint, connected, of_kind
from tests.apiserver.test_following import a_class

pytestmark = pytest.mark.apiserver

ANNOTATIONS = {
    "cert-manager.io/cluster-issuer": "letsencrypt",
    "cert-manager.io/duration": "2160h",
    "cert-manager.io/private-key-rotation-policy": "Always",
}
CHALLENGE = "/.well-known/acme-challenge/kq1b2c"
LABELS = {
    "acme.cert-manager.io/http-domain": "1058470613",
    "acme.cert-manager.io/http-token": "1010161243",
    "acme.cert-manager.io/http01-solver": "true",
}
"""Of everything that answers a challenge."""
GATEWAY_API = "gateway.networking.k8s.io/v1"


def _solver(kind: str, version: str, namespace: str, spec: Object) -> Object:
    """What answers a challenge, as cert-manager names it."""
    metadata = {
        "name": f"cm-acme-http-solver-{kind[:2].lower()}7x",
        "namespace": namespace,
        "labels": LABELS,
        "annotations": {"nginx.ingress.kubernetes.io/whitelist-source-range": "0.0.0.0/0,::/0"},
    }
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _solver_ingress(namespace: str, host: str, class_name: str) -> Object:
    """In the namespace of the Ingress that wants a certificate, for the same host and class."""
    backend = {"service": {"name": "cm-acme-http-solver-7x", "port": {"number": 8089}}}
    path = {"path": CHALLENGE, "pathType": "ImplementationSpecific", "backend": backend}
    rules = [{"host": host, "http": {"paths": [path]}}]
    spec = {"ingressClassName": class_name, "rules": rules}
    return _solver("Ingress", "networking.k8s.io/v1", namespace, spec)


def _solver_route(namespace: str, host: str, gateway: str) -> Object:
    """In the namespace of the Gateway that wants a certificate, for the same host."""
    match = {"path": {"type": "Exact", "value": CHALLENGE}}
    rules = [{"matches": [match], "backendRefs": [{"name": "cm-acme-http-solver-7x", "port": 8089}]}]
    spec = {"parentRefs": [{"name": gateway, "namespace": namespace}], "hostnames": [host], "rules": rules}
    return _solver("HTTPRoute", GATEWAY_API, namespace, spec)


def _issued(namespace: str, name: str, annotations: dict[str, str]) -> Object:
    """The Secret of a certificate; what its values are is nothing to the operator."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "stringData": {"tls.crt": "certificate", "tls.key": "key"},
    }


async def test_an_ingress_gets_its_certificate_by_annotations(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are written as users wrote them, an older solver is no conflict, and a late Secret causes no write."""
    name, host = f"class-{namespace}", f"chat.{namespace}.example.com"
    control_plane.create(a_class(name, "k8s.io/ingress-nginx"))
    solver = control_plane.create(_solver_ingress(namespace, host, name))
    ingress = {"className": name, "annotations": ANNOTATIONS, "tls": {"secretName": "chat-tls"}}
    endpoint = an_endpoint(control_plane, namespace, exposure={"host": host, "ingress": ingress})
    allowed = EdgeSetting(class_name=name, allowed_annotations=tuple(ANNOTATIONS))
    async with connected(control_plane.kubeconfig, monkeypatch, Settings(edges=(allowed,))) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        stored = control_plane.get(of_kind(children, "Ingress"))
        annotations = stored["metadata"]["annotations"]
        assert {key: annotations.get(key) for key in ANNOTATIONS} == ANNOTATIONS
        assert stored["spec"]["tls"] == [{"hosts": [host], "secretName": "chat-tls"}]
        route = here.cluster.observe(endpoint, children).route
        assert route is not None
        assert (route.exists, route.problem) == (True, None)

        control_plane.create(_issued(namespace, "chat-tls", {"cert-manager.io/certificate-name": "chat-tls"}))
        control_plane.delete(solver)
        writes = here.writes
        for _ in range(2):
            assert (await here.cluster.apply(endpoint, children)).written == ()
        assert here.writes == writes


async def test_a_challenge_that_is_edited_into_our_ingress_is_taken_out(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`http01-edit-in-place` cannot work: it is refused, and a challenge in our Ingress does not stay there."""
    name, host = f"class-{namespace}", f"chat.{namespace}.example.com"
    control_plane.create(a_class(name, "k8s.io/ingress-nginx"))
    in_place = {"acme.cert-manager.io/http01-edit-in-place": "true"}
    ingress = {"className": name, "annotations": in_place, "tls": {"secretName": "chat-tls"}}
    asked = an_endpoint(
        control_plane, namespace, "asked", exposure={"host": f"asked.{host}", "ingress": ingress}
    )
    endpoint = an_endpoint(control_plane, namespace, exposure={"host": host, "ingress": {"className": name}})
    allowed = EdgeSetting(class_name=name, allowed_annotations=tuple(ANNOTATIONS))
    async with connected(control_plane.kubeconfig, monkeypatch, Settings(edges=(allowed,))) as here:
        refused = here.cluster.observe(asked, here.children(asked)).route
        assert refused is not None
        assert refused.problem is not None
        assert refused.problem.reason is Reason.ANNOTATION_NOT_ALLOWED
        assert next(iter(in_place)) in refused.problem.message

        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        ours = of_kind(children, "Ingress")
        before = control_plane.get(ours)["spec"]
        with_challenge = {"spec": _solver_ingress(namespace, host, name)["spec"]}
        here.woken.clear()
        control_plane.patch(ours, with_challenge)
        await here.until_woken(endpoint.key)
        await here.cluster.apply(endpoint, children)
        assert control_plane.get(ours)["spec"] == before


async def test_a_gateway_gets_its_certificate_by_its_own_annotations(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The solver's HTTPRoute lies in the Gateway's namespace, older than ours, on its host: no conflict, no write."""
    monkeypatch.setattr(facade, "ROUND_SECONDS", 0.2)
    infra, host = f"{namespace}-infra", f"chat.{namespace}.example.com"
    control_plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": infra}})
    listener = {
        "name": "https",
        "port": 443,
        "protocol": "HTTPS",
        "tls": {"certificateRefs": [{"name": "chat-tls"}]},
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    gateway = {
        "apiVersion": GATEWAY_API,
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": infra, "annotations": ANNOTATIONS},
        "spec": {"gatewayClassName": "other", "listeners": [listener]},
    }
    control_plane.create(gateway)
    solver = control_plane.create(_solver_route(infra, host, "public"))
    exposure = {"host": host, "httpRoute": {"parentRefs": [{"name": "public", "namespace": infra}]}}
    endpoint = an_endpoint(control_plane, namespace, exposure=exposure)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        route = here.cluster.observe(endpoint, children).route
        assert route is not None
        assert route.problem is not None
        # Nobody serves the Gateway.
        assert (route.exists, route.problem.reason) == (True, Reason.ROUTE_PENDING)

        control_plane.create(_issued(infra, "chat-tls", {"cert-manager.io/certificate-name": "chat-tls"}))
        control_plane.delete(solver)
        writes = here.writes
        for _ in range(2):
            assert (await here.cluster.apply(endpoint, children)).written == ()
        assert here.writes == writes
