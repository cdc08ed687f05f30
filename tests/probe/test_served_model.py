"""A stream is believed only if the model server says that it is of the model of the spec."""

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.http.connection import Target
from streaming_operator.probe.judge.remedies import Names
from streaming_operator.probe.plan import Further, Replica
from streaming_operator.probe.verification import verify
from streaming_operator.values import ProbeResult
from tests.probe.conftest import plan
from tests.probe.servers import Answer, Asked, Client, Server

REPO, OTHER = "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen3-0.6B"


def streaming(client: Client, asked: Asked) -> None:
    client.stream(asked.body.get("max_tokens", 64))


def root(name: str, served: str = "chat") -> Answer:
    """The list of a vLLM that loaded this model."""
    entry = {"id": served, "owned_by": "vllm", "root": name, "parent": None}
    return lambda client, asked: client.plain("200 OK", {"object": "list", "data": [entry]})


async def verified(server: Server, *pods: Server, **more: object) -> ProbeResult:
    replicas = tuple(
        Replica(f"pod-{n}", Target(Hop.POD, "127.0.0.1", pod.port)) for n, pod in enumerate(pods)
    )
    more = {
        "encodings": ("identity",),
        "names": Names(workload="qwen", profile="generic"),
        "source": REPO,
        **more,
    }
    ports = [pod.port for pod in pods[:1]] + [server.port]
    return await verify(plan(ports, model="chat", replicas=replicas, **more))  # type: ignore[arg-type]


async def test_another_model_under_our_name_is_not_streaming() -> None:
    """WrongModel at the pod, with both names and what to compare."""
    with Server(streaming, root(OTHER)) as pod, Server(streaming, root(REPO)) as edge:
        result = await verified(edge, pod)
    assert (result.verdict, result.hop) == (Verdict.WRONG_MODEL, Hop.POD), result.message
    assert f"serves {OTHER} as chat, the spec names {REPO}. Remedy: " in result.message
    assert "engine.image" in result.message


async def test_the_model_of_the_spec_streams() -> None:
    """The pod is asked, not the edge, which need not let the list through; once, with the key."""
    with Server(streaming, root(REPO)) as pod, Server(streaming, root(OTHER)) as edge:
        result = await verified(edge, pod, key="s3cret-key")
    assert result.verdict is Verdict.STREAMING, result.message
    lists = [asked for asked in pod.asked if asked.method == "GET"]
    assert [(asked.path, asked.headers["authorization"]) for asked in lists] == [
        ("/v1/models", "Bearer s3cret-key")
    ]
    assert not any(asked.method == "GET" for asked in edge.asked)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda client, asked: client.plain("404 Not Found", "no"), id="404"),
        pytest.param(lambda client, asked: client.plain("200 OK", "<h1>Hello</h1>"), id="a page"),
        pytest.param(lambda client, asked: None, id="closed"),
    ],
)
async def test_a_server_without_a_list_is_believed(answer: Answer) -> None:
    """Nothing is known of its model: no alarm."""
    with Server(streaming, answer) as pod:
        result = await verified(pod, pod)
    assert result.verdict is Verdict.STREAMING, result.message


ADAPTERS = {"sql": "org/sql-lora", "fin": "/adapters/1"}


def with_adapters(client: Client, asked: Asked) -> None:
    """The list of a vLLM with the model and its adapters."""
    entries = [{"id": "chat", "owned_by": "vllm", "root": REPO, "parent": None}]
    entries += [
        {"id": name, "owned_by": "vllm", "root": path, "parent": "chat"} for name, path in ADAPTERS.items()
    ]
    client.plain("200 OK", {"object": "list", "data": entries})


def asked_at(server: Server) -> tuple[Further, ...]:
    """Each adapter by its own name."""
    target = Target(Hop.EXPOSURE, "127.0.0.1", server.port)
    return tuple(Further(f"adapter {name}", name, target) for name in ADAPTERS)


async def test_each_adapter_is_asked_once_by_its_own_name() -> None:
    """At the users' address, after the model has streamed."""
    with Server(streaming, with_adapters) as pod, Server(streaming) as edge:
        result = await verified(edge, pod, adapters=ADAPTERS, further=asked_at(edge))
    assert result.verdict is Verdict.STREAMING, result.message
    # One stream at least each: a busy machine may ask again.
    assert [*dict.fromkeys(asked.body["model"] for asked in edge.completions())] == ["chat", "sql", "fin"]


async def test_an_adapter_that_does_not_answer_is_named() -> None:
    """A healthy model does not hide it, neither in the message nor in the row of its hop."""

    def without_fin(client: Client, asked: Asked) -> None:
        if asked.body["model"] == "fin":
            error = {"message": "The model `fin` does not exist.", "type": "NotFoundError", "code": 404}
            return client.plain("404 Not Found", {"error": error})
        return streaming(client, asked)

    with Server(without_fin, with_adapters) as pod:
        result = await verified(pod, pod, adapters=ADAPTERS, further=asked_at(pod))
    assert result.verdict is Verdict.UPSTREAM_ERROR, result.message
    assert result.message.startswith("adapter fin: HTTP 404")
    assert "model.adapters" in result.message
    rows = {hop.hop: (hop.verdict, hop.message.partition(":")[0]) for hop in result.hops}
    assert rows[result.hop] == (Verdict.UPSTREAM_ERROR, "adapter fin")


async def test_routine_asks_no_adapter_but_looks_for_it_in_the_list() -> None:
    """A server that lost an adapter has lost it in its list."""
    with Server(streaming, root(REPO)) as pod:
        result = await verified(pod, pod, adapters=ADAPTERS)
    assert (result.verdict, result.hop) == (Verdict.WRONG_MODEL, Hop.POD), result.message
    assert "lists chat, not sql, fin" in result.message
    assert {asked.body["model"] for asked in pod.completions()} == {"chat"}
