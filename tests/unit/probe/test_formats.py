"""What one event says in each of the three formats; the events are those that real servers send."""

import json
from dataclasses import replace

import pytest

from streaming_operator.probe.stream.formats import DONE, EMPTY, EventContent, Kind, read, read_line
from streaming_operator.probe.stream.server_timing import Metrics
from streaming_operator.probe.stream.sse import Event

TIMINGS = {
    "time_to_first_token_ms": 18.5,
    "generation_time_ms": 63.9,
    "queue_time_ms": 0.1,
    "mean_itl_ms": 12.8,
    "tokens_per_second": 72.8,
}
MEASURED = Metrics(63.9, 0.1, 18.5, 12.8)


def said(data: object) -> EventContent:
    return read(Event(json.dumps(data)))


def chat(delta: dict[str, object], finish: str | None = None) -> EventContent:
    return said({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


@pytest.mark.parametrize(
    ("delta", "kind"),
    [
        pytest.param({"content": "Hi"}, "content", id="text"),
        pytest.param({"role": "assistant", "content": "Hi"}, "content", id="role and text"),
        pytest.param({"reasoning": "hm"}, "reasoning", id="vLLM's thinking"),
        pytest.param({"reasoning_content": "hm", "content": None}, "reasoning", id="others' thinking"),
        pytest.param({"tool_calls": [{"index": 0}]}, "tool", id="tool call"),
        pytest.param({"content": ""}, "empty", id="token without text"),
        pytest.param({"role": "assistant", "content": ""}, None, id="role alone"),
        pytest.param({"role": "assistant", "content": None}, None, id="llama.cpp's role"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_chat_delta(delta: dict[str, object], kind: Kind | None) -> None:
    """Text, thinking and tool calls are tokens, and so is an empty delta that names no role."""
    assert chat(delta) == EventContent("chat", kind)


def test_chat_ending() -> None:
    """The last token carries the reason; an empty delta with a reason is none."""
    assert chat({"content": "x"}, "length") == EventContent("chat", "content", finish_reason="length")
    assert chat({"content": ""}, "stop") == EventContent("chat", finish_reason="stop")
    assert chat({}, "stop") == EventContent("chat", finish_reason="stop")


def test_usage_chunk() -> None:
    """Tokens and the server's timing come in the chunk without choices, whichever of the two APIs."""
    chunk = {"choices": [], "usage": {"completion_tokens": 6, "total_tokens": 9}, "metrics": TIMINGS}
    assert said(chunk) == EventContent(tokens=6, metrics=MEASURED)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"timings": {"prompt_n": 9, "prompt_ms": 41.5, "predicted_n": 64, "predicted_ms": 912.25}},
            Metrics(912.25, None, 41.5),
            id="llama.cpp",
        ),
        pytest.param(
            {
                "x_groq": {
                    "id": "req_1",
                    "usage": {"queue_time": 0.0625, "prompt_time": 0.25, "completion_time": 0.5},
                }
            },
            Metrics(500.0, 62.5, 250.0),
            id="Groq",
        ),
        pytest.param(
            {
                "usage": {
                    "queue_time": 0.25,
                    "prompt_time": 0.5,
                    "completion_time": 1.5,
                    "completion_tokens": 6,
                }
            },
            Metrics(1500.0, 250.0, 500.0),
            id="Groq's usage",
        ),
        pytest.param(
            {"time_info": {"queue_time": 0.125, "prompt_time": 0.5, "completion_time": 2, "total_time": 3}},
            Metrics(2000.0, 125.0, 500.0),
            id="Cerebras",
        ),
        pytest.param({"timings": {"prompt_ms": 41.5}}, None, id="without the time of generation"),
        pytest.param({"time_info": {"completion_time": -1}}, None, id="a negative time"),
        pytest.param({"time_info": {"completion_time": "2"}}, None, id="a text"),
        pytest.param({"x_groq": {"id": "req_1"}, "usage": {"completion_tokens": 6}}, None, id="none"),
        pytest.param(
            {"usage": {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15}}, None, id="TGI"
        ),
        pytest.param(
            {
                "usage": {
                    "completion_tokens": 6,
                    "prompt_tokens_details": {"cached_tokens": 4},
                    "reasoning_tokens": 0,
                },
                "sglext": {"cached_tokens_details": {"device": 4, "host": 0}},
            },
            None,
            id="SGLang",
        ),
    ],
)
def test_timing_of_other_servers(fields: dict[str, object], expected: Metrics | None) -> None:
    """Each in its own shape and unit; milliseconds here."""
    assert said({"choices": []} | fields).metrics == expected


def test_done() -> None:
    """[DONE] ends chat completions and completions."""
    assert read(Event("[DONE]")) == EventContent(done=True)


def test_completions() -> None:
    """Text without a delta; the last token carries the reason here too."""
    choice = {"index": 0, "text": "N", "logprobs": None, "finish_reason": None, "stop_reason": None}
    assert said({"object": "text_completion", "choices": [choice]}) == EventContent("completions", "content")
    assert said({"choices": [choice | {"text": ""}]}) == EventContent("completions", "empty")
    ending = choice | {"finish_reason": "length"}
    assert said({"choices": [ending]}) == EventContent("completions", "content", finish_reason="length")
    assert said({"choices": [ending | {"text": ""}]}) == EventContent("completions", finish_reason="length")


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("response.output_text.delta", "Hi", "content"),
        ("response.output_text.delta", "", "empty"),
        ("response.refusal.delta", "No", "content"),
        ("response.reasoning_text.delta", "hm", "reasoning"),
        ("response.reasoning_summary_text.delta", "hm", "reasoning"),
        ("response.function_call_arguments.delta", "{", "tool"),
        ("response.code_interpreter_call_code.delta", "1", "tool"),
    ],
)
def test_responses_delta(name: str, text: str, kind: Kind) -> None:
    """Every event of the responses API that ends in `.delta` bears a token."""
    assert said({"type": name, "delta": text, "sequence_number": 4}) == EventContent("responses", kind)


