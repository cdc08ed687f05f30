"""The chart, rendered by helm: its values are what the operator reads, its role is what the chart says."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from hack import values_page
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
    "allowedAnnotations": ["cert-manager.io/*", "edge.example.com/canary*"],
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
    return [document for document in yaml.load_all(done.stdout, Loader=_Strict) if document]


class _Strict(yaml.CSafeLoader):
    """Refuses a key that stands twice in one object, as Flux and Kustomize do."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """One object."""
        mapping = super().construct_mapping(node, deep=deep)
        assert len(mapping) == len(node.value), [key.value for key, _ in node.value]
        return mapping


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
        "leaderElection": {"leaseSeconds": 20},
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
                allowed_annotations=("cert-manager.io/*", "edge.example.com/canary*"),
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
        lease_seconds=20,
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
        ({"edges": [EDGE | {"allowedAnnotations": ["*"]}]}, "/edges/0/allowedAnnotations/0"),
        ({"hostPolicy": [{"namespaces": ["a"]}]}, "hosts"),
        ({"hostPolicy": [{"namespaces": ["a"], "hosts": ["https://a.example"]}]}, "/hostPolicy/0/hosts/0"),
        ({"watchNamespaces": ["Team"]}, "/watchNamespaces/0"),
        ({"log": {"level": "info"}}, "/log/level"),
        ({"settings": {"workerz": 1}}, "workerz"),
        ({"replicas": "2"}, "replicas"),
        ({"leaderElection": {"leaseSeconds": 5}}, "/leaderElection/leaseSeconds"),
        ({"leaderElection": {"enabled": False}}, "enabled"),
        ({"admission": {"confine": True}}, "confine"),
        ({"image": {"registry": "https://registry.example.com"}}, "/image/registry"),
        ({"image": {"registry": "registry.example.com/"}}, "/image/registry"),
        ({"image": {"digest": "v0.33.0"}}, "/image/digest"),
        ({"commonLabels": {"app.kubernetes.io/name": "mine"}}, "/commonLabels"),
        ({"commonLabels": {"team": "a b"}}, "/commonLabels/team"),
        ({"podLabels": {"app.kubernetes.io/instance": "mine"}}, "/podLabels"),
        ({"commonLabels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}, "/commonLabels"),
        ({"serviceMonitor": {"labels": {"app.kubernetes.io/name": "mine"}}}, "/serviceMonitor/labels"),
        ({"dashboards": {"labels": {"helm.sh/chart": "mine"}}}, "/dashboards/labels"),
        ({"podAnnotations": {"count": 1}}, "/podAnnotations/count"),
        ({"deploymentAnnotations": {"count": 1}}, "/deploymentAnnotations/count"),
        ({"serviceAccountAnnotations": {"on": True}}, "/serviceAccountAnnotations/on"),
        ({"imagePullSecrets": ["registry"]}, "/imagePullSecrets/0"),
        ({"priorityClassName": 1}, "/priorityClassName"),
        ({"serviceMonitor": {"label": {}}}, "label"),
        ({"dashboards": {"enabled": "yes"}}, "/dashboards/enabled"),
        ({"dashboards": {"namespace": "Grafana"}}, "/dashboards/namespace"),
        ({"test": {"endpoint": "Chat"}}, "/test/endpoint"),
        ({"test": {"timeoutSeconds": 0}}, "/test/timeoutSeconds"),
        ({"networkPolicy": {"metricsFrom": "monitoring"}}, "/networkPolicy/metricsFrom"),
        ({"metrics": {"readers": [{"name": "prometheus"}]}}, "/metrics/readers/0"),
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
        (
            {"registry": "mirror.example.com", "tag": "1", "digest": f"sha256:{'5' * 64}"},
            f"mirror.example.com/streaming-operator@sha256:{'5' * 64}",
        ),
    ],
)
def test_a_registry_stands_before_the_repository(helm: Path, image: dict[str, str], expected: str) -> None:
    """`image.registry` names a mirror: put before the repository, changing nothing else; a digest replaces the tag."""
    deployment = next(doc for doc in documents(helm, {"image": image}) if doc["kind"] == "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == expected


EVERYTHING: dict[str, Any] = {
    "crds": {"install": False},
    "edges": [EDGE],
    "admission": {"requirePodRights": True, "confineOperator": True},
    "metrics": {"readers": [{"namespace": "monitoring", "name": "prometheus"}]},
    "networkPolicy": {"enabled": True, "metricsFrom": [PEER]},
    "serviceMonitor": {"enabled": True},
    "dashboards": {"enabled": True},
    "test": {"endpoint": "chat", "namespace": "models"},
}
"""Values by which the chart has every object that it can have."""


def test_labels_and_annotations_of_ones_own_reach_their_objects(helm: Path) -> None:
    """Common labels every object and the pod, and no selector; the others their own; the chart's labels stay."""
    values = {
        **EVERYTHING,
        "commonLabels": {"team": "platform"},
        "podLabels": {"mesh": "on"},
        "podAnnotations": {"pod": "1"},
        "deploymentAnnotations": {"deployment": "1"},
        "serviceAccountAnnotations": {"account": "1"},
        "priorityClassName": "system-cluster-critical",
        "imagePullSecrets": [{"name": "registry"}],
    }
    plain, docs = documents(helm, EVERYTHING), documents(helm, values)
    assert [doc["kind"] for doc in docs if doc["metadata"].get("labels", {}).get("team") != "platform"] == []
    deployment = next(doc for doc in docs if doc["kind"] == "Deployment")
    template = deployment["spec"]["template"]
    assert (template["metadata"]["labels"]["team"], template["metadata"]["labels"]["mesh"]) == (
        "platform",
        "on",
    )
    assert template["metadata"]["annotations"] == {"pod": "1"}
    assert deployment["metadata"]["annotations"] == {"deployment": "1"}
    assert template["spec"]["priorityClassName"] == "system-cluster-critical"
    account = next(doc for doc in docs if doc["kind"] == "ServiceAccount" and "account" in str(doc))
    assert account["metadata"]["annotations"] == {"account": "1"}
    pods = [template["spec"], *(doc["spec"] for doc in docs if doc["kind"] == "Pod")]
    assert [pod["imagePullSecrets"] for pod in pods] == [[{"name": "registry"}]] * 2

    def selectors(docs: list[dict[str, Any]]) -> list[Any]:
        return [
            doc["spec"].get("selector") or doc["spec"].get("podSelector") for doc in docs if "spec" in doc
        ]

    assert selectors(docs) == selectors(plain)


