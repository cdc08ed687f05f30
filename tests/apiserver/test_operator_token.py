"""On a real API server: what the chart's policies let the operator's service account do, and who has its token."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming_operator import render
from streaming_operator.api.reasons import Reason
from streaming_operator.settings import EdgeSetting, Settings
from streaming_operator.values import Capabilities
from tests.apiserver import following
from tests.apiserver.client import ApiClient, ApiError, Object
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import an_endpoint, connected, exists, of_kind, write_kubeconfig
from tests.apiserver.test_process import PATIENCE, operator
from tests.unit.test_chart import documents, helm  # noqa: F401 - a fixture

pytestmark = pytest.mark.apiserver

OPERATOR = "streaming-system"
ACCOUNT = "streaming-operator"
CHART = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
ACTIVE_WITHIN = 60.0
"""Seconds until the API server has loaded a policy."""


def install(plane: ControlPlane, docs: list[Object], kinds: tuple[str, ...]) -> list[Object]:
    """Apply the chart's objects of these kinds."""
    chosen = [document for document in docs if document["kind"] in kinds]
    for document in chosen:
        plane.apply(document)
    return chosen


def token_of(plane: ControlPlane, namespace: str, name: str) -> str:
    """A token of a service account, as its pod has it."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    return str(plane.request("POST", path, request)["status"]["token"])


def an_account(plane: ControlPlane, namespace: str, name: str, rules: list[Object]) -> ApiClient:
    """A client with the rights of a Role in its namespace."""
    group = "rbac.authorization.k8s.io"
    metadata = {"name": name, "namespace": namespace}
    plane.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    plane.create({"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules})
    plane.create(
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }
    )
    client = ApiClient(plane.server, token_of(plane, namespace, name), plane.ca)
    following.until_allowed(client, rules, namespace)
    return client


def refusal(attempt: Callable[[], Any]) -> str:
    """The API server's words, empty where it agreed."""
    try:
        attempt()
    except ApiError as error:
        return error.message if error.status in (403, 422) else ""
    return ""


def until_refused(attempt: Callable[[], Any], words: str) -> None:
    """Wait until a policy is in force."""
    deadline = time.monotonic() + ACTIVE_WITHIN
    while words not in (message := refusal(attempt)):
        assert time.monotonic() < deadline, f"not {words!r} but {message!r}"
        time.sleep(0.2)


def a_config_map(namespace: str, name: str, **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "data": {"a": "b"},
    }


@pytest.fixture(scope="module")
def confined(control_plane: ControlPlane, helm: Path) -> Iterator[ControlPlane]:  # noqa: F811
    """The chart's account with its role, confined."""
    docs = documents(helm, {"admission": {"confineOperator": True}})
    control_plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR}})
    account = install(control_plane, docs, CHART)
    policies = install(control_plane, docs, POLICIES)
    probe = a_config_map("default", "not-a-child")
    thief = ApiClient(control_plane.server, token_of(control_plane, OPERATOR, ACCOUNT), control_plane.ca)
    until_refused(lambda: thief.apply(probe, dry_run=True), "whose controller is a StreamingEndpoint")
    yield control_plane
    for installed in (*reversed(policies), *reversed(account)):
        control_plane.delete(installed)


@pytest.fixture
def thief(confined: ControlPlane) -> ApiClient:
    """Whoever has the operator's token."""
    return ApiClient(confined.server, token_of(confined, OPERATOR, ACCOUNT), confined.ca)


