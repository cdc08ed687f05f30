"""`streamctl probe` against the servers of others: lists of models in their shapes, other bases, rate limits."""

import json

import pytest
from click.testing import CliRunner, Result

from streaming_operator.cli.probe import probe
from streaming_operator.probe.model_list import names_in
from tests.probe.servers import Answer, Asked, Client, Server, lists


def run(*args: str) -> Result:
    result = CliRunner().invoke(probe, args)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def healthy(client: Client, asked: Asked) -> None:
    client.stream(asked.body.get("max_tokens", 64))


def saying(status: str, body: object, *headers: str) -> Answer:
    """This answer to everybody."""
    kind = "text/html" if isinstance(body, str) else "application/json"
    return lambda client, asked: client.plain(status, body, kind, *headers)


MANY = [{"id": f"vendor-{number % 17}/model-{number:03d}", "description": "x" * 200} for number in range(300)]


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        pytest.param({"data": MANY}, "vendor-0/model-000", id="more than 16 KiB"),
        pytest.param([{"id": "a/m", "type": "chat"}], "a/m", id="a bare list"),
        pytest.param({"models": [{"name": "m:latest"}]}, "m:latest", id="Ollama's own"),
        pytest.param({"data": ["m"]}, "m", id="names alone"),
        pytest.param({"data": [{"id": "bge-m3"}, {"id": "m"}]}, "m", id="an embedding model first"),
    ],
)
def test_a_model_of_the_list_is_asked(models: object, expected: str) -> None:
    """In every shape of the list: the first that seems to chat, and it streams."""
    with Server(healthy, saying("200 OK", models)) as server:
        result = run(server.url, "--output", "json")
    assert (result.exit_code, json.loads(result.stdout)["model"]) == (0, expected), result.output


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"data": [{"id": "a", "type": "embedding"}, {"id": "b", "type": "language"}]}, ("b", "a")),
        ({"data": [{"id": "x", "task": "text-to-image"}, {"id": "y"}]}, ("y", "x")),
        ({"data": [{"id": "a", "capabilities": {"completion_chat": False}}, {"id": "b"}]}, ("b", "a")),
        ({"data": [{"id": "mistral-ocr", "capabilities": {"completion_chat": True}}]}, ("mistral-ocr",)),
        ({"data": [{"id": "whisper-1"}, {"id": "text-embedding-3"}, {"id": "gpt-x"}]}, None),
        ({"data": [{"id": 3}, None, {"id": "m"}, {"id": "m"}]}, ("m",)),
        ({"data": []}, ()),
        ({"error": {"message": "no"}}, ()),
        ("text", ()),
        (None, ()),
    ],
)
def test_models_that_seem_to_chat_come_first(value: object, expected: tuple[str, ...] | None) -> None:
    """By what the list says of them, else by their names; what is no list gives no names."""
    names = names_in(value) or ()
    assert names == expected if expected is not None else names[0] == "gpt-x"


def test_the_next_model_is_asked_where_the_first_is_refused() -> None:
    """It generates no text, though nothing in the list says so."""

    def answer(client: Client, asked: Asked) -> None:
        if asked.body["model"] == "first":
            client.plain("400 Bad Request", {"error": {"message": "this model does not support chat"}})
        else:
            healthy(client, asked)

    with Server(answer, lists("first", "second")) as server:
        result = run(server.url, "--output", "json")
    assert (result.exit_code, json.loads(result.stdout)["model"]) == (0, "second"), result.output


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        pytest.param(saying("502 Bad Gateway", "<center>nginx</center>"), "UpstreamError", "502", id="page"),
        pytest.param(
            saying("302 Found", "", "Location: https://sso.example/login"), "AuthRejected", "login", id="SSO"
        ),
        pytest.param(saying("404 Not Found", "no"), "RouteNotFound", "--model", id="no list"),
        pytest.param(saying("200 OK", "<h1>Hello</h1>"), "RouteNotFound", "text/html", id="another page"),
        pytest.param(
            saying("200 OK", {"error": {"message": "no balance"}}), "UpstreamError", "no balance", id="error"
        ),
        pytest.param(saying("401 Unauthorized", {}), "AuthRejected", "--api-key-env", id="key"),
    ],
)
def test_a_fault_of_the_list_is_no_wrong_usage(answer: Answer, verdict: str, said: str) -> None:
    """The real cause with its advice, exit code 1."""
    with Server(answer, answer) as server:
        result = run(server.url)
    assert (result.exit_code, result.stdout.partition(":")[0], said in result.stdout) == (1, verdict, True)
    assert "Remedy: " in result.stdout


@pytest.mark.parametrize("named", [(), ("--model", "m")])
@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("/v1beta/openai/", "/v1beta/openai/chat/completions"),
        ("/openai/v1", "/openai/v1/chat/completions"),
        ("/api/v1", "/api/v1/chat/completions"),
        ("/api", "/api/v1/chat/completions"),
        ("/api/paas/v4", "/api/paas/v4/chat/completions"),
        ("", "/chat/completions"),
        ("/openai", "/openai/v1/chat/completions"),
    ],
)
def test_a_base_is_tried_with_and_without_v1(base: str, path: str, named: tuple[str, ...]) -> None:
    """Wherever the provider put its API: a 404 is believed only after both, and the report names the right one."""

    def served(answer: Answer) -> Answer:
        def only_there(client: Client, asked: Asked) -> None:
            there = asked.path in (path, path.replace("chat/completions", "models"))
            (answer if there else saying("404 Not Found", "no"))(client, asked)

        return only_there

    with Server(served(healthy), served(lists("m"))) as server:
        result = run(server.url + base, *named, "--output", "json", "--max-tokens", "64")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["subject"]) == (0, server.url + path), result.output


def test_a_404_everywhere_is_told_of_the_likeliest_path() -> None:
    """Both were tried; the first one is reported."""
    with Server(saying("404 Not Found", "no")) as server:
        result = run(server.url, "--model", "m", "--output", "json")
    report = json.loads(result.stdout)
    expected = ("RouteNotFound", f"{server.url}/v1/chat/completions")
    assert (report["verdict"], report["subject"]) == expected
    assert [asked.path for asked in server.completions()] == ["/v1/chat/completions", "/chat/completions"]


@pytest.mark.parametrize(
    ("header", "remarked"),
    [
        (["Retry-After: 1"], False),
        (["Retry-After: 0.5"], False),
        (["Date: Thu, 26 Nov 2026 10:00:00 GMT", "Retry-After: Thu, 26 Nov 2026 10:00:01 GMT"], False),
        ([], True),
        (["Retry-After: 86400"], True),
        (["Date: Thu, 26 Nov 2026 10:00:00 GMT", "Retry-After: Fri, 27 Nov 2026 10:00:00 GMT"], True),
        (["Retry-After: Thu, 26 Nov 2026 10:00:01 GMT"], True),
        (["Retry-After: soon"], True),
    ],
)
def test_a_rate_limit_after_a_good_stream(header: list[str], remarked: bool) -> None:
    """It is waited for where it says how long and that is short; else what was learnt is kept, with a remark."""
    refused: list[bool] = []

    def answer(client: Client, asked: Asked) -> None:
        second = asked.headers["accept-encoding"] == "identity" and not (refused and not remarked)
        if second:
            refused.append(True)
            client.plain(
                "429 Too Many Requests", {"error": {"message": "slow down"}}, "application/json", *header
            )
        else:
            healthy(client, asked)

    with Server(answer) as server:
        result = run(server.url, "--model", "m")
    assert (result.exit_code, "got 429" in result.stdout) == (0, remarked), result.output
    assert refused == [True]
