"""
kubectl for the tests: what a person would type, with JSON in and out.

It knows nothing of endpoints; a refusal of the API server is an exception with its text.
"""

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from tests.cluster import kind
from tests.cluster.programs import listed

Manifest = dict[str, Any]


class Refused(Exception):
    """kubectl ended with an error; the text is what it printed."""


class Answered(Exception):
    """A pod answered, with another status than 200."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.status, self.text = status, text


def kubectl(*words: str, stdin: str | None = None, seconds: float = 120) -> str:
    """What `kubectl WORDS` prints."""
    done = subprocess.run(
        listed(kind.kubectl_argv(*words)),
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0:
        raise Refused(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def of_pod(namespace: str, pod: str, port: int, path: str, token: str = "") -> str:
    """
    What a pod answers to somebody who may forward its port, with a bearer's token where one is given.

    Not by the API server's proxy, which marks a request as one from outside.
    """
    command = kind.kubectl_argv("port-forward", f"pod/{pod}", f":{port}", "--namespace", namespace)
    with subprocess.Popen(
        listed(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as forwarding:
        assert forwarding.stdout is not None
        try:
            line = forwarding.stdout.readline()
            local = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) ", line)
            if local is None:
                raise Refused(line.strip() or "kubectl port-forward ended")
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            request = urllib.request.Request(f"http://127.0.0.1:{local.group(1)}{path}", headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    text: str = answer.read().decode()
            except urllib.error.HTTPError as error:
                # Its text, while the port is still forwarded.
                text = error.read().decode()
                raise Answered(error.code, text) from error
            return text
        finally:
            forwarding.terminate()


@contextmanager
def watching(
    resource: str, name: str, namespace: str, seconds: float = 300
) -> Iterator[Iterator[tuple[str, Manifest]]]:
    """One object as it is, then as each of its changes left it, with the type of the change; ended after *seconds*."""
    words = ["get", resource, name, "--watch", "--output-watch-events", "--output=json"]
    command = kind.kubectl_argv(*_in(namespace), *words, f"--request-timeout={seconds:.0f}s")
    with subprocess.Popen(listed(command), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield ((event["type"], event["object"]) for event in map(json.loads, process.stdout))
        finally:
            process.terminate()


def key_secret(name: str, namespace: str, value: str) -> Manifest:
    """A Secret that holds *value* under the name that apiKeySecretRef reads by default."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"api-key": value}}


def apply(*manifests: Manifest) -> None:
    """`kubectl apply` of these objects, fields checked strictly."""
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))


def create(*manifests: Manifest) -> None:
    """`kubectl create` of these objects."""
    kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(manifests))


def get(resource: str, name: str, namespace: str | None = None) -> Manifest | None:
    """One object, None when it is not there."""
    text = kubectl(*_in(namespace), "get", resource, name, "-o", "json", "--ignore-not-found")
    return json.loads(text) if text.strip() else None


def listing(resource: str, namespace: str | None = None, selector: str = "") -> list[Manifest]:
    """All objects of a kind that the selector takes, in one namespace or in all."""
    where = _in(namespace) or ["--all-namespaces"]
    chosen = [f"--selector={selector}"] if selector else []
    return json.loads(kubectl("get", resource, "-o", "json", *where, *chosen))["items"]


def patch(resource: str, name: str, change: Any, namespace: str | None = None) -> None:
    """Merge patch when *change* is an object, JSON patch when it is a list."""
    how = "json" if isinstance(change, list) else "merge"
    kubectl(*_in(namespace), "patch", resource, name, f"--type={how}", "-p", json.dumps(change))


def delete(resource: str, name: str, namespace: str | None = None, *options: str) -> None:
    """`kubectl delete`, which waits until the object is gone unless an option says otherwise."""
    kubectl(*_in(namespace), "delete", resource, name, "--ignore-not-found", *options, seconds=300)


def raw(path: str) -> str:
    """The API server's answer to a GET, e.g. through its proxy to a pod."""
    return kubectl("get", "--raw", path)


def _in(namespace: str | None) -> list[str]:
    return ["-n", namespace] if namespace else []
