"""
The request that a probe sends. Pure: nonce and key are parameters.

`ApiKey` hides its value from every repr, format and traceback; only `_message` reads it, into headers that `Request`
hides in turn.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Encoding = Literal["gzip", "identity"]
Api = Literal["chat", "completions", "responses"]
"""One of OpenAI's three APIs for text; the same names stand for the format of their events."""

USER_AGENT = "streaming-operator-probe"
PROMPT = "Count from one upwards, one number a line."
CHAT_PATH = "/v1/chat/completions"
PATHS: dict[Api, str] = {"chat": CHAT_PATH, "completions": "/v1/completions", "responses": "/v1/responses"}
"""The path of each API, below a server's root."""

LONGEST_KEY = 8192
"""Characters of a key: the size of all headers that most servers accept."""
_REVEALING = 4
"""Characters of a key that are too many to show."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A bearer token; shown as `ApiKey(***)` wherever it is printed."""

    secret: str = field(repr=False)

    def __str__(self) -> str:
        return "***"

    @property
    def is_sendable(self) -> bool:
        """Whether a header can hold it: a line feed would end the header, and servers refuse one this long."""
        fits = 0 < len(self.secret) <= LONGEST_KEY
        return fits and self.secret.isascii() and self.secret.isprintable()

    def hidden_in(self, text: str) -> str:
        """The text with the key replaced, also a key cut off at its end: some servers quote the key they refuse."""
        if not self.secret:
            return text
        text = text.replace(self.secret, str(self))
        cut = _overlap(text, self.secret)
        return text[:-cut] + str(self) if cut >= _REVEALING else text


def _overlap(text: str, secret: str) -> int:
    """
    Length of the longest proper beginning of *secret* that *text* ends with, in time linear in the shorter of both.

    Knuth, Morris and Pratt: `borders[i]` is the length of the longest proper beginning of the first i + 1 characters
    that they also end with.
    """
    end = text[-(len(secret) - 1) :] if len(secret) > 1 else ""
    beginning = secret[: len(end)]
    borders, length = [0] * len(beginning), 0
    for at in range(1, len(beginning)):
        while length and beginning[at] != beginning[length]:
            length = borders[length - 1]
        length += beginning[at] == beginning[length]
        borders[at] = length
    length = 0
    for character in end:
        while length == len(beginning) or (length and character != beginning[length]):
            length = borders[length - 1]
        length += character == beginning[length]
    return length


@dataclass(frozen=True, slots=True)
class ExtraHeader:
    """A header that is added to every request to a target; its value is as secret as a key."""

    name: str
    value: ApiKey
    routes: bool = False
    """It only says where the request goes: its value is no secret."""


MOST_HEADERS = 16
"""Headers of one Secret: each is looked for, in all its forms, in whatever a server says."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_OWN_HEADERS = (
    "host",
    "accept",
    "accept-encoding",
    "connection",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
)
"""Headers on which the probe's own work depends; those that begin with content- and proxy- too."""


def extra_header(name: str, value: str) -> ExtraHeader:
    """A header from outside; ValueError, in words without the value, for one that is not sent."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("a header's name has letters, digits and hyphens")
    if name.lower() in _OWN_HEADERS or name.lower().startswith(("content-", "proxy-")):
        raise ValueError(f"{name}: the probe sets this header itself")
    secret = ApiKey(value.strip())
    if not secret.is_sendable:
        raise ValueError(f"{name}: the value is empty or holds a character that no header can carry")
    return ExtraHeader(name, secret)


def extra_headers(entries: Mapping[str, str]) -> tuple[ExtraHeader, ...]:
    """The headers of a Secret's entries, by name; ValueError, in words without the values, where one is not sent."""
    if not 0 < len(entries) <= MOST_HEADERS:
        raise ValueError(f"it has {len(entries)} entries instead of 1 to {MOST_HEADERS} headers")
    made = tuple(extra_header(name, value) for name, value in sorted(entries.items()))
    names = [header.name.lower() for header in made]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice} is there twice, in upper and lower case")
    return made


OPTIONAL = ("ignore_eos", "temperature", "n", "stream_options", "store")
"""Parameters that make streams comparable, and that a strict server may refuse."""
Limit = Literal["max_tokens", "max_completion_tokens"]
"""The names of the chat API's limit: the usual one, and that of OpenAI's and Azure's reasoning models."""


@dataclass(frozen=True, slots=True)
class Wording:
    """Which optional parameters a request has, and the name of its limit; `wording` says when to ask with fewer."""

    left_out: frozenset[str] = frozenset()
    """Of `OPTIONAL`."""
    limit: Limit = "max_tokens"