@pytest.mark.parametrize(
    "name",
    ["response.created", "response.in_progress", "response.output_item.added", "response.output_text.done"],
)
def test_responses_around_the_tokens(name: str) -> None:
    """What opens, closes and repeats is no token and no end."""
    event = {"type": name, "response": {"status": "in_progress", "usage": None}, "text": "all of it"}
    assert said(event) == EventContent("responses")


def test_vllms_end_of_a_response() -> None:
    """vLLM says completed where tokens ran out; usage and timing come with it."""
    response = {
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "usage": {"input_tokens": 24, "output_tokens": 6},
        "metrics": TIMINGS | {"speculative_decoding": None},
    }
    expected = EventContent("responses", tokens=6, metrics=MEASURED, finish_reason="length", done=True)
    assert said({"type": "response.completed", "response": response}) == expected


@pytest.mark.parametrize(
    ("name", "response", "reason", "error"),
    [
        ("response.completed", {"status": "completed", "incomplete_details": None}, "stop", None),
        (
            "response.incomplete",
            {"incomplete_details": {"reason": "max_output_tokens"}},
            "length",
            None,
        ),
        (
            "response.incomplete",
            {"incomplete_details": {"reason": "content_filter"}},
            "content_filter",
            None,
        ),
        ("response.failed", {"error": {"code": "server_error", "message": "a\nb"}}, "error", "a b"),
        ("response.failed", {"error": None}, "error", "no reason given"),
    ],
)
def test_ends_of_a_response(name: str, response: dict[str, object], reason: str, error: str | None) -> None:
    """Each terminal event is an end, in the terms of the other formats."""
    expected = EventContent("responses", finish_reason=reason, error=error, done=True)
    assert said({"type": name, "response": response}) == expected


@pytest.mark.parametrize(
    "event", [{"type": "error", "message": "boom"}, {"type": "error", "error": {"message": "boom"}}]
)
def test_error_event_of_responses(event: dict[str, object]) -> None:
    """An error event is an end too, in OpenAI's documented form and in the one it sends."""
    assert said(event) == EventContent("responses", error="boom", done=True)


@pytest.mark.parametrize("error", [{"message": "a\n b", "code": 500}, "a b"])
def test_error_event_of_chat(error: object) -> None:
    """The message in one line; [DONE] follows by itself."""
    assert said({"error": error}) == EventContent(error="a b")


@pytest.mark.parametrize(
    "data", ["nonsense", "[1]", "3", "", '{"choices": 3}', '{"choices": [null, {"delta": 3}], "usage": 7}']
)
def test_strange_events_say_nothing(data: str) -> None:
    """What is none of the three formats neither counts nor breaks anything."""
    assert replace(read(Event(data)), unread=False) == EMPTY