async def test_the_operator_works_confined(
    confined: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes, repairs, changes and deletes children, and writes status and events."""
    endpoint = an_endpoint(confined, namespace, replicas=2)
    kubeconfig = write_kubeconfig(
        tmp_path / "operator", confined.server, token_of(confined, OPERATOR, ACCOUNT), confined.ca
    )
    async with connected(kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        assert {child.split("/")[0] for child in (await here.cluster.apply(endpoint, children)).written} >= {
            "ConfigMap", "Service", "PodDisruptionBudget", "Deployment", "Ingress",
        }  # fmt: skip
        service = of_kind(children, "Service")
        here.woken.clear()
        confined.patch(service, {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
        await here.until_woken(endpoint.key)
        await here.cluster.apply(endpoint, children)
        assert (
            confined.get(service)["metadata"]["labels"]["app.kubernetes.io/managed-by"]
            == "streaming-operator"
        )
        fewer = endpoint.model_copy(
            update={"spec": endpoint.spec.model_copy(update={"replicas": 1, "exposure": None})}
        )
        applied = await here.cluster.apply(fewer, here.children(fewer))
        assert {child.split("/")[0] for child in applied.pruned} == {"Ingress", "PodDisruptionBudget"}
        body = await here.cluster.read_endpoint(endpoint.key)
        assert body is not None
        await here.cluster.write_status(
            endpoint, {"observedGeneration": 1}, body["metadata"]["resourceVersion"]
        )
        await here.cluster.publish(endpoint, "Normal", "Ready", "for the test")
    events = confined.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    assert [event["note"] for event in events] == ["for the test"]


def test_a_stolen_token_makes_no_lease_but_its_own(confined: ControlPlane, thief: ApiClient) -> None:
    """Its own is made, renewed and released; one of another name would stop whoever holds it."""
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    own = {**lease, "metadata": {"name": ACCOUNT, "namespace": OPERATOR}}
    thief.create(own)
    for holder in ("somebody", ""):
        thief.apply({**own, "spec": {"holderIdentity": holder}})
    assert refusal(lambda: thief.delete(own))
    confined.delete(own)
    others = {**lease, "metadata": {"name": "others", "namespace": OPERATOR}}
    assert "its Lease, and nothing else" in refusal(lambda: thief.create(others))


def test_a_stolen_token_changes_no_foreign_object(
    confined: ControlPlane, thief: ApiClient, namespace: str
) -> None:
    """Objects without our owner: not to be patched, taken over by a label or an owner of one's own, nor deleted."""
    foreign = [
        a_config_map(namespace, "coredns"),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "bank", "namespace": namespace},
            "spec": {"selector": {"app": "bank"}, "ports": [{"port": 80}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "bank", "namespace": namespace},
            "stringData": {"a": "b"},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "bank", "namespace": namespace},
            "spec": {
                "selector": {"matchLabels": {"app": "bank"}},
                "template": {
                    "metadata": {"labels": {"app": "bank"}},
                    "spec": {"containers": [{"name": "a", "image": "b"}]},
                },
            },
        },
    ]
    owner = {
        "apiVersion": "streamingendpoints.dev/v1alpha1", "kind": "StreamingEndpoint", "name": "x", "uid": "x",
        "controller": True,
    }  # fmt: skip
    label = {"app.kubernetes.io/managed-by": "streaming-operator"}
    changes: list[Object] = [
        {"metadata": {"annotations": {"a": "b"}}},
        {"metadata": {"labels": label}},
        {"metadata": {"labels": label, "ownerReferences": [owner]}},
    ]
    for one in foreign:
        stored = confined.create(one)
        for change in changes:
            assert refusal(lambda one=one, change=change: thief.patch(one, change)), (one["kind"], change)
        assert refusal(lambda one=one: thief.delete(one)), one["kind"]
        assert confined.get(one) == stored


