"""What a client, a proxy, a kubelet and Prometheus see of vLLM: the double and the real server alike.

Structure only: key order, types, frames, header names, statuses, exit codes. No value of a clock is judged.
"""

import itertools
import json
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming_operator.api.reasons import Hop
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.request import PATHS, Api, ApiKey, CompletionParams, body, post
from streaming_operator.probe.judge.served_model import another_model
from streaming_operator.probe.stream.recorder import Recorder
from tests.contract import shapes
from tests.contract.engines import (
    CHAT,
    KEY,
    RESPONSES,
    TEXT,
    TOKENS,
    Server,
    completion,
    here,
    response,
    served,
    streamed,
    until,
)
from tests.contract.raw import Exchange
from tests.contract.scraped import families, value
from tests.contract.shapes import shape
from tests.engines.double.args import known_flags
from tests.engines.running import START_SECONDS
from tests.engines.vllm import installed

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
LONG = 8000
"""Tokens of a stream that outlives any test: a minute or more at 8 to 20 ms each."""
BOTH = ["double", pytest.param("vllm", marks=pytest.mark.real_vllm)]
NAMES = ["tiny", "small"]
MAIN = ["--enable-per-request-metrics", "--sse-keep-alive-interval", "1", "--max-num-seqs", "2"]
MAIN += ["--served-model-name", *NAMES]
QUEUED = 5
"""Seconds for which a request waits for a place: longer than a server needs from there to the first token."""


@pytest.fixture(scope="module", params=BOTH)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """What the operator starts: a key, per-request metrics, keep-alive comments, a middleware; two places."""
    scopes_file = tmp_path_factory.mktemp("seen") / "scopes"
    env = {"VLLM_API_KEY": KEY, "PYTHONPATH": str(here()), "SEEN_SCOPES": str(scopes_file)}
    yield from served(request.param, [*MAIN, "--middleware", "seen.Mark", "--max-model-len", "16384"], env)


@pytest.fixture(scope="module", params=BOTH)
def draining(request: pytest.FixtureRequest) -> Iterator[Server]:
    """No key, no per-request metrics, and a drain of its own."""
    yield from served(request.param, ["--shutdown-timeout", "600"], {})


def without_comments(frames: Iterable[bytes]) -> Iterator[bytes]:
    """What is not there to keep a connection alive: such a comment comes whenever the server is silent for a second."""
    return (frame for frame in frames if frame != KEEP_ALIVE)


def events(received: Iterable[bytes]) -> list[Any]:
    """The JSON of every event but [DONE]; each frame must be one event, whole."""
    frames = list(without_comments(received))
    assert all(frame.startswith(b"data: ") and frame.count(b"\n\n") == 1 for frame in frames)
    assert frames[-1] == DONE
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-1]]


def kinds(received: list[Any]) -> list[str]:
    """The shapes in their order, each once: a server that is behind puts several tokens into one event."""
    return [kind for kind, _ in itertools.groupby(shape(event) for event in received)]


def stream(server: Server, path: str, **changes: Any) -> list[Any]:
    with server.ask(path, streamed(**changes)) as answer:
        return events(answer.frames())


def test_loading_refuses_connections(server: Server) -> None:
    """While it loads every connection is refused; the first answer of /health is already 200."""
    assert server.engine.listens()
    assert (server.refused_while_loading, server.first_status) == (True, 200)


def test_stream_headers(server: Server) -> None:
    """A stream is chunked, from uvicorn, without a length and without headers against buffering."""
    with server.ask(CHAT, streamed()) as answer:
        names = [name for name, _ in answer.headers]
        list(answer.frames())
    assert names == ["date", "server", "content-type", "vary", "x-marked", "transfer-encoding"]
    expected = ("uvicorn", "text/event-stream; charset=utf-8", "Origin")
    assert tuple(answer.header(name) for name in ("server", "content-type", "vary")) == expected


def test_chat_stream(server: Server) -> None:
    """Role, the tokens, the last one with its reason, usage with timings, [DONE]; a frame each."""
    received = stream(server, CHAT)
    assert kinds(received) == [shapes.ROLE, shapes.CONTENT, shapes.LAST, shapes.ENDING]
    assert len(received) <= TOKENS + 2
    assert received[-1]["usage"]["completion_tokens"] == TOKENS
    assert received[-2]["choices"][0]["finish_reason"] == "length"
    assert {event["object"] for event in received} == {"chat.completion.chunk"}
    assert len({(event["id"], event["created"]) for event in received}) == 1


