"""
`make demo`: the cluster, the operator from its chart, a sample endpoint with the real vLLM, and its stream.

Every step is a command that a person could type; what is there already is used again. This file has only
their order: the cluster comes from `up`, the operator from charts/, the endpoint from manifests/samples/.
"""

from __future__ import annotations

import http.client
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from . import ahead, cache, command, helm_release, images, kind, lifecycle, mirror, modes, steps, tour
from .programs import listed
from .versions import Mode

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "streaming-operator"
SAMPLE = ROOT / "manifests" / "samples" / "demo.yaml"
RELEASE, SYSTEM = "streaming-operator", "streaming-system"
NAMESPACE, NAME, HOST = "demo", "tiny", "tiny.example.com"
EDGE = {
    "className": "nginx",
    "profile": "ingress-nginx",
    "service": "ingress-nginx/ingress-nginx-controller",
}
READY_SECONDS = 600  # a slow machine needs three minutes; what is longer is stuck
PATH = "/v1/chat/completions"
QUESTION = "Count from one upwards, one number a line."


def main() -> int:
    """Run all steps; 1 and what to do when one fails, 130 when interrupted."""
    return command.run(
        _run,
        failed="\nthe demo stopped",
        interrupted="\nstopped; `make demo` goes on from here, `make clean` removes everything",
    )


def _run() -> None:
    start = time.monotonic()
    with ExitStack() as prepared:
        _cluster(prepared)
        _operator()
    _endpoint()
    _show()
    _stream()
    _farewell(time.monotonic() - start)


def _cluster(prepared: ExitStack) -> None:
    """
    Leave with kind and ingress-nginx running, and the operator's and the engine's image in the node.

    What is built here is prepared beside the first steps, until the stack is closed.
    """

    def begin(mode: Mode) -> None:
        steps.say(tour.opening(mode))
        if mode == "build":
            prepared.enter_context(ahead.beside())

    lifecycle.up(demo=True, chosen=begin)
    images.load("vllm", modes.current())


def _operator() -> None:
    """Install or upgrade the chart; a newly built image of the same name restarts the operator."""
    image, _, tag = mirror.image("operator", modes.current()).rpartition(":")
    values = {
        "image": {"repository": image, "tag": tag, "pullPolicy": "Never"},
        "edges": [EDGE],
        "podAnnotations": {"streamingendpoints.dev/image-digest": images.digest("operator", modes.current())},
    }
    path = cache.STATE / "demo-values.json"
    path.write_text(json.dumps(values, indent=1))
    with steps.step("helm upgrade --install streaming-operator charts/streaming-operator (about 10 s)"):
        if helm_release.give_up_interrupted(RELEASE, SYSTEM):
            steps.say("    took back an installation that was interrupted")
        steps.run(
            helm_release.argv("upgrade", "--install", RELEASE, CHART, "--create-namespace", "--values", path,
                              "--wait", "--timeout", "10m", namespace=SYSTEM),
            cache.log("helm"),
            env=helm_release.environment(),
            remedy=f"kubectl -n {SYSTEM} logs deployment/{RELEASE}",
        )  # fmt: skip


