"""The chart, rendered by helm: its values are what the operator reads, its role is what the chart says."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from streaming_operator import routes
from streaming_operator.routes.base import Route
from streaming_operator.settings import PREFIX, EdgeSetting, HostRule, PodPolicy, Settings
from tests.cluster import steps, tools
from tests.cluster.programs import listed

CHART = Path(__file__).resolve().parent.parent.parent / "charts" / "streaming-operator"
EDGE = {
    "className": "nginx",
    "profile": "ingress-nginx",
    "service": "ingress-nginx/ingress-nginx-controller",
    "httpPort": 8081,
    "httpsPort": 8443,
    "annotationsPrefix": "edge.example.com",
    "allowedAnnotations": ["cert-manager.io/cluster-issuer", "edge.example.com/canary*"],
}
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}


@pytest.fixture(scope="module")
def helm() -> Path:
    """The pinned helm of the test cluster."""
    try:
        return tools.build("helm")["helm"]
    except steps.Failure as failure:
        pytest.skip(f"no helm: {failure}")


def template(helm: Path, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    words = [helm, "template", "streaming-operator", CHART, "-n", "streaming-system", "--values", "-"]
    return subprocess.run(
        listed(words), input=json.dumps(values), capture_output=True, text=True, check=False
    )


def documents(helm: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Without the CRD, which is nine tenths of the text."""
    return with_crd(helm, {"crds": {"install": False}} | values)


def with_crd(helm: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    done = template(helm, values)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if document]


def settings(helm: Path, values: dict[str, Any]) -> Settings:
    """What the operator would read from the Deployment's environment."""
    deployment = next(doc for doc in documents(helm, values) if doc["kind"] == "Deployment")
    variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    environment = {variable["name"]: variable["value"] for variable in variables}
    with mock.patch.dict(os.environ, environment, clear=True):
        return Settings.from_environment()


