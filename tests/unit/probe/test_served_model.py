"""Which model a list of models says that a server has loaded, and what such a list cannot say."""

from typing import Any

import pytest

from streaming_operator.probe.judge.served_model import another_model

REPO, FOLDER = "Qwen/Qwen2.5-7B-Instruct", "/models/tiny"


def vllm(name: str, root: str | None, **more: object) -> dict[str, Any]:
    """One entry as vLLM writes it."""
    return {"id": name, "object": "model", "owned_by": "vllm", "root": root, "parent": None} | more


@pytest.mark.parametrize(
    ("entries", "source"),
    [
        pytest.param([vllm("chat", REPO)], REPO, id="a repository"),
        pytest.param([vllm("chat", FOLDER)], f"{FOLDER}/", id="a folder"),
        pytest.param([vllm("chat", REPO.lower())], REPO, id="in another case"),
        pytest.param([vllm("other", REPO), vllm("chat", REPO)], REPO, id="one of several names"),
        pytest.param(
            [vllm("base", REPO), vllm("chat", "/adapters/sql", parent="base")], REPO, id="a LoRA adapter"
        ),
        pytest.param(
            [vllm("chat", "/root/.cache/huggingface/hub/models--Qwen--Qwen2.5-7B-Instruct/snapshots/a09a")],
            REPO,
            id="a cache",
        ),
        pytest.param([vllm("chat", "/opt/weights")], REPO, id="an image that downloads by itself"),
        pytest.param([vllm("chat", None)], REPO, id="no root"),
    ],
)
def test_the_model_of_the_spec(entries: list[dict[str, Any]], source: str) -> None:
    """It is listed by its served name, and its root is the source, or does not contradict it."""
    assert another_model({"object": "list", "data": entries}, {"chat": source}) is None


@pytest.mark.parametrize(
    ("entries", "source", "expected"),
    [
        pytest.param(
            [vllm("chat", "Qwen/Qwen3-0.6B")],
            REPO,
            f"the model server serves Qwen/Qwen3-0.6B as chat, the spec names {REPO}",
            id="another repository",
        ),
        pytest.param(
            [vllm("chat", "Qwen/Qwen3-0.6B")],
            FOLDER,
            f"the model server serves Qwen/Qwen3-0.6B as chat, the spec names {FOLDER}",
            id="a repository for a folder",
        ),
        pytest.param(
            [vllm("chat", "/models/other")],
            FOLDER,
            f"the model server serves /models/other as chat, the spec names {FOLDER}",
            id="another folder",
        ),
        pytest.param(
            [vllm("x", REPO), vllm("y\x1b", REPO)],
            REPO,
            "the model server lists x, y\ufffd, not chat",
            id="another name",
        ),
    ],
)
def test_another_model(entries: list[dict[str, Any]], source: str, expected: str) -> None:
    """Both names, safe to show."""
    assert another_model({"data": entries}, {"chat": source}) == expected


SEVERAL = [vllm("chat", REPO), vllm("gpt-4", REPO), vllm("sql", "org/sql-lora", parent="chat")]
NAMES, ADAPTERS = {"chat": REPO, "gpt-4": REPO}, {"sql": "org/sql-lora"}


@pytest.mark.parametrize(
    ("names", "adapters", "expected"),
    [
        pytest.param(NAMES, ADAPTERS, None, id="all of them"),
        pytest.param(NAMES, {"sql": "/sql"}, "serves org/sql-lora as sql, the spec names /sql", id="root"),
        pytest.param(
            NAMES, {**ADAPTERS, "fin": "/adapters/1"}, "lists chat, gpt-4, sql, not fin", id="an adapter"
        ),
        pytest.param({**NAMES, "large": REPO}, ADAPTERS, "lists chat, gpt-4, sql, not large", id="a name"),
        pytest.param(
            NAMES, {"gpt-4": "org/lora"}, f"serves {REPO} as gpt-4, the spec names org/lora", id="no adapter"
        ),
    ],
)
def test_every_name_and_every_adapter(
    names: dict[str, str], adapters: dict[str, str], expected: str | None
) -> None:
    """Each is in the list, and an adapter's root is what the spec names."""
    evidence = another_model({"data": SEVERAL}, names, adapters)
    assert evidence == (expected and f"the model server {expected}")


@pytest.mark.parametrize(
    "models",
    [
        pytest.param({"data": [{"id": "other", "owned_by": "sglang", "root": "other"}]}, id="SGLang"),
        pytest.param(
            {"data": [{"id": "/models/x.gguf", "owned_by": "llamacpp", "meta": {}}]}, id="llama.cpp"
        ),
        pytest.param({"data": [{"id": "meta/x", "owned_by": "system", "root": "meta/x"}]}, id="NIM"),
        pytest.param({"models": [{"name": "m:latest"}]}, id="Ollama"),
        pytest.param({"data": ["m", None, 3]}, id="names alone"),
        pytest.param({"data": [{"id": 3, "owned_by": "vllm"}]}, id="no name"),
        pytest.param({"error": {"message": "no"}}, id="an error"),
        pytest.param([], id="a bare list"),
        pytest.param(None, id="nothing"),
    ],
)
def test_a_list_without_the_mark_of_vllm_says_nothing(models: object) -> None:
    """No alarm where nothing is known."""
    assert another_model(models, {"chat": REPO}) is None
