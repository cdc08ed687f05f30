"""`streamctl render`: what is printed, applied, is what the operator makes; what is wrong is named."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from streaming_operator import render as renderer
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cli.render import render
from streaming_operator.values import Capabilities, Edge

ENDPOINT = """
apiVersion: streamingendpoints.dev/v1alpha1
kind: StreamingEndpoint
metadata:
  name: qwen
  namespace: models
  uid: {uid}
spec:
  model:
    source:
      huggingFace:
        repo: Qwen/Qwen2.5-0.5B-Instruct
  exposure:
    host: qwen.example.com
    {exposure}
"""
INGRESS = "ingress: {className: nginx}"
HTTP_ROUTE = "httpRoute: {parentRefs: [{name: public}]}"


def run(text: str, *options: str) -> Result:
    """Run the command over a file on stdin."""
    return CliRunner().invoke(render, ["-f", "-", *options], input=text)


def kinds(text: str, *options: str) -> list[str]:
    """The kinds that are printed, in order."""
    return [manifest["kind"] for manifest in yaml.safe_load_all(run(text, *options).stdout)]


def test_it_prints_what_the_operator_makes() -> None:
    """Equal in every field but the owner reference, whose uid no file knows."""
    text = ENDPOINT.format(uid="42", exposure=INGRESS)
    capabilities = Capabilities(True, True, {"nginx": Edge("ingress-nginx")}, prometheus_rules=True)
    made = renderer.children(StreamingEndpoint.from_body(yaml.safe_load(text)), capabilities)
    for manifest in made:
        del manifest["metadata"]["ownerReferences"]

    assert made == tuple(yaml.safe_load_all(run(text).stdout))


@pytest.mark.parametrize(
    ("exposure", "options", "expected"),
    [
        (INGRESS, [], ["ConfigMap", "Service", "Deployment", "Ingress", "ServiceMonitor", "PrometheusRule"]),
        (INGRESS, ["--no-service-monitor"], ["ConfigMap", "Service", "Deployment", "Ingress"]),
        (
            HTTP_ROUTE,
            [],
            ["ConfigMap", "Service", "Deployment", "HTTPRoute", "ServiceMonitor", "PrometheusRule"],
        ),
        (
            HTTP_ROUTE,
            ["--no-gateway-api"],
            ["ConfigMap", "Service", "Deployment", "ServiceMonitor", "PrometheusRule"],
        ),
    ],
)
def test_options_say_what_the_cluster_lacks(exposure: str, options: list[str], expected: list[str]) -> None:
    """Every optional kind is assumed unless an option says otherwise."""
    assert kinds(ENDPOINT.format(uid="''", exposure=exposure), *options) == expected


@pytest.mark.parametrize(
    ("exposure", "options", "text", "is_rendered"),
    [
        (INGRESS, [], "nginx.ingress.kubernetes.io/proxy-buffering: 'off'", True),
        (INGRESS, ["--edge-profile", "generic"], "proxy-buffering", False),
        (
            INGRESS,
            ["--annotations-prefix", "edge.example.com"],
            "edge.example.com/proxy-buffering: 'off'",
            True,
        ),
        (HTTP_ROUTE, [], "timeouts:", False),
        (HTTP_ROUTE, ["--request-timeout-feature"], "request: 0s", True),
    ],
)
def test_options_say_what_the_edge_is(
    exposure: str, options: list[str], text: str, is_rendered: bool
) -> None:
    """ingress-nginx is assumed; a Gateway's features are not."""
    assert is_rendered == (text in run(ENDPOINT.format(uid="''", exposure=exposure), *options).stdout)


def test_a_namespace_is_filled_in_where_none_is_named() -> None:
    """Like `kubectl -n`, for documents that leave it open."""
    text = ENDPOINT.format(uid="''", exposure=INGRESS)
    without = text.replace("  namespace: models\n", "")
    printed = list(yaml.safe_load_all(run(f"{without}---\n{text}", "-n", "other").stdout))

    assert {manifest["metadata"]["namespace"] for manifest in printed[:6]} == {"other"}
    assert {manifest["metadata"]["namespace"] for manifest in printed[6:]} == {"models"}