def test_a_stolen_token_makes_no_pod_and_no_object_that_is_not_a_child(
    confined: ControlPlane, thief: ApiClient, namespace: str
) -> None:
    """Neither a pod nor what makes pods, without label or owner, with the node, or in the namespaces of Kubernetes."""
    endpoint = an_endpoint(confined, namespace)
    children = render.children(endpoint, Capabilities(service_monitors=False, http_routes=False))
    deployment = of_kind(children, "Deployment")
    pod = deployment["spec"]["template"]["spec"]

    def changed(*path: str, **fields: Any) -> Object:
        """The child with these fields of its pod or metadata."""
        made: Object = {
            **deployment,
            "spec": {
                **deployment["spec"],
                "template": {
                    **deployment["spec"]["template"],
                    "spec": {**pod, **(fields if path == ("pod",) else {})},
                },
            },
        }
        return {**made, "metadata": {**deployment["metadata"], **(fields if path == ("metadata",) else {})}}

    container = pod["containers"][0]
    refused: dict[str, Object] = {
        "a pod": {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace},
            "spec": {"containers": [{"name": "a", "image": "b"}]},
        },
        "no label": changed("metadata", labels={}),
        "no owner": changed("metadata", ownerReferences=[]),
        "another owner": changed(
            "metadata",
            ownerReferences=[{**deployment["metadata"]["ownerReferences"][0], "kind": "StreamingEndpoints"}],
        ),
        "the system's namespace": changed("metadata", namespace="kube-system"),
        "the node's network": changed("pod", hostNetwork=True),
        "the node's processes": changed("pod", hostPID=True),
        "the node's memory": changed("pod", hostIPC=True),
        "a node": changed("pod", nodeName="control-plane"),
        "the node's files": changed(
            "pod", volumes=[*pod["volumes"], {"name": "root", "hostPath": {"path": "/"}}]
        ),
        "privileges": changed("pod", containers=[{**container, "securityContext": {"privileged": True}}]),
        "privileges before it starts": changed(
            "pod", initContainers=[{**container, "name": "first", "securityContext": {"privileged": True}}]
        ),
        "an account": changed("pod", serviceAccountName="cluster-admin"),
    }  # fmt: skip
    for what, one in refused.items():
        assert refusal(lambda one=one: thief.apply(one, dry_run=True, strict=False)), what
    thief.apply(deployment, dry_run=True)


@pytest.fixture
def admitting(control_plane: ControlPlane, namespace: str, helm: Path) -> Iterator[None]:  # noqa: F811
    """`admission.requirePodRights`, in force."""
    docs = documents(helm, {"admission": {"requirePodRights": True}})
    policies = install(control_plane, docs, POLICIES)
    poor = an_account(control_plane, namespace, "probe", [ENDPOINTS])
    endpoint = {"apiVersion": "streamingendpoints.dev/v1alpha1", "kind": "StreamingEndpoint", "spec": SPEC}
    mine = endpoint | {"metadata": {"name": "probe", "namespace": namespace}}
    until_refused(lambda: poor.create(mine, dry_run=True), "may not create pods")
    yield
    for policy in reversed(policies):
        control_plane.delete(policy)


ENDPOINTS: Object = {
    "apiGroups": ["streamingendpoints.dev"],
    "resources": ["streamingendpoints"],
    "verbs": ["create", "get", "update", "patch", "delete"],
}
PODS: Object = {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}
SPEC: Object = {"model": {"source": {"huggingFace": {"repo": "a/b"}}}}


def test_only_who_may_create_pods_creates_endpoints(
    control_plane: ControlPlane, namespace: str, admitting: None
) -> None:
    """Two users: one may write endpoints alone, the other pods too; a spec that is not changed needs no right."""
    poor = an_account(control_plane, namespace, "poor", [ENDPOINTS])
    able = an_account(control_plane, namespace, "able", [ENDPOINTS, PODS])
    endpoint: Object = {
        "apiVersion": "streamingendpoints.dev/v1alpha1",
        "kind": "StreamingEndpoint",
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": SPEC,
    }
    message = refusal(lambda: poor.create(endpoint))
    assert f"{namespace}:poor may not create pods in namespace {namespace}" in message
    assert "admission.requirePodRights" in message
    able.create(endpoint)
    assert "may not create pods" in refusal(lambda: poor.patch(endpoint, {"spec": {"replicas": 2}}))
    poor.patch(endpoint, {"metadata": {"labels": {"team": "a"}}})
    able.patch(endpoint, {"spec": {"replicas": 2}})
    poor.delete(endpoint)
    assert not exists(control_plane, endpoint)