def rules(docs: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The rules that the operator itself gets."""
    return [
        rule
        for doc in docs
        if doc["kind"] == kind and doc["metadata"]["name"] == "streaming-operator"
        for rule in doc["rules"]
    ]


def test_default_values_are_the_default_settings(helm: Path) -> None:
    """The chart's defaults and the operator's are the same, so that neither lies about the other."""
    assert settings(helm, {}) == Settings()


def test_every_value_arrives(helm: Path) -> None:
    """Each value of the chart that is a setting reaches the operator as it was written."""
    values = {
        "edges": [
            EDGE,
            {
                "gatewayClass": "envoy",
                "profile": "generic",
                "controller": "gateway.envoyproxy.io/gatewayclass-controller",
                "supportedFeatures": ["HTTPRouteRequestTimeout"],
            },
        ],
        "edgePolicies": ["envoy-gateway"],
        "hostPolicy": [{"namespaces": ["team-a", "*"], "hosts": ["*.team-a.example.com", "*"]}],
        "podPolicy": {
            "securityContext": "restricted",
            "serviceAccountNames": ["a*"],
            "hostAccess": True,
            "labels": [],
        },
        "status": {"quoteServers": False},
        "watchNamespaces": ["team-a", "team-b"],
        "gatewayNamespaces": ["infra"],
        "clusterDomain": "k8s.example.com",
        "rbac": {"readSecrets": False},
        "log": {"level": "DEBUG", "format": "text"},
        "metrics": {"authentication": False},
        "settings": {
            "workers": 8,
            "connections": 9,
            "concurrentProbes": 2,
            "resyncSeconds": 12.5,
            "rollCallSeconds": 30,
            "detailedMetrics": True,
            "keyHosts": ["llm.example.com", "*.example.org"],
            "forbiddenAddresses": ["10.9.0.0/16", "fd00::/8"],
            "allowedAddresses": ["192.168.7.0/24"],
        },
    }
    expected = Settings(
        edges=(
            EdgeSetting(
                class_name="nginx",
                profile="ingress-nginx",
                service="ingress-nginx/ingress-nginx-controller",
                http_port=8081,
                https_port=8443,
                annotations_prefix="edge.example.com",
                allowed_annotations=("cert-manager.io/cluster-issuer", "edge.example.com/canary*"),
            ),
            EdgeSetting(
                gateway_class="envoy",
                profile="generic",
                controller="gateway.envoyproxy.io/gatewayclass-controller",
                supported_features=("HTTPRouteRequestTimeout",),
            ),
        ),
        edge_policies=("envoy-gateway",),
        host_policy=(HostRule(namespaces=("team-a", "*"), hosts=("*.team-a.example.com", "*")),),
        pod_policy=PodPolicy(
            security_context="restricted", service_account_names=("a*",), host_access=True, labels=()
        ),
        quote_servers=False,
        watch_namespaces=("team-a", "team-b"),
        gateway_namespaces=("infra",),
        cluster_roles=False,
        cluster_domain="k8s.example.com",
        read_secrets=False,
        log_level="DEBUG",
        log_format="text",
        metrics_authentication=False,
        workers=8,
        connections=9,
        concurrent_probes=2,
        resync_seconds=12.5,
        roll_call_seconds=30,
        detailed_metrics=True,
        key_hosts=("llm.example.com", "*.example.org"),
        forbidden_addresses=("10.9.0.0/16", "fd00::/8"),
        allowed_addresses=("192.168.7.0/24",),
    )
    assert settings(helm, values) == expected


def test_chart_knows_every_setting(helm: Path) -> None:
    """A setting that the chart cannot set does not exist: each has a variable or a place under `settings`."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    deployment = (CHART / "templates" / "deployment.yaml").read_text()
    written = {name for name in Settings.model_fields if f"{PREFIX}{name.upper()}," in deployment}
    tunable = {_snake(name) for name in schema["properties"]["settings"]["properties"]}
    assert written | tunable == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"edges": [{"profile": "generic"}]}, "/edges/0"),
        ({"edges": [{"className": "a", "gatewayClass": "b", "profile": "generic"}]}, "/edges/0"),
        ({"edges": [{"className": "nginx", "profile": "caddy"}]}, "/edges/0/profile"),
        ({"edgePolicies": ["ingress-nginx"]}, "/edgePolicies/0"),
        ({"edges": [{"className": "nginx", "profile": "generic", "service": "x"}]}, "/edges/0/service"),
        ({"edges": [{"className": "nginx", "profile": "generic", "httpPort": 0}]}, "/edges/0/httpPort"),
        ({"edges": [EDGE | {"allowedAnnotations": ["a b"]}]}, "/edges/0/allowedAnnotations/0"),
        ({"hostPolicy": [{"namespaces": ["a"]}]}, "hosts"),
        ({"hostPolicy": [{"namespaces": ["a"], "hosts": ["https://a.example"]}]}, "/hostPolicy/0/hosts/0"),
        ({"watchNamespaces": ["Team"]}, "/watchNamespaces/0"),
        ({"log": {"level": "info"}}, "/log/level"),
        ({"settings": {"workerz": 1}}, "workerz"),
        ({"replicas": 2}, "replicas"),
        ({"admission": {"confine": True}}, "confine"),
        ({"image": {"registry": "https://registry.example.com"}}, "/image/registry"),
        ({"image": {"registry": "registry.example.com/"}}, "/image/registry"),
    ],
)
def test_wrong_values_are_refused_by_name(helm: Path, values: dict[str, Any], named: str) -> None:
    """A wrong value stops helm before anything is installed, and the message names it."""
    done = template(helm, values)
    assert done.returncode != 0
    assert named in done.stderr


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, "streaming-operator:0.1.0"),
        ({"repository": "example.com/team/operator", "tag": "1"}, "example.com/team/operator:1"),
        ({"registry": "mirror.example.com"}, "mirror.example.com/streaming-operator:0.1.0"),
        (
            {"registry": "127.0.0.1:5000/docker-hub", "repository": "example.com/operator", "tag": "1"},
            "127.0.0.1:5000/docker-hub/example.com/operator:1",
        ),
    ],
)
def test_a_registry_stands_before_the_repository(helm: Path, image: dict[str, str], expected: str) -> None:
    """`image.registry` names a mirror: it is put before the repository and changes nothing else."""
    deployment = next(doc for doc in documents(helm, {"image": image}) if doc["kind"] == "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == expected


def test_secrets_can_be_taken_away(helm: Path) -> None:
    """Secrets are readable one by one and never listed; with rbac.readSecrets=false not at all."""

    def verbs(values: dict[str, Any]) -> list[list[str]]:
        granted = rules(documents(helm, values), "ClusterRole")
        return [rule["verbs"] for rule in granted if "secrets" in rule["resources"]]

    assert (verbs({}), verbs({"rbac": {"readSecrets": False}})) == ([["get"]], [])


EDGES_WITH_POLICIES = [route for route in routes.registry().values() if route.policies]


@pytest.mark.parametrize("route", EDGES_WITH_POLICIES, ids=lambda route: route.name)
def test_an_edges_own_kinds_are_granted_where_it_is_switched_on(helm: Path, route: Route) -> None:
    """By default no right to any of them; with `edgePolicies` to those of the edge, and admission lets them through."""

    def granted(values: dict[str, Any]) -> set[tuple[str, str, str]]:
        return {
            (group, resource, verb)
            for rule in rules(documents(helm, values), "ClusterRole")
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    kinds = {(kind.api_version.partition("/")[0], kind.plural) for kind in route.policies}
    verbs = ("get", "list", "watch", "create", "patch", "delete")
    on = {"edgePolicies": [route.profile], "admission": {"confineOperator": True}}
    assert granted(on) - granted({}) == {(*kind, verb) for kind in kinds for verb in verbs}
    policy = next(doc for doc in documents(helm, on) if doc["kind"] == "ValidatingAdmissionPolicy")
    children = next(one for one in policy["spec"]["variables"] if one["name"] == "isChild")["expression"]
    assert {kind for kind in kinds if f"'{'/'.join(kind)}'" not in children} == set()


def test_no_wildcards_and_no_writes_to_spec(helm: Path) -> None:
    """The operator's role has no `*`, and no verb that could change an endpoint's spec."""
    for rule in rules(documents(helm, {}), "ClusterRole"):
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        if "streamingendpoints" in rule["resources"]:
            assert {"get", "list", "watch"} >= set(rule["verbs"])


def test_listed_namespaces_get_roles_of_their_own(helm: Path) -> None:
    """With watchNamespaces, access is granted there only: Roles, and Gateways in the namespaces that are named."""
    values = {"watchNamespaces": ["team-a", "team-b"], "gatewayNamespaces": ["team-a", "infra"]}
    docs = documents(helm, values)
    granted = [
        (doc["metadata"]["namespace"], doc["roleRef"]["name"]) for doc in docs if doc["kind"] == "RoleBinding"
    ]
    assert granted == [
        ("team-a", "streaming-operator"),
        ("team-b", "streaming-operator"),
        ("infra", "streaming-operator-gateways"),
    ]
    assert not [doc for doc in docs if doc["kind"].startswith("ClusterRole")]


def test_cluster_roles_beside_listed_namespaces_are_asked_for(helm: Path) -> None:
    """They read what lies in no namespace and ask for reviews; everything else stays in the Roles."""
    docs = documents(helm, {"watchNamespaces": ["team-a"], "rbac": {"clusterRoles": True}})
    bound = {doc["roleRef"]["name"] for doc in docs if doc["kind"] == "ClusterRoleBinding"}
    assert bound == {"streaming-operator", "streaming-operator-metrics-auth"}
    cluster_wide = {resource for rule in rules(docs, "ClusterRole") for resource in rule["resources"]}
    assert cluster_wide == {"ingressclasses", "gatewayclasses", "gateways"}


def test_listed_namespaces_still_reach_the_edge(helm: Path) -> None:
    """With watchNamespaces, the edge's own Service is readable by name, nothing else there."""
    docs = documents(helm, {"watchNamespaces": ["team-a"], "edges": [EDGE]})
    edge = next(
        doc for doc in docs if doc["kind"] == "Role" and doc["metadata"]["namespace"] == "ingress-nginx"
    )
    only = {
        "apiGroups": [""],
        "resources": ["services"],
        "resourceNames": ["ingress-nginx-controller"],
        "verbs": ["get"],
    }
    assert edge["rules"] == [only]


def test_metrics_are_for_whom_the_administrator_lets_in(helm: Path) -> None:
    """Rights for the operator to ask, a role for scrapers, and the ServiceMonitor sends Prometheus' token."""
    values = {
        "metrics": {"readers": [{"namespace": "monitoring", "name": "prometheus"}]},
        "serviceMonitor": {"enabled": True},
    }
    docs = {(doc["kind"], doc["metadata"]["name"]): doc for doc in documents(helm, values)}
    reviews = docs["ClusterRole", "streaming-operator-metrics-auth"]["rules"]
    assert {(*rule["resources"], *rule["verbs"]) for rule in reviews} == {
        ("tokenreviews", "create"),
        ("subjectaccessreviews", "create"),
    }
    reader = docs["ClusterRole", "streaming-operator-metrics-reader"]["rules"]
    assert reader == [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
    bound = docs["ClusterRoleBinding", "streaming-operator-metrics-reader"]["subjects"]
    assert bound == [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "monitoring"}]
    scrape = docs["ServiceMonitor", "streaming-operator"]["spec"]["endpoints"][0]
    assert scrape["bearerTokenFile"] == "/var/run/secrets/kubernetes.io/serviceaccount/token"

    off = {"metrics": {"authentication": False}, "serviceMonitor": {"enabled": True}}
    without = {(doc["kind"], doc["metadata"]["name"]): doc for doc in documents(helm, off)}
    assert not [name for _, name in without if name.startswith("streaming-operator-metrics-")]
    assert "bearerTokenFile" not in without["ServiceMonitor", "streaming-operator"]["spec"]["endpoints"][0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"policyTypes": ["Ingress"]}),
        (
            {"metricsFrom": [PEER]},
            {
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [PEER], "ports": [{"protocol": "TCP", "port": "http"}]}],
            },
        ),
        ({"egress": [{"to": [PEER]}]}, {"policyTypes": ["Ingress", "Egress"], "egress": [{"to": [PEER]}]}),
    ],
)
def test_the_network_policy_lets_in_only_who_is_listed(
    helm: Path, values: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Of the operator's own pods; nobody where none is listed, and by default there is no policy."""
    docs = documents(helm, {"networkPolicy": {"enabled": True, **values}})
    pod = next(doc for doc in docs if doc["kind"] == "Deployment")["spec"]["template"]
    policy = next(doc for doc in docs if doc["kind"] == "NetworkPolicy")["spec"]
    selected = policy.pop("podSelector")["matchLabels"]
    assert selected.items() <= pod["metadata"]["labels"].items()
    assert policy == expected
    assert "http" in {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    assert "NetworkPolicy" not in {doc["kind"] for doc in documents(helm, {})}


def test_admission_policies_come_only_where_they_are_asked_for(helm: Path) -> None:
    """Clusters before 1.30 lack the kind; each policy comes with its binding."""
    kinds = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}

    def policies(**admission: bool) -> set[tuple[str, str]]:
        docs = documents(helm, {"admission": admission})
        return {(doc["kind"], doc["metadata"]["name"]) for doc in docs if doc["kind"] in kinds}

    assert policies() == set()
    assert policies(requirePodRights=True) == {
        (kind, "streaming-operator-require-pod-rights") for kind in kinds
    }
    assert policies(confineOperator=True) == {(kind, "streaming-operator-confine-operator") for kind in kinds}


def test_crd_can_be_left_out_and_is_kept(helm: Path) -> None:
    """The CRD comes with the chart unless crds.install is false, and an uninstall leaves it."""
    docs = with_crd(helm, {})
    crds = [doc for doc in docs if doc["kind"] == "CustomResourceDefinition"]
    assert [crd["metadata"]["annotations"]["helm.sh/resource-policy"] for crd in crds] == ["keep"]
    without = with_crd(helm, {"crds": {"install": False}})
    assert "CustomResourceDefinition" not in {doc["kind"] for doc in without}


def test_pod_is_locked_down(helm: Path) -> None:
    """The operator's pod meets the restricted Pod Security Standard with a read-only root file system."""
    deployment = next(doc for doc in documents(helm, {}) if doc["kind"] == "Deployment")
    assert deployment["spec"]["strategy"]["type"] == "Recreate"
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("given", [{}, {"runAsNonRoot": True, "runAsUser": 1001}])
def test_security_contexts_are_values_that_replace_the_charts_own(helm: Path, given: dict[str, Any]) -> None:
    """Nothing of the chart's own stays beside them, and {} stays {}: OpenShift's restricted-v2 assigns the uid."""
    values = {"podSecurityContext": given, "securityContext": given}
    deployment = next(doc for doc in documents(helm, values) if doc["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert (pod["securityContext"], pod["containers"][0]["securityContext"]) == (given, given)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