def _endpoint() -> None:
    """Apply the sample and wait for Ready, printing what it waits for."""
    kind.apply(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n")
    with steps.step(f"kubectl apply -n {NAMESPACE} -f manifests/samples/demo.yaml"):
        kind.kubectl("apply", "--namespace", NAMESPACE, "-f", str(SAMPLE))
    title = f"kubectl wait --for=condition=Ready sep/{NAME} (about 90 s: vLLM takes a minute to start)"
    with steps.step(title):
        wait = subprocess.Popen(
            listed(
                kind.kubectl_argv(
                    "wait",
                    "-n",
                    NAMESPACE,
                    "--for=condition=Ready",
                    f"sep/{NAME}",
                    f"--timeout={READY_SECONDS}s",
                )
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _narrate(wait)
        finally:
            wait.terminate()
            _, error = wait.communicate()
    if wait.returncode != 0:
        _show()
        raise steps.Failure(
            f"the endpoint is not Ready: {error.strip()}",
            remedy=f"the conditions above say why; kubectl -n {NAMESPACE} describe sep/{NAME} has the events",
        )


def _narrate(wait: subprocess.Popen[str]) -> None:
    """While kubectl waits, print each new message of the Ready condition."""
    start, last = time.monotonic(), ""
    while wait.poll() is None:
        for condition in _endpoint_now().get("status", {}).get("conditions", []):
            if condition["type"] == "Ready" and condition["message"] != last:
                last = condition["message"]
                steps.say(f"    {time.monotonic() - start:4.0f} s  {condition['reason']}: {last}")
        try:
            wait.wait(timeout=1)
        except subprocess.TimeoutExpired:
            continue


def _endpoint_now() -> dict[str, Any]:
    endpoint: dict[str, Any] = json.loads(kind.kubectl("get", "sep", NAME, "-n", NAMESPACE, "-o", "json"))
    return endpoint


def _show() -> None:
    """`kubectl get sep`, then the conditions."""
    steps.say(f"\n$ kubectl get sep -n {NAMESPACE}")
    steps.say(kind.kubectl("get", "sep", "-n", NAMESPACE))
    for condition in _endpoint_now().get("status", {}).get("conditions", []):
        head = f"{condition['type']}={condition['status']}"
        steps.say(f"  {head:<28} {condition['reason']:<16} {condition['message']}")


def _stream() -> None:
    """Ask through the ingress as `curl -N` would, and print the answer as it arrives."""
    body = json.dumps(
        {
            "model": NAME,
            "messages": [{"role": "user", "content": QUESTION}],
            "stream": True,
            "max_tokens": 64,
            "ignore_eos": True,
        }
    )
    host, port = kind.edge()
    by_hand = [
        "curl", "-N", "-sS", "--fail-with-body", "--noproxy", "*",
        "--connect-to", f"{HOST}:80:{host}:{port}", f"http://{HOST}{PATH}",
        "-H", "Content-Type: application/json", "-d", body,
    ]  # fmt: skip
    steps.say(f"\n$ {shlex.join(by_hand)}\n")
    start = time.monotonic()
    stamps: list[float] = []
    done = False
    try:
        for line in _lines(host, port, body):
            event = line.decode(errors="replace").strip()
            done = done or event == "data: [DONE]"
            text = _token(event)
            if text:
                stamps.append(time.monotonic() - start)
                print(text, end="", flush=True)
    except (OSError, http.client.HTTPException) as error:
        raise steps.Failure(
            f"the stream through {host}:{port} broke: {error or type(error).__name__}"
        ) from error
    print(flush=True)
    if not done or not stamps:
        raise steps.Failure("the stream did not end in [DONE]")
    steps.say(f"\n{len(stamps)} events, first at {stamps[0]:.2f} s, last at {stamps[-1]:.2f} s, then [DONE].")


def _lines(host: str, port: int, body: str) -> Iterator[bytes]:
    """The lines of the response, each as soon as it is here; no program outside Python is needed."""
    connection = http.client.HTTPConnection(host, port, timeout=120)
    with closing(connection):
        connection.request("POST", PATH, body, {"Host": HOST, "Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise steps.Failure(f"the ingress answered {response.status}: {response.read(300)!r}")
        while line := response.readline():
            yield line


def _token(event: str) -> str:
    """The text of one `data:` line; errors and anything else are shown as they are."""
    if event in ("", "data: [DONE]") or event.startswith(":"):
        return ""
    try:
        chunk = json.loads(event.removeprefix("data: "))
        choices = chunk["choices"]
        return choices[0]["delta"].get("content") or "" if choices else ""
    except (ValueError, KeyError, TypeError):
        return f"\n{event}\n"


def _farewell(seconds: float) -> None:
    host, port = kind.edge()
    service = f"{NAME}.{NAMESPACE}.svc.cluster.local"
    steps.say(tour.next_steps(namespace=NAMESPACE, name=NAME, service=service, edge=f"{host}:{port}"))
    steps.say(
        f"The demo took {seconds:.0f} s and stays: `make demo` again reuses it, `make clean` removes it."
    )


if __name__ == "__main__":
    sys.exit(main())