def test_what_the_administrator_must_allow_is_told_beside_what_is_printed() -> None:
    """Credentials of an object store and a capability, as models on S3 and Gaudi need them: rendered, exit code 0."""
    text = f"""{ENDPOINT.format(uid="''", exposure=INGRESS)}
  engine: {{envFrom: [{{secretRef: {{name: aws}}}}]}}
  securityContext: {{capabilities: {{add: [SYS_NICE]}}}}
"""
    result = run(text)
    printed = {manifest["kind"]: manifest for manifest in yaml.safe_load_all(result.stdout)}
    container = printed["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["envFrom"] == [{"secretRef": {"name": "aws"}}]
    assert container["securityContext"]["capabilities"]["add"] == ["SYS_NICE"]
    assert [line.split("(")[1].split(")")[0] for line in result.stderr.splitlines()] == [
        "podPolicy.envSecretNames",
        "podPolicy.capabilities",
    ]
    assert result.exit_code == 0
    assert run(ENDPOINT.format(uid="''", exposure=INGRESS)).stderr == ""


@pytest.mark.parametrize(
    ("exposure", "options", "said"),
    [
        (
            "ingress: {className: nginx, annotations: {nginx.ingress.kubernetes.io/canary: 'true'}}",
            [],
            [
                "AnnotationNotAllowed",
                "nginx.ingress.kubernetes.io/canary",
                "use spec.exposure.canary instead",
            ],
        ),
        (
            "ingress: {className: nginx}\n    stripPrefix: /llama",
            ["--edge-profile", "generic"],
            ["NotSupported", "spec.exposure.stripPrefix", "IngressClass nginx"],
        ),
        (f"{HTTP_ROUTE}\n  engine: {{tls: {{secretName: pods}}}}", [], ["engine.tls.caConfigMapName"]),
    ],
)
def test_what_keeps_a_route_from_being_written_is_told(
    exposure: str, options: list[str], said: list[str]
) -> None:
    """With the reason that the condition would have; and what is remarked of the edge."""
    result = run(ENDPOINT.format(uid="''", exposure=exposure), *options)
    assert (result.exit_code, [part for part in said if part not in result.stderr]) == (0, [])


HEAD = "apiVersion: streamingendpoints.dev/v1alpha1\nkind: StreamingEndpoint\nmetadata: {name: qwen}\n"
LOCAL = "model: {source: {local: {path: /opt/model}}}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "<stdin>: no StreamingEndpoint in it"),
        ("- 1\n", "<stdin>: kind: list is not a StreamingEndpoint of streamingendpoints.dev/v1alpha1"),
        (
            "kind: Service\n",
            "<stdin>: kind: Service is not a StreamingEndpoint of streamingendpoints.dev/v1alpha1",
        ),
        (f"{HEAD}spec: {{}}\n", "<stdin>: spec.model: required"),
        (f"{HEAD}spec: {{{LOCAL}, gpus: 1}}\n", "<stdin>: spec.gpus: unknown field"),
        (
            f"{HEAD}spec: {{model: {{source: {{}}}}}}\n",
            "<stdin>: spec.model.source: set exactly one of huggingFace, persistentVolumeClaim, "
            "local, uri, image, modelScope",
        ),
        (
            f"{HEAD}spec: {{{LOCAL}, rollout: {{maxSurge: 1}}}}\n",
            "<stdin>: spec.rollout.maxSurge: needs strategy: RollingUpdate",
        ),
        (f"{HEAD}metadata: 3\n", "<stdin>: metadata: must be an object"),
    ],
)
def test_what_is_wrong_is_named_by_path_and_rule(text: str, problem: str) -> None:
    """Exit code 1, one line a problem on stderr, nothing on stdout."""
    result = run(text)

    assert (1, "", [problem]) == (result.exit_code, result.stdout, result.stderr.splitlines())


def test_broken_yaml_is_named() -> None:
    """A file that is no YAML ends in one line with the place, and no traceback."""
    result = run("spec: [\n")

    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
    assert result.stderr.startswith("<stdin>: not YAML: ")
    assert "line 2" in result.stderr


def test_every_document_of_a_file_is_looked_at(tmp_path: Path) -> None:
    """The problems of all documents are reported at once, each with its number; nothing is printed."""
    file = tmp_path / "endpoints.yaml"
    file.write_text(f"{HEAD}spec: {{{LOCAL}}}\n---\nkind: Pod\n---\n{HEAD}spec: {{{LOCAL}, replicas: -1}}\n")
    result: Any = CliRunner().invoke(render, ["-f", str(file)])

    assert (result.exit_code, result.stdout) == (1, "")
    assert [
        f"{file}, document 2: kind: Pod is not a StreamingEndpoint of streamingendpoints.dev/v1alpha1",
        f"{file}, document 3: spec.replicas: must be greater than or equal to 0",
    ] == result.stderr.splitlines()


def test_a_file_that_is_not_there_is_wrong_usage() -> None:
    """Exit code 2, as for every wrong option."""
    assert CliRunner().invoke(render, ["-f", "/nowhere.yaml"]).exit_code == 2


def test_flags_that_the_server_does_not_take_are_named() -> None:
    """On stderr, beside the objects: the image may be a fork with flags of its own."""
    text = f"{HEAD}spec: {{{LOCAL}, engine: {{args: [--swap-space=4]}}}}\n"
    result = run(text)

    assert (result.exit_code, result.stderr) == (
        0,
        "qwen: The server ends at start with these flags of spec.engine.args: "
        "--swap-space is no flag of vLLM 0.33\n",
    )
    assert "--swap-space=4" in result.stdout