def test_a_label_that_is_given_twice_is_the_one_of_its_object(helm: Path) -> None:
    """The label of every object gives way, in the text too: no key stands twice, which Flux would refuse."""
    own = {
        "podLabels": {"team": "pods"},
        "serviceMonitor": {"enabled": True, "labels": {"team": "metrics"}},
        "dashboards": {"enabled": True, "labels": {"team": "boards"}},
    }
    docs = documents(helm, EVERYTHING | {"commonLabels": {"team": "all", "cost": "7"}} | own)
    objects = [doc["metadata"] | {"kind": doc["kind"]} for doc in docs]
    deployment = next(doc for doc in docs if doc["kind"] == "Deployment")
    objects.append(deployment["spec"]["template"]["metadata"] | {"kind": "template"})
    teams = {"template": "pods", "ServiceMonitor": "metrics", "ConfigMap": "boards"}
    given = {(one["kind"], one["labels"]["team"], one["labels"]["cost"]) for one in objects}
    assert given == {(kind, teams.get(kind, "all"), "7") for kind, _, _ in given}
    assert teams.keys() <= {kind for kind, _, _ in given}
    selected = deployment["spec"]["selector"]["matchLabels"]
    assert selected.items() <= objects[-1]["labels"].items()


def test_a_label_that_is_taken_away_leaves_the_charts_own(helm: Path) -> None:
    """As `null` does with the label that Grafana's sidecar looks for."""
    values = {"dashboards": {"enabled": True, "labels": {"grafana_dashboard": None}}, "podLabels": None}
    docs = documents(helm, values)
    boards = [doc["metadata"]["labels"] for doc in docs if doc["kind"] == "ConfigMap"]
    account = next(doc["metadata"]["labels"] for doc in docs if doc["kind"] == "ServiceAccount")
    assert boards == [account] * 3


