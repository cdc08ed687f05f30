"""
The request a probe sends. Pure: the nonce and the key are given.

`ApiKey` hides its value from every repr, format and traceback; only `_message` opens it, into headers that
`Request` hides in turn.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Literal

Encoding = Literal["gzip", "identity"]
Api = Literal["chat", "completions", "responses"]
"""Which of OpenAI's three APIs for text; the same words name the format of the events."""

USER_AGENT = "streaming-operator-probe"
PROMPT = "Count from one upwards, one number a line."
CHAT_PATH = "/v1/chat/completions"
PATHS: dict[Api, str] = {"chat": CHAT_PATH, "completions": "/v1/completions", "responses": "/v1/responses"}
"""Where each API lives, below a server's root."""

_TELLING = 4
"""Characters of a key that are too many to show."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A bearer token; shown as `ApiKey(***)` wherever it is printed."""

    secret: str = field(repr=False)

    def __str__(self) -> str:
        return "***"

    @property
    def is_sendable(self) -> bool:
        """Whether it fits into a header as it is: a stray line feed would end the header."""
        return bool(self.secret) and self.secret.isascii() and self.secret.isprintable()

    def hidden_in(self, text: str) -> str:
        """What a server said, without the key: some quote the one that they refuse. Also one cut off at the end."""
        if not self.secret:
            return text
        text = text.replace(self.secret, str(self))
        for length in range(len(self.secret) - 1, _TELLING - 1, -1):
            if text.endswith(self.secret[:length]):
                return text[:-length] + str(self)
        return text


@dataclass(frozen=True, slots=True)
class CompletionParams:
    """What is asked of the model."""

    model: str
    prompt: str = PROMPT
    max_tokens: int = 64
    encoding: Encoding = "gzip"
    api: Api = "chat"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, before a version of HTTP gives it its form. `headers` hold neither Host nor its like."""

    method: str
    path: str
    host: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    def http1(self) -> bytes:
        """The whole message of HTTP/1.1."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + self.body


def body(ask: CompletionParams, nonce: str) -> bytes:
    """
    The body of a streamed completion that generates exactly `max_tokens` tokens on vLLM, in the form of its API.

    The nonce comes first, so that no prefix cache answers; temperature 0 and `ignore_eos` make runs alike.
    Usage brings the token count and, from vLLM, the server's own timing: asked for where it must be (and not
    continuous, which changes every chunk); the responses API always tells it in its last event.
    """
    prompt = f"[{nonce}] {ask.prompt}"
    asked: dict[str, object] = {"model": ask.model, "temperature": 0, "ignore_eos": True, "stream": True}
    if ask.api == "responses":
        # store: false, or the server keeps the answer for a later question that never comes.
        asked |= {"input": prompt, "max_output_tokens": ask.max_tokens, "store": False}
        return json.dumps(asked).encode()
    said = {"messages": [{"role": "user", "content": prompt}]} if ask.api == "chat" else {"prompt": prompt}
    asked |= {**said, "max_tokens": ask.max_tokens, "n": 1, "stream_options": {"include_usage": True}}
    return json.dumps(asked).encode()


def chat(ask: CompletionParams, nonce: str) -> bytes:
    """The body for the chat API, whatever `ask.api` says."""
    return body(replace(ask, api="chat"), nonce)


def models_path(path: str) -> str:
    """Where the models are listed, next to a completion's path; its query stays."""
    bare, mark, query = path.partition("?")
    for known in PATHS.values():
        if bare.endswith(known.removeprefix("/v1")):
            bare = bare.removesuffix(known.removeprefix("/v1")) + "/models"
            break
    return bare + mark + query


def post(path: str, host: str, body: bytes, encoding: Encoding, key: ApiKey | None) -> Request:
    """A question with a JSON body; ValueError for what no header can carry."""
    headers = [
        ("Content-Type", "application/json"),
        ("Accept", "text/event-stream, application/json"),
        ("Content-Length", str(len(body))),
    ]
    return _message("POST", path, host, encoding, key, headers, body)


def get(path: str, host: str, key: ApiKey | None) -> Request:
    """A plain question, such as the list of models; ValueError for what no header can carry."""
    return _message("GET", path, host, "identity", key, [("Accept", "application/json")])


def _message(
    method: str,
    path: str,
    host: str,
    encoding: Encoding,
    key: ApiKey | None,
    more: list[tuple[str, str]],
    body: bytes = b"",
) -> Request:
    headers = [("User-Agent", USER_AGENT), ("Accept-Encoding", encoding), *more]
    if key is not None:
        headers.append(("Authorization", f"Bearer {key.secret}"))
    told = (path, host, *(part for header in headers for part in header))
    if any(not (text.isprintable() and text.isascii()) for text in told):
        raise ValueError("a header, the host or the path holds a character that cannot be sent")
    return Request(method, path, host, tuple(headers), body)
