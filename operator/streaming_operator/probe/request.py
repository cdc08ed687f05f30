"""
The request a probe sends, as bytes. Pure: the nonce and the key are given.

`ApiKey` hides its value from every repr, format and traceback; only `message` opens it.
"""

import json
from dataclasses import dataclass, field
from typing import Literal

Encoding = Literal["gzip", "identity"]

USER_AGENT = "streaming-operator-probe"
PROMPT = "Count from one upwards, one number a line."
CHAT_PATH = "/v1/chat/completions"


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


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of the model."""

    model: str
    prompt: str = PROMPT
    max_tokens: int = 64
    encoding: Encoding = "gzip"


def chat(ask: Ask, nonce: str) -> bytes:
    """
    The body of a streamed chat completion that generates exactly `max_tokens` tokens on vLLM.

    The nonce comes first, so that no prefix cache answers; temperature 0 and `ignore_eos` make runs alike;
    usage (not continuous, which changes every chunk) brings the token count and the server's own timing.
    """
    body = {
        "model": ask.model,
        "messages": [{"role": "user", "content": f"[{nonce}] {ask.prompt}"}],
        "max_tokens": ask.max_tokens,
        "temperature": 0,
        "n": 1,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return json.dumps(body).encode()


def post(path: str, host: str, body: bytes, encoding: Encoding, key: ApiKey | None) -> bytes:
    """The whole HTTP/1.1 request."""
    headers = [
        ("Content-Type", "application/json"),
        ("Accept", "text/event-stream, application/json"),
        ("Content-Length", str(len(body))),
    ]
    return _message("POST", path, host, encoding, key, headers) + body


def get(path: str, host: str, key: ApiKey | None) -> bytes:
    """The whole HTTP/1.1 request of a plain question, such as the list of models."""
    return _message("GET", path, host, "identity", key, [("Accept", "application/json")])


def _message(
    method: str, path: str, host: str, encoding: Encoding, key: ApiKey | None, more: list[tuple[str, str]]
) -> bytes:
    headers = [("Host", host), ("User-Agent", USER_AGENT), ("Accept-Encoding", encoding), *more]
    if key is not None:
        headers.append(("Authorization", f"Bearer {key.secret}"))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if any(not line.isprintable() for line in lines):
        raise ValueError("a header, the host or the path holds a character that cannot be sent")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
