"""`streamctl diff --base`: exit codes for pipelines, text for reviewers, JSON for programs; no cluster."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streaming_operator.cli.diff import diff

ENDPOINT = """
apiVersion: streamingendpoints.dev/v1alpha1
kind: StreamingEndpoint
metadata:
  name: qwen
  namespace: models
spec:
  replicas: 2
  model: {source: {huggingFace: {repo: org/model}}}
  exposure:
    host: qwen.example.com
    ingress: {className: nginx}
"""


def compared(before: str, after: str, folder: Path, *options: str) -> Result:
    """The command over two files, the one before on stdin."""
    file = folder / "endpoint.yaml"
    file.write_text(after)
    return CliRunner().invoke(diff, ["-f", str(file), "--base", "-", *options], input=before)


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("", "", 0, "models/qwen: no object changes"),
        ("replicas: 2", "replicas: 4", 0, "2 pods more start"),
        ("qwen.example.com", "new.example.com", 10, "ingress-nginx reloads"),
        ("replicas: 2", "replicas: 2\n  engine: {args: [--seed=1]}", 11, "2 pods replaced"),
        ("replicas: 2", "replicas: two", 1, "spec.replicas"),
        ("kind: StreamingEndpoint", "kind: Pod", 1, "is not a StreamingEndpoint"),
    ],
)
def test_the_exit_code_is_what_streams_notice(
    tmp_path: Path, old: str, new: str, code: int, said: str
) -> None:
    """0 nothing, 10 a route, 11 pods, 1 an invalid file."""
    result = compared(ENDPOINT, ENDPOINT.replace(old, new), tmp_path)
    assert result.exit_code == code, result.output
    assert said in result.output


def test_an_empty_base_is_an_endpoint_that_is_new(tmp_path: Path) -> None:
    """As of a branch that adds the file."""
    file, empty = tmp_path / "endpoint.yaml", tmp_path / "empty.yaml"
    file.write_text(ENDPOINT)
    empty.write_text("")
    result = CliRunner().invoke(diff, ["-f", str(file), "--base", str(empty)])
    assert (result.exit_code, "create Deployment/qwen: 2 pods start" in result.output) == (10, True)


def test_json_has_every_field_of_every_object(tmp_path: Path) -> None:
    """For a program that comments on a merge request."""
    changed = ENDPOINT.replace("replicas: 2", "replicas: 1")
    result = compared(ENDPOINT, changed, tmp_path, "--output", "json")
    document = json.loads(result.stdout)
    assert (document["effect"], document["exitCode"], result.exit_code) == ("pods", 11, 11)
    (endpoint,) = document["endpoints"]
    deployment = next(change for change in endpoint["changes"] if change["kind"] == "Deployment")
    assert deployment["fields"] == [{"path": "spec.replicas", "before": 2, "after": 1}]


def test_stdin_is_one_file(tmp_path: Path) -> None:
    """Both from stdin is wrong usage."""
    assert CliRunner().invoke(diff, ["-f", "-", "--base", "-"]).exit_code == 2


def test_control_characters_of_a_file_reach_no_terminal(tmp_path: Path) -> None:
    """What others wrote drives no terminal."""
    changed = ENDPOINT.replace("replicas: 2", 'replicas: 2\n  engine: {args: ["--x=\\e[2J"]}')
    result = compared(ENDPOINT, changed, tmp_path)
    assert (result.exit_code, "\x1b" in result.output) == (11, False)