@pytest.fixture
def in_its_namespaces(
    control_plane: ControlPlane,
    namespace: str,
    helm: Path,  # noqa: F811
    tmp_path: Path,
) -> Iterator[tuple[str, Path]]:
    """A token and a kubeconfig with what the chart grants for one namespace: Roles alone."""
    system = f"{namespace}-operator"
    for name in (system, f"{namespace}-infra"):
        control_plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    values = {"watchNamespaces": [namespace], "gatewayNamespaces": [f"{namespace}-infra"]}
    docs = [_moved(doc, system) for doc in documents(helm, values) if doc["kind"] in CHART]
    assert {doc["kind"] for doc in docs} == {"ServiceAccount", "Role", "RoleBinding"}
    installed = install(control_plane, docs, CHART)
    token = token_of(control_plane, system, ACCOUNT)
    kubeconfig = tmp_path / "operator"
    yield token, write_kubeconfig(kubeconfig, control_plane.server, token, control_plane.ca, system)
    for document in installed:
        control_plane.delete(document)


def with_roles_only(namespace: str, *edges: EdgeSetting) -> Settings:
    """The operator's settings in this namespace, without rights outside it."""
    return Settings(
        watch_namespaces=(namespace,),
        gateway_namespaces=(f"{namespace}-infra",),
        cluster_roles=False,
        edges=edges,
    )


async def test_the_operator_works_with_roles_in_its_namespaces_only(
    control_plane: ControlPlane,
    namespace: str,
    in_its_namespaces: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`watchNamespaces`: Roles there, and the classes of `edges[]`. Elsewhere its token reads nothing."""
    token, kubeconfig = in_its_namespaces
    endpoint = an_endpoint(control_plane, namespace)
    settings = with_roles_only(namespace, EdgeSetting(class_name="nginx", profile="ingress-nginx"))
    async with connected(kubeconfig, monkeypatch, settings) as here:
        children = here.children(endpoint)
        assert len((await here.cluster.apply(endpoint, children)).written) == len(children)
        observed = here.cluster.observe(endpoint, children)
    assert observed.desired_replicas == 1
    assert observed.route is not None
    assert observed.route.admitted
    annotations = of_kind(children, "Ingress")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    other = ApiClient(control_plane.server, token, control_plane.ca)
    for path in ("secrets", "configmaps", "services", "pods"):
        assert refusal(lambda path=path: other.request("GET", f"/api/v1/namespaces/default/{path}/x"))
        assert refusal(lambda path=path: other.request("GET", f"/api/v1/{path}"))
    assert refusal(lambda: other.request("GET", "/apis/networking.k8s.io/v1/ingressclasses"))


async def test_a_class_that_roles_do_not_show_is_asked_for_and_its_route_stays(
    control_plane: ControlPlane,
    namespace: str,
    in_its_namespaces: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without an entry in `edges[]` the condition names it; an Ingress that was made before is not touched."""
    _, kubeconfig = in_its_namespaces
    listed = EdgeSetting(class_name="nginx", profile="ingress-nginx")
    old, new = (an_endpoint(control_plane, namespace, name) for name in ("old", "new"))
    async with connected(kubeconfig, monkeypatch, with_roles_only(namespace, listed)) as here:
        await here.cluster.apply(old, here.children(old))
        ingress = of_kind(here.children(old), "Ingress")
    before = control_plane.get(ingress)
    async with connected(kubeconfig, monkeypatch, with_roles_only(namespace)) as here:
        for endpoint in (old, new):
            children = here.children(endpoint)
            await here.cluster.apply(endpoint, children)
            route = here.cluster.observe(endpoint, children).route
            assert route is not None
            assert route.problem is not None
            assert route.problem.reason is Reason.EDGE_NOT_LISTED
            assert "edges[]" in route.problem.message
            assert "className nginx" in route.problem.message
        assert not exists(control_plane, of_kind(children, "Ingress"))
    assert control_plane.get(ingress) == before


@pytest.mark.parametrize(
    ("at", "edges", "missing"),
    [
        ("infra", (EdgeSetting(gateway_class="public"),), ""),
        ("infra", (), "gatewayClass public"),
        ("other", (EdgeSetting(gateway_class="public"),), "gatewayNamespaces"),
    ],
    ids=["listed", "class not listed", "namespace not listed"],
)
async def test_gateways_are_read_in_the_namespaces_that_are_listed(
    control_plane: ControlPlane,
    namespace: str,
    in_its_namespaces: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    edges: tuple[EdgeSetting, ...],
    missing: str,
) -> None:
    """An HTTPRoute is written for a Gateway there; of any other the condition names the setting."""
    _, kubeconfig = in_its_namespaces
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": f"{namespace}-infra"},
        "spec": {
            "gatewayClassName": "public",
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        },
    }
    control_plane.create(gateway)
    refs = [{"name": "public", "namespace": f"{namespace}-{at}"}]
    exposure = {"host": f"chat.{namespace}.example.com", "httpRoute": {"parentRefs": refs}}
    endpoint = an_endpoint(control_plane, namespace, exposure=exposure)
    async with connected(kubeconfig, monkeypatch, with_roles_only(namespace, *edges)) as here:
        children = here.children(endpoint)
        applied = await here.cluster.apply(endpoint, children)
        route = here.cluster.observe(endpoint, children).route
    assert route is not None
    assert route.problem is not None
    assert ("HTTPRoute/chat" in applied.written) == (not missing)
    expected = Reason.EDGE_NOT_LISTED if missing else Reason.ROUTE_PENDING
    assert (route.problem.reason, missing in route.problem.message) == (expected, True)


