"""Edits of others that contradict what we send: none of them keeps an endpoint from its spec."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from streaming_operator.api.endpoint import EndpointSpec, StreamingEndpoint
from streaming_operator.cluster import resources
from streaming_operator.cluster.drift import MIRRORS
from streaming_operator.cluster.repairs import PATIENCE, Repairs
from streaming_operator.errors import Overwritten, Rejected
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube.client import Transport
from streaming_operator.settings import PodPolicy, Settings
from streaming_operator.values import Manifest
from tests.apiserver.client import JSON_PATCH, STRATEGIC_MERGE, Object
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.documents import BASES, MINIMAL
from tests.apiserver.following import Connected, an_endpoint, connected, of_kind

pytestmark = pytest.mark.apiserver

WRITTEN = (
    "ConfigMap",
    "Service",
    "Deployment",
    "PodDisruptionBudget",
    "Ingress",
    "HTTPRoute",
    "ServiceMonitor",
    "PrometheusRule",
)

SPEC: dict[str, Any] = {
    "engine": {"apiKeySecretRef": {"name": "key", "key": "api-key"}},
    "model": {"source": {"persistentVolumeClaim": {"claimName": "weights"}}},
    "replicas": 2,
}


def container(**fields: Any) -> Object:
    """A strategic merge patch of the engine's container."""
    return {"spec": {"template": {"spec": {"containers": [{"name": "engine", **fields}]}}}}


EDITS: dict[str, tuple[str, Object | list[Object], str]] = {
    "a literal over a reference to a Secret": (
        "Deployment",
        container(env=[{"name": "VLLM_API_KEY", "value": "open", "valueFrom": None}]),
        STRATEGIC_MERGE,
    ),
    "another source of a volume": (
        "Deployment",
        {
            "spec": {
                "template": {
                    "spec": {
                        "volumes": [{"$retainKeys": ["name", "emptyDir"], "name": "model", "emptyDir": {}}]
                    }
                }
            }
        },
        STRATEGIC_MERGE,
    ),
    "another kind of probe": (
        "Deployment",
        container(livenessProbe={"exec": {"command": ["true"]}, "httpGet": None}),
        STRATEGIC_MERGE,
    ),
    "another container port of that name": (
        "Deployment",
        [
            {
                "op": "replace",
                "path": "/spec/template/spec/containers/0/ports",
                "value": [{"name": "http", "containerPort": 9999, "protocol": "TCP"}],
            }
        ],
        JSON_PATCH,
    ),
    "another kind of preStop": (
        "Deployment",
        container(lifecycle={"preStop": {"exec": None, "sleep": {"seconds": 1}}}),
        STRATEGIC_MERGE,
    ),
    "the other bound of a disruption budget": (
        "PodDisruptionBudget",
        {"spec": {"minAvailable": 2, "maxUnavailable": None}},
        STRATEGIC_MERGE,
    ),
    "another port of a Service of that name": (
        "Service",
        {"spec": {"ports": [{"$patch": "replace"}, {"name": "http", "port": 9999, "targetPort": "http"}]}},
        STRATEGIC_MERGE,
    ),
}


@pytest.mark.parametrize(("kind", "change", "how"), EDITS.values(), ids=EDITS)
async def test_an_edit_that_contradicts_ours_is_undone(
    control_plane: ControlPlane,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    change: Object,
    how: str,
) -> None:
    """Where both together would be invalid, the spec that was stored before the edit is stored again."""
    endpoint = an_endpoint(control_plane, namespace, **SPEC)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        child = of_kind(children, kind)
        before = control_plane.get(child)["spec"]
        here.woken.clear()

        edited = control_plane.patch(child, change, how=how)["spec"]
        await here.until_woken(endpoint.key)
        applied = await here.cluster.apply(endpoint, children)

        assert edited != before
        assert control_plane.get(child)["spec"] == before
        assert applied.written == (f"{kind}/{child['metadata']['name']}",)
        assert (await here.cluster.apply(endpoint, children)).writes == 0