def test_bytes_of_a_token(server: Server) -> None:
    """An event of a token is compact JSON, byte for byte."""
    with server.ask(CHAT, streamed()) as answer:
        frame = list(without_comments(answer.frames()))[1]
    event = json.loads(frame.removeprefix(b"data: "))
    assert frame == b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"


def test_fingerprint_without_usage(server: Server) -> None:
    """Without include_usage the last chunk carries the fingerprint, and no usage follows."""
    with server.ask(CHAT, completion(stream=True)) as answer:
        last = events(answer.frames())[-1]
    assert shape(last) == shapes.LAST[:-1] + ", system_fingerprint: str}"


def test_running_usage(server: Server) -> None:
    """`continuous_usage_stats` counts the tokens on every chunk, from nought on the role chunk."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    with server.ask(CHAT, completion(stream=True, stream_options=options)) as answer:
        received = events(answer.frames())
    expected = [shapes.ROLE, shapes.CONTENT, shapes.LAST]
    usage = shapes.USAGE_ON_THE_WAY
    assert kinds(received[:-1]) == [shapes.with_usage(chunk, usage) for chunk in expected]
    counts = [event["usage"]["completion_tokens"] for event in received]
    assert (counts[0], counts[-2:]) == (0, [TOKENS, TOKENS])
    assert counts[:-1] == sorted(set(counts))


def test_stream_interval(server: Server) -> None:
    """`stream_interval: 3` merges tokens, but the last come when they are there."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    body = completion(stream=True, stream_options=options, stream_interval=3)
    with server.ask(CHAT, body) as answer:
        counts = [event["usage"]["completion_tokens"] for event in events(answer.frames())]
    assert (counts[0], counts[-2:]) == (0, [TOKENS, TOKENS])
    assert min(later - earlier for earlier, later in itertools.pairwise(counts[1:-2])) >= 3


def test_text_stream(server: Server) -> None:
    """/v1/completions has no role chunk and the same ending."""
    received = stream(server, TEXT)
    assert kinds(received) == [shapes.TEXT, shapes.TEXT_LAST, shapes.ENDING]
    assert {event["object"] for event in received} == {"text_completion"}


def test_text_running_usage(server: Server) -> None:
    """Running usage of /v1/completions lacks the details that chat has."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    with server.ask(TEXT, completion(stream=True, stream_options=options)) as answer:
        received = events(answer.frames())
    assert shape(received[0]) == shapes.with_usage(shapes.TEXT, shapes.USAGE)


def test_responses_stream(server: Server) -> None:
    """Named events, numbered, a frame each; the last one ends it, and no [DONE] comes."""
    with server.ask(RESPONSES, response(stream=True)) as answer:
        frames = list(answer.frames())
    assert all(frame.startswith(b"event: ") and frame.count(b"\n\n") == 1 for frame in frames)
    named = [frame.removesuffix(b"\n\n").split(b"\ndata: ") for frame in frames]
    received = [json.loads(data) for _, data in named]
    assert [name.removeprefix(b"event: ").decode() for name, _ in named] == [
        event["type"] for event in received
    ]
    assert [kind for kind, _ in itertools.groupby(event["type"] for event in received)] == list(
        shapes.RESPONSES
    )
    assert [shape(event) for event in received] == [shapes.RESPONSES[event["type"]] for event in received]
    assert [event["sequence_number"] for event in received] == [*range(len(received))]
    said = "".join(event.get("delta", "") for event in received)
    ended = received[-1]["response"]
    assert ended["output"][0]["content"][0]["text"] == said
    assert (ended["status"], ended["usage"]["output_tokens"]) == ("incomplete", TOKENS)


def test_responses_know_no_interval_and_no_usage_option(server: Server) -> None:
    """`stream_interval` and `stream_options` are accepted and change nothing."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    asked = response(stream=True, stream_interval=64, stream_options=options, max_output_tokens=128)
    with server.ask(RESPONSES, asked) as answer:
        assert sum(b"event: response.output_text.delta" in frame for frame in answer.frames()) > 3


