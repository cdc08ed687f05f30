"""A server that is rendered with engine.tls is started for real: it speaks HTTPS, drains and is verified over it."""

import json
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.engines.vllm import Vllm
from streaming_operator.probe.gauges import Gauges
from streaming_operator.probe.gauges import running as running_requests
from streaming_operator.probe.http.connection import Target
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.plan import Plan, Replica
from streaming_operator.probe.verification import verify
from tests.contract.rendered import Pod, running
from tests.probe.certificates import authority

GAUGES = Gauges(Vllm.metrics_path, Vllm.running_gauge, Vllm.waiting_gauge)


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    """The double behind the rendered command line, with a certificate that nobody knows."""
    pem = authority("private CA").file("qwen.example.com", tmp_path).read_text()
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text(pem)
    with running(Pod("double", tmp_path, engine={"tls": {"secretName": "qwen-tls"}})) as pod:
        yield pod


async def test_the_probe_asks_the_pod_over_tls(pod: Pod) -> None:
    """Stream, list of models and gauges, whatever the certificate is for."""
    target = Target(Hop.POD, "127.0.0.1", pod.port, scheme="https", insecure=True)
    plan = Plan(
        (target,),
        "tiny",
        "model",  # what the double is started with
        guard=Guard(local=True),
        gauges=GAUGES,
        replicas=(Replica("a", target),),
    )

    result = await verify(plan)

    assert result.verdict is not Verdict.WRONG_MODEL, result.message
    assert (result.hops[0].done, result.hops[0].address) == (True, str(target)), result.message
    assert await running_requests([target], GAUGES, Guard(local=True)) == 0


def test_the_drain_looks_over_tls(pod: Pod) -> None:
    """The hook finds a server, and ends as soon as nothing runs on it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    body = {"model": "tiny", "stream": True, "max_tokens": 100, "ignore_eos": True}
    request = urllib.request.Request(
        f"https://127.0.0.1:{pod.port}/v1/completions",
        json.dumps(body | {"prompt": "count"}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, context=context) as stream:
        hook = pod.pre_stop(drain_seconds=120)
        assert stream.read().endswith(b"data: [DONE]\n\n")

    assert hook.communicate()[1] == "drain: nothing runs any more\n"