async def test_recreate_comes_back_over_a_rolling_update(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server fills in what a rolling update needs and nobody owns; it must not outlive the edit."""
    endpoint = an_endpoint(control_plane, namespace, rollout={"strategy": "Recreate"})
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        here.woken.clear()
        deployment = of_kind(children, "Deployment")

        control_plane.patch(deployment, {"spec": {"strategy": {"type": "RollingUpdate"}}})
        await here.until_woken(endpoint.key)
        await here.cluster.apply(endpoint, children)

        assert control_plane.get(deployment)["spec"]["strategy"] == {"type": "Recreate"}


async def test_what_others_added_survives_the_repair_of_an_edit_that_contradicts_ours(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sidecar, a variable and a toleration of others are no part of the contradiction, and stay."""
    endpoint = an_endpoint(control_plane, namespace, **SPEC)
    added = container(env=[{"name": "TEAM", "value": "x"}])
    pod = added["spec"]["template"]["spec"]
    pod["containers"].append({"name": "sidecar", "image": "example.com/sidecar"})
    pod["tolerations"] = [{"key": "example.com/spot", "operator": "Exists"}]
    literal = container(env=[{"name": "VLLM_API_KEY", "value": "open", "valueFrom": None}])
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        deployment = of_kind(children, "Deployment")
        before = control_plane.patch(deployment, added, how=STRATEGIC_MERGE)["spec"]["template"]
        here.woken.clear()

        control_plane.patch(deployment, literal, how=STRATEGIC_MERGE)
        await here.until_woken(endpoint.key)
        await here.until(lambda: of_env(here, endpoint.key, "VLLM_API_KEY") == "open", "the edit is seen")
        await here.cluster.apply(endpoint, children)

        assert control_plane.get(deployment)["spec"]["template"] == before


def of_env(here: Connected, key: Key, name: str) -> Any:
    """The literal value of a variable in the Deployment as the cache has it."""
    stored = here.cluster._caches.get(resources.DEPLOYMENTS, key)
    assert stored is not None
    env = stored.body["spec"]["template"]["spec"]["containers"][0]["env"]
    return next((entry.get("value") for entry in env if entry["name"] == name), None)


async def test_a_wrong_value_of_the_spec_takes_nothing_from_others(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the API server refuses even without anybody's edits is reported, and every field keeps its owner."""
    endpoint = an_endpoint(control_plane, namespace)
    wrong = endpoint.model_copy(
        update={
            "spec": endpoint.spec.model_copy(
                update={"tolerations": ({"key": "gpu", "operator": "Sometimes"},)}
            )
        }
    )
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        await here.cluster.apply(endpoint, here.children(endpoint))
        deployment = of_kind(here.children(endpoint), "Deployment")
        sidecar = {"name": "sidecar", "image": "example.com/sidecar"}
        added = {"spec": {"template": {"spec": {"containers": [sidecar]}}}}
        before = control_plane.patch(deployment, added, how=STRATEGIC_MERGE)["metadata"]["managedFields"]

        with pytest.raises(Rejected, match=r"tolerations\[0\]\.operator"):
            await here.cluster.apply(wrong, here.children(wrong))

        assert control_plane.get(deployment)["metadata"]["managedFields"] == before


async def test_no_child_waits_for_another_that_is_refused(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Deployment is refused; what comes after it is written all the same, and the refusal is reported."""
    endpoint = an_endpoint(control_plane, namespace, tolerations=[{"key": "gpu", "operator": "Sometimes"}])
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        with pytest.raises(Rejected, match="write Deployment/chat"):
            await here.cluster.apply(endpoint, children)

        for kind in ("ConfigMap", "Service", "Ingress", "ServiceMonitor", "PrometheusRule"):
            child = of_kind(children, kind)
            assert control_plane.get(child)["metadata"]["name"] == child["metadata"]["name"]


async def test_an_account_that_is_no_longer_named_is_gone_with_its_copy(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server copies serviceAccountName into a field that nobody owns; pods must not keep the identity."""
    endpoint = an_endpoint(control_plane, namespace, serviceAccountName="privileged")
    without = endpoint.model_copy(
        update={"spec": endpoint.spec.model_copy(update={"service_account_name": None})}
    )
    allowed = Settings(pod_policy=PodPolicy(service_account_names=("privileged",)))
    async with connected(control_plane.kubeconfig, monkeypatch, allowed) as here:
        await here.cluster.apply(endpoint, here.children(endpoint))
        children = here.children(without)
        await here.cluster.apply(without, children)

        pod = control_plane.get(of_kind(children, "Deployment"))["spec"]["template"]["spec"]
        assert {name: pod.get(name) for name in ("serviceAccount", "serviceAccountName")} == {
            "serviceAccount": None,
            "serviceAccountName": None,
        }
        assert (await here.cluster.apply(without, children)).writes == 0


async def test_an_account_that_somebody_else_named_stays(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is their field: a later write of ours for another reason leaves it alone."""
    endpoint = an_endpoint(control_plane, namespace)
    more = endpoint.model_copy(update={"spec": endpoint.spec.model_copy(update={"replicas": 2})})
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        deployment = of_kind(children, "Deployment")
        here.woken.clear()
        theirs = {"spec": {"template": {"spec": {"serviceAccountName": "theirs"}}}}
        before = control_plane.patch(deployment, theirs)["spec"]["template"]
        await here.until_woken(endpoint.key)

        await here.cluster.apply(more, here.children(more))

        assert control_plane.get(deployment)["spec"]["template"] == before


def test_the_api_server_documents_no_other_copy_of_a_field_that_we_send(control_plane: ControlPlane) -> None:
    """Of all that can stand in our children, only the fields known to `drift` are called an alias of another."""
    definitions = json.loads(control_plane.text("/openapi/v2"))["definitions"]
    pending = {
        name
        for name, schema in definitions.items()
        for known in schema.get("x-kubernetes-group-version-kind", ())
        if (known["version"], known["kind"]) in {("v1", child) for child in WRITTEN}
    }
    reached: set[str] = set()
    aliases: set[str] = set()
    while pending:
        schema = definitions[name := pending.pop()]
        reached.add(name)
        for field, described in schema.get("properties", {}).items():
            if "is a deprecated alias" in described.get("description", ""):
                aliases.add(field)
            for at in (described, described.get("items", {}), described.get("additionalProperties", {})):
                if isinstance(at, dict) and "$ref" in at:
                    pending |= {at["$ref"].removeprefix("#/definitions/")} - reached

    assert aliases == set(MIRRORS)


@pytest.mark.parametrize("base", BASES)
async def test_what_is_taken_out_of_a_spec_leaves_nothing_behind(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    """After every field was set once, a small spec gives what it gives on a new endpoint."""
    endpoint = an_endpoint(control_plane, namespace, **at_host(BASES[base], f"chat.{namespace}"))
    small = endpoint.model_copy(update={"spec": spec_of(at_host(MINIMAL, f"chat.{namespace}"))})
    allowed = PodPolicy(
        service_account_names=("*",),
        priority_class_names=("*",),
        env_secret_names=("*",),
        labels=("*",),
        annotations=("*",),
        service_annotations=("*",),
    )
    async with connected(control_plane.kubeconfig, monkeypatch, Settings(pod_policy=allowed)) as here:
        await here.cluster.apply(endpoint, here.children(endpoint))
        await here.cluster.apply(small, here.children(small))
        reduced = contents(control_plane, here.children(small))
        fresh = an_endpoint(control_plane, namespace, "fresh", **at_host(MINIMAL, f"fresh.{namespace}"))
        await here.cluster.apply(fresh, here.children(fresh))

        assert reduced == contents(control_plane, here.children(fresh))


def at_host(document: dict[str, Any], host: str) -> dict[str, Any]:
    """The document with a host that begins with the endpoint's name and that no other test uses."""
    exposure = document.get("exposure")
    return {**document, "exposure": {**exposure, "host": f"{host}.example.com"}} if exposure else document


def spec_of(document: dict[str, Any]) -> EndpointSpec:
    """The spec of a document, parsed."""
    return StreamingEndpoint.from_body({"metadata": {"name": "x"}, "spec": document}).spec


def contents(plane: ControlPlane, children: tuple[Manifest, ...]) -> dict[str, Object]:
    """The spec of each child by kind, with the endpoint's name and addresses left out."""
    stored = {}
    for child in children:
        spec = json.dumps(plane.get(child).get("spec") or {})
        name = child["metadata"]["ownerReferences"][0]["name"]
        content = json.loads(spec.replace(f'"{name}', '"NAME'))
        stored[child["kind"]] = {k: v for k, v in content.items() if not k.startswith("clusterIP")}
    return stored


@pytest.mark.parametrize("kind", [resources.SERVICES, resources.INGRESSES], ids=lambda kind: kind.kind)
async def test_an_edit_between_our_write_and_its_response_is_undone(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """The watch shows the edit before our response is read: what the response carries is not what is stored now."""
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        child = of_kind(children, kind.kind)
        real = Transport.apply

        async def slow(
            self: Transport, path: str, manifest: Mapping[str, Any], doing: str, **options: Any
        ) -> dict[str, Any]:
            response = await real(self, path, manifest, doing, **options)
            if manifest["kind"] == kind.kind:
                edited = control_plane.patch(child, EDIT)["metadata"]["resourceVersion"]
                await here.until(lambda: version_of(here, kind, endpoint.key) == edited, "the edit is seen")
            return response

        with monkeypatch.context() as delayed:
            delayed.setattr(Transport, "apply", slow)
            await here.cluster.apply(endpoint, children)
        assert endpoint.key in here.woken
        await here.cluster.apply(endpoint, children)

        labels = control_plane.get(child)["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == child["metadata"]["labels"]["app.kubernetes.io/name"]


REPAIRS = int(PATIENCE) + 1
"""Of a row: the last of them is the first that is waited for, and names the author."""

EDIT = {"metadata": {"labels": {"app.kubernetes.io/name": "stranger"}}}


def version_of(here: Connected, kind: Kind, key: Key) -> str:
    """Resource version of an object as the cache has it; empty where it has none."""
    stored = here.cluster._caches.get(kind, key)
    return stored.resource_version if stored else ""


async def until_seen(here: Connected, plane: ControlPlane, child: Manifest) -> None:
    """Wait until the cache has the child as it is stored now."""
    key, kind = (child["metadata"]["namespace"], child["metadata"]["name"]), resources.BY_NAME
    version = plane.get(child)["metadata"]["resourceVersion"]
    await here.until(
        lambda: version_of(here, kind[child["apiVersion"], child["kind"]], key) == version, "it is seen"
    )


@pytest.fixture
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between repairs, as `Repairs` sees it: no pause ends, however long the machine takes."""
    for name in ("count", "pause", "author"):
        rule = getattr(Repairs, name)
        monkeypatch.setattr(Repairs, name, lambda self, child, now, rule=rule: rule(self, child, 0.0))


@pytest.mark.usefixtures("no_time_passes")
async def test_edits_in_a_row_are_repaired_at_growing_pauses_and_their_author_is_named(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another controller that undoes each repair at once causes no endless writes, and is named."""
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        ingress = of_kind(children, "Ingress")
        await here.cluster.apply(endpoint, children)
        writes = here.writes
        error: Overwritten | None = None
        for _ in range(12):
            metadata = {**ingress["metadata"], **EDIT["metadata"]}
            control_plane.apply({**ingress, "metadata": metadata}, manager="other-controller")
            await until_seen(here, control_plane, ingress)
            try:
                await here.cluster.apply(endpoint, children)
            except Overwritten as raised:
                error = raised

        assert here.writes - writes == REPAIRS
        assert str(error) == (
            f"Ingress/chat in {namespace} is changed back again and again by field manager other-controller "
            "(metadata.labels.app.kubernetes.io/name). It is repaired once a minute until that ends"
        )


@pytest.mark.usefixtures("no_time_passes")
async def test_a_second_operator_with_other_settings_is_named_as_the_likely_author(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have one field manager: neither writes for ever, and the message says what that means."""
    endpoint = an_endpoint(control_plane, namespace)
    async with (
        connected(control_plane.kubeconfig, monkeypatch) as here,
        connected(control_plane.kubeconfig, monkeypatch) as second,
    ):
        mine = here.children(endpoint)
        ingress = of_kind(mine, "Ingress")
        other = {**ingress, "metadata": {**ingress["metadata"], "annotations": {"example.com/other": "1"}}}
        theirs = tuple(other if child is ingress else child for child in mine)
        await here.cluster.apply(endpoint, mine)
        for child in mine:
            await until_seen(second, control_plane, child)
        errors = set()
        for _ in range(12):
            for operator, children in ((here, mine), (second, theirs)):
                try:
                    await operator.cluster.apply(endpoint, children)
                except Overwritten as error:
                    errors.add(str(error))
                for each in (here, second):
                    await until_seen(each, control_plane, ingress)

        assert (here.writes, second.writes) == (len(mine) + REPAIRS, 1 + REPAIRS)
        assert all(
            "field manager streaming-operator" in text and "a second operator" in text for text in errors
        )
        assert errors
