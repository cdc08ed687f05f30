"""What is asked with after a refusal, by the words of servers in the field."""

import json

import pytest

from streaming_operator.probe.http.request import PATHS, USUAL, Api, CompletionParams, Limit, Wording, body
from streaming_operator.probe.http.wording import described, fewer

BARE = frozenset({"ignore_eos", "n", "stream_options", "temperature"})


@pytest.mark.parametrize(
    ("status", "message", "left_out", "limit"),
    [
        (400, "Unrecognized request argument supplied: ignore_eos", {"ignore_eos"}, "max_tokens"),
        (400, "property 'ignore_eos' is unsupported", {"ignore_eos"}, "max_tokens"),
        (422, '{"loc": ["body", "n"], "type": "extra_forbidden"}', {"n"}, "max_tokens"),
        (400, "include_usage is not available", {"stream_options"}, "max_tokens"),
        (400, "'max_tokens' is not supported, use 'max_completion_tokens'", set(), "max_completion_tokens"),
        (400, "temperature and max_tokens cannot be set", {"temperature"}, "max_completion_tokens"),
        (400, "invalid request", BARE, "max_tokens"),
        (500, "got an unexpected keyword argument 'ignore_eos'", {"ignore_eos"}, "max_tokens"),
    ],
)
def test_what_a_refusal_names_is_left_out(
    status: int, message: str, left_out: set[str], limit: Limit
) -> None:
    """Those parameters alone, or all optional ones where it names none; the limit has another name."""
    assert fewer(USUAL, "chat", status, message) == Wording(frozenset(left_out), limit)


@pytest.mark.parametrize(
    ("status", "message"), [(401, "ignore_eos"), (404, "no such model"), (429, "n"), (500, "CUDA"), (502, "")]
)
def test_other_errors_are_no_refusal_of_a_parameter(status: int, message: str) -> None:
    """Fewer parameters would not help."""
    assert fewer(USUAL, "chat", status, message) is None


@pytest.mark.parametrize("api", PATHS)
def test_asking_with_fewer_ends(api: Api) -> None:
    """A server that refuses everything is asked a few times, each time with another body."""
    wording: Wording | None = USUAL
    bodies = []
    while wording is not None:
        bodies.append(body(CompletionParams("m", api=api, wording=wording), ""))
        wording = fewer(wording, api, 400, "no")
    assert len(set(bodies)) == len(bodies) <= 3
    assert not json.loads(bodies[-1]).keys() & {"ignore_eos", "temperature", "n", "stream_options", "store"}


def test_the_difference_in_words() -> None:
    """What a person is told."""
    wordings = (USUAL, Wording(frozenset({"n", "ignore_eos"})), Wording(BARE, "max_completion_tokens"))
    assert [described(wording) for wording in wordings] == [
        "",
        "without ignore_eos, n",
        "without ignore_eos, n, stream_options, temperature and with max_completion_tokens",
    ]