@pytest.mark.parametrize(
    ("data", "unread"),
    [
        ("nonsense", True),
        ("[1]", True),
        ('data: {"choices": []}', True),
        ("<html>", True),
        ("", False),
        ("{}", False),
        (DONE, False),
    ],
)
def test_what_is_of_no_format_is_marked(data: str, unread: bool) -> None:
    """People are shown the first of them; an empty event keeps a connection alive."""
    assert read(Event(data)).unread == unread


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("error", '{"code": 400, "details": "above the limit"}', "above the limit"),
        ("error", '{"detail": "engine is not running"}', "engine is not running"),
        ("error", "upstream connection lost", "upstream connection lost"),
        ("error", "{}", "no reason given"),
        ("message", '{"object": "error", "message": "the engine died", "code": 500}', "the engine died"),
        ("message", '{"detail": [{"loc": ["body"], "msg": "field required"}]}', "field required"),
        ("message", '{"error": {"message": "{\\"detail\\": \\"too long\\"}"}}', "too long"),
        ("message", '{"errors": ["a", "b"]}', "a"),
        ("message", '{"error": {"code": 502}}', "502"),
        ("message", '[{"error": {"code": 400, "message": "not valid"}}]', "not valid"),
        ("message", '{"base_resp": {"status_code": 1008, "status_msg": "no balance"}}', "no balance"),
        ("message", "error: CUDA out of memory", "error: CUDA out of memory"),
        ("message", "[ERROR] Internal", "[ERROR] Internal"),
        ("message", '"RuntimeError: CUDA"', "RuntimeError: CUDA"),
        ("message", '{"id": "as-1", "error_code": 336003, "error_msg": "no such user"}', "no such user"),
        ("message", '{"choices": [{"delta": {}, "error": {"message": "provider down"}}]}', "provider down"),
        ("failure", '{"why": "out of cache"}', "no reason given"),
        ("message", '{"id": "x", "error_code": 0, "error_msg": "", "choices": []}', None),
        ("message", '{"id": "x", "error_code": "0", "error_msg": "Success", "choices": []}', None),
        ("message", '{"id": "x", "errorCode": "00000", "errorMessage": "ok", "choices": []}', None),
        ("message", '{"id": "x", "error_code": "10013", "error_msg": "ok", "choices": []}', "ok"),
        ("message", '{"base_resp": {"status_code": 0}, "choices": []}', None),
        ("message", '{"type": "message_start", "message": {"content": []}}', None),
        ("message", '{"model": "m", "message": {"content": "x"}, "done": false}', None),
        ("message", '{"choices": [{"message": "x"}], "message": "x"}', None),
        ("message", '{"error": null, "choices": []}', None),
        ("message", "an errand", None),
    ],
)
def test_errors_in_the_shapes_of_servers(name: str, data: str, expected: str | None) -> None:
    """The words of the server, whatever they are written as; and what only resembles an error is none."""
    assert read(Event(data, name)).error == expected


@pytest.mark.parametrize(
    ("line", "error", "unread"),
    [
        ('{"error": {"message": "no quota"}}', "no quota", False),
        ('{"choices": []}', None, True),
        ("<html>", None, True),
        ("2a", None, True),
    ],
)
def test_lines_that_are_no_field(line: str, error: str | None, unread: bool) -> None:
    """An error in JSON without `data:` is read; anything else is shown."""
    assert read_line(line) == EventContent(error=error, unread=unread)


def test_brackets_nested_deeper_than_a_parser_goes() -> None:
    """Such an event says nothing."""
    assert read(Event("[" * 100_000)) == EventContent(unread=True)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "9" * 400, "true"])
def test_numbers_that_no_answer_has(value: str) -> None:
    """Numbers in JSON are unbounded; impossible ones are ignored."""
    event = f'{{"usage": {{"completion_tokens": {value}}}, "metrics": {{"generation_time_ms": {value}}}}}'
    assert read(Event(event)) == EMPTY


def test_words_of_a_server_steer_no_terminal() -> None:
    """Escape sequences and half surrogate pairs become replacement characters, length has a bound."""
    event = '{"error": "\\u001b[2J\\ud800 %s", "choices": [{"finish_reason": "\\u009b"}]}' % ("x" * 999)
    assert read(Event(event)) == EventContent(error="\ufffd[2J\ufffd " + "x" * 194, finish_reason="\ufffd")