def test_the_whole_operator_runs_with_roles_only(
    control_plane: ControlPlane, namespace: str, in_its_namespaces: tuple[str, Path], tmp_path: Path
) -> None:
    """An endpoint gets its status, nothing that it asks for is forbidden, and /metrics says why it is closed."""
    _, kubeconfig = in_its_namespaces
    edges = '[{"className": "nginx", "profile": "ingress-nginx"}]'
    settings = {"WATCH_NAMESPACES": namespace, "CLUSTER_ROLES": "false", "EDGES": edges}
    settings |= {"LEASE_NAME": ACCOUNT}  # the only one that its Role names
    with operator(kubeconfig, tmp_path, **settings) as running:
        running.until("/readyz", 200)
        endpoint = an_endpoint(control_plane, namespace)
        body = {
            "apiVersion": "streamingendpoints.dev/v1alpha1",
            "kind": "StreamingEndpoint",
            "metadata": {"name": endpoint.name, "namespace": namespace},
        }
        control_plane.until(body, lambda stored: "conditions" in (stored.get("status") or {}), "a status")
        conditions = control_plane.get(body)["status"]["conditions"]
        assert {c["reason"] for c in conditions if c["type"] == "Exposed"} == {"Admitted"}
        assert "forbidden" not in running.log().lower()
        request = urllib.request.Request(
            f"http://127.0.0.1:{running.port}/metrics", headers={"Authorization": "Bearer x"}
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=PATIENCE)
        assert refused.value.code == 503
        assert "rbac.clusterRoles=true" in refused.value.read().decode()


def _moved(document: Object, namespace: str) -> Object:
    """A document of the chart, installed into another namespace under a name of its own where it has none."""
    metadata = dict(document["metadata"])
    if metadata.get("namespace") == OPERATOR:
        metadata["namespace"] = namespace
    if document["kind"].startswith("Cluster"):
        metadata["name"] = f"{metadata['name']}-{namespace}"
    moved = {**document, "metadata": metadata}
    if "roleRef" in document:
        role = document["roleRef"]
        name = f"{role['name']}-{namespace}" if role["kind"] == "ClusterRole" else role["name"]
        moved["roleRef"] = {**role, "name": name}
        moved["subjects"] = [{**subject, "namespace": namespace} for subject in document["subjects"]]
    return moved
