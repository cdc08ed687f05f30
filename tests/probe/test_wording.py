"""Servers that refuse a parameter of the probe's request: it is asked again with fewer, and that is remembered."""

import pytest

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe.http.request import Wording
from streaming_operator.probe.verification import verify
from tests.probe.conftest import plan
from tests.probe.servers import Answer, Asked, Client, Server, event, token, usage

BARE = {"model", "messages", "stream", "max_tokens"}


def refusing(known: set[str], message: str, status: str = "400 Bad Request") -> Answer:
    """A server that knows these parameters alone."""

    def answer(client: Client, asked: Asked) -> None:
        if unknown := sorted(set(asked.body) - known):
            client.plain(status, {"error": {"message": message.format(*unknown, first=unknown[0])}})
        else:
            client.stream(asked.body.get("max_tokens") or asked.body["max_completion_tokens"])

    return answer


USUAL = BARE | {"temperature", "n", "stream_options"}


def refused(server: Server) -> int:
    """Requests in other words than the last: how often the accepted ones are asked depends on the machine's load."""
    return sum(set(asked.body) != set(server.asked[-1].body) for asked in server.asked)


@pytest.mark.parametrize(
    ("answer", "refusals"),
    [
        pytest.param(refusing(USUAL, "Unrecognized request argument supplied: {first}"), 1, id="names it"),
        pytest.param(refusing(BARE, "{first} is not allowed"), 2, id="names one at a time"),
        pytest.param(refusing(BARE, "invalid request"), 1, id="names none"),
        pytest.param(
            refusing(USUAL, "extra_forbidden body.{first}", "422 Unprocessable Entity"),
            1,
            id="422 of FastAPI",
        ),
        pytest.param(
            refusing(USUAL, "unexpected keyword argument '{first}'", "500 Internal Server Error"), 1, id="500"
        ),
        pytest.param(
            refusing(
                (USUAL | {"max_completion_tokens"}) - {"max_tokens", "temperature"},
                "Unsupported parameter: '{first}'",
            ),
            3,
            id="reasoning models",
        ),
    ],
)
async def test_a_refused_parameter_is_left_out(answer: Answer, refusals: int) -> None:
    """It streams; the accepted wording is reported once and used for every further stream of the verification."""
    accepted: list[Wording] = []
    with Server(answer) as server:
        result = await verify(plan([server.port], on_wording=accepted.append))
    assert (result.verdict, refused(server), len(accepted)) == (Verdict.STREAMING, refusals, 1), (
        result.message
    )
    assert "the server accepts the request only with" in result.message_with_remarks


async def test_a_refusal_under_200_is_one() -> None:
    """Some gateways write their upstream's refusal as an event of a stream that they have begun."""

    def answer(client: Client, asked: Asked) -> None:
        if unknown := sorted(set(asked.body) - USUAL):
            client.head()
            client.chunk(event({"error": {"message": f"Unknown parameter: {unknown[0]}", "code": 400}}))
            client.end()
        else:
            client.stream(asked.body["max_tokens"])

    with Server(answer) as server:
        result = await verify(plan([server.port]))
    assert (result.verdict, refused(server)) == (Verdict.STREAMING, 1), result.message


async def test_what_was_accepted_before_is_asked_at_once() -> None:
    """With the remembered wording nothing is refused any more."""
    with Server(refusing(USUAL, "no {first}")) as server:
        result = await verify(plan([server.port], wording=Wording(frozenset({"ignore_eos"}))))
    assert (result.verdict, refused(server)) == (Verdict.STREAMING, 0), result.message


async def test_a_refusal_for_another_reason_is_reported_as_it_is() -> None:
    """After every parameter was left out the server still refuses: its last words about something else count."""

    def answer(client: Client, asked: Asked) -> None:
        why = "unknown field ignore_eos" if "ignore_eos" in asked.body else "the balance is used up"
        client.plain("400 Bad Request", {"error": {"message": why}})

    with Server(answer) as server:
        result = await verify(plan([server.port]))
    assert (result.verdict, "the balance is used up" in result.message) == (Verdict.UPSTREAM_ERROR, True)
    assert len(server.asked) < 6


async def test_an_error_that_only_a_forced_stream_has_is_none() -> None:
    """The parser of the model's output fails past its end, where no user's request leads."""

    def answer(client: Client, asked: Asked) -> None:
        client.head()
        client.events(token() for _ in range(40))
        if asked.body.get("ignore_eos"):
            client.chunk(event({"error": {"message": "unexpected token"}}))
        else:
            client.chunk(token("", "stop") + usage(40))
        client.chunk(event("[DONE]"))
        client.end()

    with Server(answer) as server:
        result = await verify(plan([server.port]))
    assert (result.verdict, refused(server)) == (Verdict.STREAMING, 1), result.message


async def test_an_error_of_the_engine_stays_one() -> None:
    """It errs without the parameter too: the first stream counts, and it is asked for only once."""

    def answer(client: Client, asked: Asked) -> None:
        client.head()
        client.events(token() for _ in range(10))
        client.chunk(event({"error": {"message": "the engine died"}}))
        client.end()

    with Server(answer) as server:
        result = await verify(plan([server.port]))
    assert (result.verdict, "the engine died" in result.message) == (Verdict.ERROR_IN_STREAM, True)
    assert ["ignore_eos" in asked.body for asked in server.asked] == [True, False, True]