def test_whole_response(server: Server) -> None:
    """An answer that is not streamed is the response of the last event."""
    with server.ask(RESPONSES, response()) as answer:
        assert shape(answer.json()) == shapes.RESPONSE_DONE


@pytest.mark.parametrize("api", list(PATHS))
async def test_probe_measures_each_api(server: Server, api: Api) -> None:
    """What the probe asks for is what it gets: all tokens, the server's count and timing, the end."""
    target = connection.Target(Hop.POD, "127.0.0.1", server.engine.port, path=PATHS[api])
    question = body(CompletionParams("tiny", max_tokens=TOKENS, api=api), "n")
    recorder = Recorder()
    request = post(target.path, target.host_header, question, "gzip", ApiKey(KEY))
    ended = await connection.exchange(target, request, recorder, connection.Limits())
    t = recorder.timeline(ended.ending, ended.at, ended.clock, ended.segments)
    assert (t.status, t.api, t.tokens, t.done, t.finish_reason) == (200, api, TOKENS, True, "length")
    assert t.metrics is not None
    assert t.pacing is not None
    assert 1 < t.events <= TOKENS


def test_timings_of_one_token(server: Server) -> None:
    """One token has no mean time between tokens."""
    received = stream(server, CHAT, max_tokens=1)
    assert [shape(event) for event in received[:2]] == [shapes.ROLE, shapes.LAST]
    assert shape(received[-1]["metrics"]) == shapes.TIMINGS_OF_ONE


@pytest.mark.parametrize(("path", "expected"), [(CHAT, shapes.WHOLE_CHAT), (TEXT, shapes.WHOLE_TEXT)])
def test_whole_answer(server: Server, path: str, expected: str) -> None:
    """An answer that is not streamed has the text, the usage and the timings in one body."""
    with server.ask(path, completion()) as answer:
        assert shape(answer.json()) == expected
        names = [name for name, _ in answer.headers]
    assert names == ["date", "server", "content-length", "content-type", "vary", "x-marked"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "expected"),
    [
        ("GET", "/v1/models", None, 200, shapes.MODELS),
        ("GET", "/version", None, 200, "{version: str}"),
        ("GET", "/load", None, 200, "{server_load: int}"),
        ("POST", "/tokenize", {"model": "tiny", "prompt": "hello there"}, 200, shapes.TOKENIZED),
        ("GET", "/nowhere", None, 404, "{detail: str}"),
        ("GET", CHAT, None, 405, "{detail: str}"),
        ("POST", CHAT, completion(model="other"), 404, shapes.error("str")),
        ("POST", TEXT, completion(model="other", stream=True), 404, shapes.error("str")),
        ("POST", CHAT, {"model": "tiny"}, 400, shapes.error("str")),
        ("POST", CHAT, b"{nonsense", 400, shapes.error("str")),
        ("POST", RESPONSES, response(model="other", stream=True), 404, shapes.error("str")),
        ("POST", RESPONSES, {"model": "tiny"}, 400, shapes.error("str")),
        ("POST", RESPONSES, response(max_output_tokens=99_999), 400, shapes.error("str")),
        ("POST", CHAT, completion(max_tokens=99_999), 400, shapes.error("str")),
    ],
)
def test_answers(server: Server, method: str, path: str, body: object, status: int, expected: str) -> None:
    """The small endpoints and every refusal before a stream: status and structure."""
    with server.ask(path, body, method=method) as answer:
        assert (answer.status, shape(answer.json())) == (status, expected)


def test_health_is_empty(server: Server) -> None:
    """/health and /ping say nothing but 200."""
    for method, path in (("GET", "/health"), ("GET", "/ping"), ("POST", "/ping")):
        with server.ask(path, method=method) as answer:
            assert (answer.status, answer.header("content-length")) == (200, "0"), path


def test_model_list_has_the_limit(server: Server) -> None:
    """/v1/models has the served names and the length that the server was started with."""
    with server.ask("/v1/models") as answer:
        listed = [(model["id"], model["max_model_len"]) for model in answer.json()["data"]]
    assert listed == [(name, 16_384) for name in NAMES]