def test_helm_lint_has_nothing_to_say(helm: Path, tmp_path: Path) -> None:
    """Not even a warning, with the defaults and with every object."""
    for name, values in {"defaults": {}, "everything": EVERYTHING}.items():
        (tmp_path / name).write_text(json.dumps(values))
        words = [helm, "lint", "--strict", "--quiet", CHART, "--values", tmp_path / name]
        done = subprocess.run(listed(words), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


def test_helm_test_asks_for_a_verification_with_no_more_rights_than_that(helm: Path) -> None:
    """Only where an endpoint is named; all are hooks, the pod is not the operator's, and its rights end with it."""

    def hooks(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
        docs = documents(helm, values)
        return {doc["kind"]: doc for doc in docs if "helm.sh/hook" in doc["metadata"].get("annotations", {})}

    assert hooks({}) == {}
    made = hooks(EVERYTHING)
    assert set(made) == {"ServiceAccount", "Role", "RoleBinding", "Pod"}
    assert (made["Role"]["metadata"]["namespace"], made["Role"]["rules"]) == (
        "models",
        [
            {
                "apiGroups": ["streamingendpoints.dev"],
                "resources": ["streamingendpoints"],
                "resourceNames": ["chat"],
                "verbs": ["get", "patch"],
            }
        ],
    )
    (container,) = made["Pod"]["spec"]["containers"]
    assert container["args"] == ["verify", "chat", "--namespace=models", "--timeout=1800"]
    deployment = next(doc for doc in documents(helm, {}) if doc["kind"] == "Deployment")
    selector = deployment["spec"]["selector"]["matchLabels"].items()
    assert not selector <= made["Pod"]["metadata"]["labels"].items()
    policies = {
        kind: doc["metadata"]["annotations"]["helm.sh/hook-delete-policy"] for kind, doc in made.items()
    }
    assert {kind for kind, policy in policies.items() if "hook-succeeded" not in policy} == {"Pod"}
    assert {kind for kind, policy in policies.items() if "before-hook-creation" in policy} == set(made)


def test_every_value_is_documented_and_in_the_schema() -> None:
    """A comment above each in values.yaml, of which docs/values.md is made; and the schema has no value beside them."""
    text = (CHART / "values.yaml").read_text()
    values = list(values_page.described(text))
    assert [value.path for value in values if not value.parts and not value.about] == []
    schema = json.loads((CHART / "values.schema.json").read_text())

    def paths(node: dict[str, Any], below: str = "") -> set[str]:
        return {
            path
            for name, inner in node.get("properties", {}).items()
            for path in ({f"{below}{name}"} | paths(inner, f"{below}{name}."))
        }

    theirs = {path for path in paths(schema) if not path.startswith(("settings.", "global"))}
    assert theirs == {value.path for value in values if not value.path.startswith("resources.")}


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
        ("streaming-system", "streaming-operator-lease"),
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


def test_dashboards_come_as_config_maps_that_grafanas_sidecar_finds(helm: Path) -> None:
    """Only where they are asked for: each file as it is, with the label, in the namespace where the sidecar looks."""

    def maps(**dashboards: Any) -> list[dict[str, Any]]:
        docs = documents(helm, {"dashboards": dashboards})
        return [doc for doc in docs if doc["kind"] == "ConfigMap"]

    assert maps() == []
    made = maps(enabled=True, namespace="grafana", annotations={"grafana_folder": "Streaming"})
    files = {path.name: json.loads(path.read_text()) for path in (CHART / "dashboards").iterdir()}
    assert {name: json.loads(text) for doc in made for name, text in doc["data"].items()} == files
    for doc in made:
        metadata = doc["metadata"]
        assert metadata["labels"]["grafana_dashboard"] == "1"
        assert (metadata["namespace"], metadata["annotations"]) == (
            "grafana",
            {"grafana_folder": "Streaming"},
        )


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


@pytest.mark.parametrize(
    "values", [{}, {"watchNamespaces": ["team-a"]}], ids=["everywhere", "in its namespaces"]
)
def test_only_its_own_lease_may_be_written(helm: Path, values: dict[str, Any]) -> None:
    """By a Role in the release's namespace, of the name that the Deployment sets; no right to Leases elsewhere."""
    docs = documents(helm, values)
    granted = [
        (doc["kind"], doc["metadata"].get("namespace"), rule.get("resourceNames"), rule["verbs"])
        for doc in docs
        if doc["kind"] in ("Role", "ClusterRole")
        for rule in doc["rules"]
        if "leases" in rule.get("resources", ())
    ]
    assert granted == [
        ("Role", "streaming-system", [settings(helm, values).lease_name], ["get", "patch"]),
        ("Role", "streaming-system", None, ["create"]),
    ]


def test_several_replicas_are_kept_apart_and_never_gone_together(helm: Path) -> None:
    """With 2: rolled out one by one, spread, a budget; a FlowSchema where the chart has rights outside namespaces."""
    alone, two = (documents(helm, {"replicas": count}) for count in (1, 2))
    listed = documents(helm, {"replicas": 2, "watchNamespaces": ["team-a"]})

    def kinds(docs: list[dict[str, Any]]) -> set[str]:
        return {doc["kind"] for doc in docs}

    assert kinds(two) - kinds(alone) == {"PodDisruptionBudget", "FlowSchema"}
    assert "FlowSchema" not in kinds(listed)
    deployment = next(doc for doc in two if doc["kind"] == "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    budget = next(doc for doc in two if doc["kind"] == "PodDisruptionBudget")["spec"]
    assert (deployment["replicas"], budget["maxUnavailable"]) == (2, 1)
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    selectors = [budget["selector"]["matchLabels"]]
    spread = deployment["template"]["spec"]["topologySpreadConstraints"]
    selectors += [one["labelSelector"]["matchLabels"] for one in spread]
    assert [selected.items() <= labels.items() for selected in selectors] == [True] * 3
    own = {"topologyKey": "x", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    docs = documents(helm, {"replicas": 2, "topologySpreadConstraints": [own]})
    deployment = next(doc for doc in docs if doc["kind"] == "Deployment")["spec"]
    assert deployment["template"]["spec"]["topologySpreadConstraints"] == [own]


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