USUAL = Wording()
"""Everything: what vLLM accepts."""


@dataclass(frozen=True, slots=True)
class CompletionParams:
    """The parameters of one completion."""

    model: str
    prompt: str = PROMPT
    max_tokens: int = 64
    encoding: Encoding = "gzip"
    api: Api = "chat"
    wording: Wording = USUAL


@dataclass(frozen=True, slots=True)
class Request:
    """One request, independent of the version of HTTP. `headers` hold neither Host nor pseudo-headers."""

    method: str
    path: str
    host: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    secret: frozenset[str] = frozenset()
    """Names of the headers whose values are secret, in lower case."""

    def http1(self) -> bytes:
        """The whole HTTP/1.1 message."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + self.body

    def shown(self) -> tuple[str, ...]:
        """The lines of the head without what is secret: keys, given headers, the query of the path."""
        path, mark, _ = self.path.partition("?")
        shown = ((name, "***" if name.lower() in self.secret else value) for name, value in self.headers)
        return (
            f"{self.method} {path}{'?***' if mark else ''}",
            f"Host: {self.host}",
            *(f"{name}: {value}" for name, value in shown),
        )


def body(params: CompletionParams, nonce: str) -> bytes:
    """
    The body of a streamed completion that generates exactly `max_tokens` tokens on vLLM, in the form of its API.

    The nonce comes first, so that no prefix cache answers; temperature 0 and `ignore_eos` make runs comparable.
    Usage brings the token count and, from vLLM, the server's own timing: requested where it must be (and not
    continuous, which changes every chunk); the responses API always has it in its last event. The wording may leave
    optional parameters out: then the stream may be shorter, and the count of tokens and the timing may be missing.
    """
    prompt = f"[{nonce}] {params.prompt}"
    fields: dict[str, object] = {"model": params.model, "temperature": 0, "ignore_eos": True, "stream": True}
    if params.api == "responses":
        # store: false, or the server keeps the response for a later request that never comes.
        fields |= {"input": prompt, "max_output_tokens": params.max_tokens, "store": False}
    else:
        chat = {"messages": [{"role": "user", "content": prompt}]}
        fields |= chat if params.api == "chat" else {"prompt": prompt}
        limit = params.wording.limit if params.api == "chat" else "max_tokens"
        fields |= {limit: params.max_tokens, "n": 1, "stream_options": {"include_usage": True}}
    kept = {name: value for name, value in fields.items() if name not in params.wording.left_out}
    return json.dumps(kept).encode()


def chat(params: CompletionParams, nonce: str) -> bytes:
    """The body for the chat API, whatever `params.api` is."""
    return body(replace(params, api="chat"), nonce)


def models_path(path: str) -> str:
    """The path of the model list next to a completion's path; its query stays."""
    bare, mark, query = path.partition("?")
    for api_path in PATHS.values():
        if bare.endswith(api_path.removeprefix("/v1")):
            bare = bare.removesuffix(api_path.removeprefix("/v1")) + "/models"
            break
    return bare + mark + query


def post(
    path: str,
    host: str,
    body: bytes,
    encoding: Encoding,
    key: ApiKey | None,
    extra: Sequence[ExtraHeader] = (),
) -> Request:
    """A POST with a JSON body; ValueError for what no header can carry."""
    headers = [
        ("Content-Type", "application/json"),
        ("Accept", "text/event-stream, application/json"),
        ("Content-Length", str(len(body))),
    ]
    return _message("POST", path, host, encoding, key, extra, headers, body)


def get(path: str, host: str, key: ApiKey | None, extra: Sequence[ExtraHeader] = ()) -> Request:
    """A GET, such as of the list of models; ValueError for what no header can carry."""
    return _message("GET", path, host, "identity", key, extra, [("Accept", "application/json")])


def _message(
    method: str,
    path: str,
    host: str,
    encoding: Encoding,
    key: ApiKey | None,
    extra: Sequence[ExtraHeader],
    more: list[tuple[str, str]],
    body: bytes = b"",
) -> Request:
    given = {header.name.lower() for header in extra}
    headers = [("User-Agent", USER_AGENT), ("Accept-Encoding", encoding), *more]
    if key is not None:
        headers.append(("Authorization", f"Bearer {key.secret}"))
    headers = [header for header in headers if header[0].lower() not in given]
    headers += [(header.name, header.value.secret) for header in extra]
    texts = (path, host, *(part for header in headers for part in header))
    if any(not (text.isprintable() and text.isascii()) for text in texts):
        raise ValueError("a header, the host or the path holds a character that cannot be sent")
    return Request(method, path, host, tuple(headers), body, frozenset({"authorization", *given}))