def test_model_list_says_what_was_loaded(server: Server) -> None:
    """Under each of its names the model argument as it was given: another source in the spec is another model."""
    source = server.engine.model if server.kind == "double" else str(installed.model())
    with server.ask("/v1/models") as answer:
        models = answer.json()
    served = dict.fromkeys(NAMES, source)
    assert another_model(models, served) is None
    other = f"the model server serves {source} as small, the spec names /models/other"
    assert another_model(models, served | {"small": "/models/other"}) == other
    missing = "the model server lists tiny, small, not medium"
    assert another_model(models, served | {"medium": source}) == missing


def test_key_guards_only_v1(server: Server) -> None:
    """Without the key everything under /v1 is 401, known path or not, and everything else is open."""
    statuses = {}
    for path in (
        "/v1/models",
        "/v1/nowhere",
        "/health",
        "/ping",
        "/version",
        "/load",
        "/metrics",
        "/nowhere",
    ):
        with server.ask(path, headers={}) as answer:
            statuses[path] = answer.status
            if answer.status == 401:
                assert answer.json() == {"error": "Unauthorized"}
                assert answer.header("vary") is None
    guarded = {path for path, status in statuses.items() if status == 401}
    assert guarded == {"/v1/models", "/v1/nowhere"}
    for wrong in ({"Authorization": "Bearer wrong"}, {"x-api-key": KEY}):
        with server.ask(CHAT, completion(), headers=wrong) as answer:
            assert answer.status == 401


def test_queue_and_keep_alive(server: Server) -> None:
    """With both places taken a third request waits, receives keep-alive comments, and is served in the end."""
    with server.ask(CHAT, streamed(max_tokens=LONG)) as first, server.ask(CHAT, streamed(max_tokens=LONG)):
        next(first.frames())
        until(lambda: server.running() == 2)
        with server.ask(CHAT, streamed()) as third:
            frames = third.frames()
            assert [next(frames) for _ in range(QUEUED)] == [KEEP_ALIVE] * QUEUED
            assert (server.running(), server.waiting()) == (2, 1)
            first.close()
            metrics = events(frames)[-1]["metrics"]
    assert metrics["queue_time_ms"] > metrics["time_to_first_token_ms"]
    until(lambda: server.running() == 0)


def test_disconnect_ends_the_request(server: Server) -> None:
    """A client that leaves frees its place; the request counts as no success."""
    until(lambda: server.running() == 0)
    before = value(server.metrics(), "vllm:request_success_total")
    with server.ask(CHAT, streamed(max_tokens=LONG)) as answer:
        next(answer.frames())
        until(lambda: server.running() == 1)
    until(lambda: server.running() == 0)
    assert value(server.metrics(), "vllm:request_success_total") == before


def test_middleware_is_outermost(server: Server) -> None:
    """A `--middleware` class from PYTHONPATH sees the lifespan and requests that the key check refuses."""
    with server.ask("/v1/refused", headers={}) as answer:
        assert (answer.status, answer.header("x-marked")) == (401, "1")
    environment = Path(f"/proc/{server.engine.pid}/environ").read_bytes().split(b"\0")
    (scopes_file,) = (
        entry.removeprefix(b"SEEN_SCOPES=") for entry in environment if entry.startswith(b"SEEN_SCOPES=")
    )
    scopes = Path(scopes_file.decode()).read_text().splitlines()
    assert "lifespan" in {scope.strip() for scope in scopes}
    assert "http /v1/refused" in scopes


def test_metrics(server: Server) -> None:
    """Families, labels, buckets: the real server has the whole table, the double a part of it, all alike."""
    stream(server, CHAT)
    table = set((here() / "metrics.txt").read_text().splitlines()[1:])
    received = set(families(server.metrics()).values())
    assert received - table == set()
    if server.kind == "vllm":
        assert table - received == set()


def test_refused_requests_are_not_counted(server: Server) -> None:
    """401s stay out of http_requests_total; other answers are in it under their class."""
    with server.ask("/v1/refused", headers={}):
        pass
    text = server.metrics()
    assert value(text, "http_requests_total", status="4xx", handler="/v1/refused") == 0
    assert value(text, "http_requests_total", status="2xx", handler=CHAT, method="POST") > 0


