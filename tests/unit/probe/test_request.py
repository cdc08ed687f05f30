"""The request a probe sends."""

import json

import pytest

from streaming_operator.probe.http.request import (
    PATHS,
    ApiKey,
    CompletionParams,
    body,
    chat,
    models_path,
    post,
)


def test_body_asks_for_a_measurable_stream() -> None:
    """A unique prompt, an exact length, usage at the end and never in every chunk."""
    body = json.loads(chat(CompletionParams("tiny", "Count.", 128), "abc"))
    assert body["stream_options"] == {"include_usage": True}
    assert (
        body["max_tokens"],
        body["temperature"],
        body["n"],
        body["ignore_eos"],
        body["stream"],
    ) == (128, 0, 1, True, True)
    assert body["messages"][0]["content"].startswith("[abc] ")


def test_each_api_in_its_own_words() -> None:
    """The same question for all three: prompt, length, nothing kept, no end before the length is reached."""
    chat_, text, response = (
        json.loads(body(CompletionParams("tiny", "Count.", 128, api=api), "abc")) for api in PATHS
    )
    said = [chat_["messages"][0]["content"], text["prompt"], response["input"]]
    assert said == ["[abc] Count."] * 3
    assert [chat_["max_tokens"], text["max_tokens"], response["max_output_tokens"]] == [128] * 3
    assert [
        (asked["stream"], asked["ignore_eos"], asked["temperature"]) for asked in (chat_, text, response)
    ] == [(True, True, 0)] * 3
    assert text["stream_options"] == chat_["stream_options"]
    assert (response["store"], "stream_options" in response) == (False, False)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", "/v1/models"),
        ("/v1/completions", "/v1/models"),
        ("/a/v1/responses?key=1", "/a/v1/models?key=1"),
        ("/elsewhere", "/elsewhere"),
    ],
)
def test_models_are_listed_next_door(path: str, expected: str) -> None:
    """Whichever API is asked, under whatever prefix."""
    assert models_path(path) == expected


def test_head_carries_host_encoding_and_key() -> None:
    """What the edge routes by, the encoding asked for, and the bearer token."""
    request = post("/v1/x", "llm.example:8443", b"{}", "gzip", ApiKey("s3cret"))
    head, _, sent = request.http1().partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/x HTTP/1.1"
    assert {
        "Host: llm.example:8443",
        "Accept-Encoding: gzip",
        "Authorization: Bearer s3cret",
        "Content-Length: 2",
    } <= {*lines}
    assert sent == b"{}"


def test_no_key_no_authorization() -> None:
    """Without a key there is no such header."""
    assert b"uthorization" not in post("/", "h", b"", "identity", None).http1()


@pytest.mark.parametrize("host", ["a\r\nX: y", "a\nb", "a\x00"])
def test_nothing_is_injected_into_the_head(host: str) -> None:
    """A host that would start another header is refused."""
    with pytest.raises(ValueError, match="cannot be sent"):
        post("/", host, b"", "gzip", None)


@pytest.mark.parametrize(
    ("key", "sendable"), [("abc", True), ("", False), ("a\nb", False), ("schlüssel", False)]
)
def test_key_that_breaks_the_head_is_known(key: str, sendable: bool) -> None:
    """A line feed in a Secret is reported, not sent."""
    assert ApiKey(key).is_sendable == sendable


def test_key_hides_itself() -> None:
    """No repr, no format shows a key."""
    key = ApiKey("s3cret")
    assert "s3cret" not in f"{key!r} {key} {[key]} {(key,)!s} {post('/', 'h', b'', 'gzip', key)}"