def test_sigterm_aborts_streams(server: Server) -> None:
    """
    SIGTERM without a drain ends a stream in order, with `abort`, and the process with 0.

    The real server may kill its engine too soon: then the stream carries an error, or hangs until its client goes.
    """
    engine = server.engine
    with server.ask(CHAT, streamed(max_tokens=LONG)) as answer:
        received = stopped_stream(server, answer)
    parsed = events(received) if received[-1] == DONE else []
    if server.kind == "vllm" and (not parsed or "error" in parsed[-1]):
        assert engine.wait() == 0
        return
    last, ending = parsed[-2:]
    assert [shape(last), shape(ending)] == [shapes.LAST, shapes.ENDING]
    assert last["choices"][0]["finish_reason"] == "abort"
    assert engine.wait() == 0


def test_double_can_lose_the_abort() -> None:
    """The double shows on demand the hang that the real server shows by chance."""
    server = Server("double", [*MAIN, "--lose-abort", "--startup-duration", "0"], {"VLLM_API_KEY": KEY})
    engine = server.engine
    with server.ask(CHAT, streamed(max_tokens=LONG)) as answer:
        assert stopped_stream(server, answer)[-1] != DONE
        assert not engine.ended()
    assert engine.wait() == 0


def stopped_stream(server: Server, answer: Exchange) -> list[bytes]:
    """The events of a stream whose server gets SIGTERM, until its end or five comments without an event."""
    frames, received, silent = answer.frames(), [], 0
    # Two tokens, so that there is a mean time between them.
    received += itertools.islice(without_comments(frames), 4)
    server.engine.signal(signal.SIGTERM)
    for frame in frames:
        silent = silent + 1 if frame == KEEP_ALIVE else 0
        if silent == 5:
            break
        received += [] if silent else [frame]
    return received


def test_sigterm_while_loading_is_swallowed(draining: Server) -> None:
    """A SIGTERM during the load changes nothing: the server becomes ready and serves."""
    draining.stop()
    engine = draining.loading()
    engine.signal(signal.SIGTERM)
    until(lambda: engine.listens() or engine.ended(), START_SECONDS[draining.kind])
    with draining.ask("/health") as answer:
        assert (answer.status, draining.engine.pid) == (200, engine.pid)


def test_drain(draining: Server) -> None:
    """In a drain what runs finishes whole, new requests are 500, /health stays 200; the exit code is 0."""
    engine = draining.engine
    with draining.ask(CHAT, streamed(max_tokens=800)) as answer:
        frames = answer.frames()
        next(frames)
        engine.signal(signal.SIGTERM)
        until(lambda: refused(engine.port))
        with Exchange(engine.port, "GET", "/health") as health:
            assert health.status == 200
        received = events(frames)
    assert received[-2]["choices"][0]["finish_reason"] == "length", received[-3:]
    assert "metrics" not in received[-1]
    assert engine.wait(120) == 0


def refused(port: int) -> bool:
    """A new request is turned away as during a drain; before the signal is handled it is simply served."""
    with Exchange(port, "POST", CHAT, completion(max_tokens=1)) as answer:
        body = answer.json()
    if answer.status == 200:
        return False
    message = "cannot schedule new futures after shutdown"
    expected = {"message": message, "type": "InternalServerError", "param": None, "code": 500}
    assert (answer.status, body, answer.header("vary")) == (500, {"error": expected}, None)
    return True


def test_second_sigterm_while_loading_ends_it(draining: Server) -> None:
    """SIGTERM again and again ends a loading server: 130, or by the signal when one more finds it ending."""
    draining.stop()
    engine = draining.loading()

    def ended() -> bool:
        engine.signal(signal.SIGTERM)
        return engine.ended()

    until(ended)
    assert engine.wait() in (130, -signal.SIGTERM)


def test_removed_flag_is_refused(draining: Server) -> None:
    """A flag that vLLM has removed ends it with 2: an operator that renders one must notice here."""
    broken = Server(draining.kind, ["--disable-log-requests"], {})
    with pytest.raises(AssertionError, match="unrecognized arguments: --disable-log-requests"):
        broken.engine.listens()


@pytest.mark.real_vllm
def test_flags_are_the_real_ones() -> None:
    """flags.txt, which the double's parser is made of, is the list of the real parser."""
    from tests.contract.real_flags import real_flags

    assert {(frozenset(names), arity) for names, arity in known_flags()} == real_flags()
