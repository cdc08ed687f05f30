"""With status.quoteServers: false nothing that a server or a container said stands in a status, and verdicts stay."""

import json
from typing import Any

import pytest

from streaming_operator.cluster.observe import _without_quotes
from streaming_operator.cluster.workload_status import of_pod
from streaming_operator.probe.http.response import Ending, Head
from streaming_operator.probe.judge.finding import Attempt, Finding
from streaming_operator.probe.judge.quotes import without_quotes
from streaming_operator.probe.judge.served_model import another_model
from streaming_operator.probe.judge.verdict import judge
from streaming_operator.probe.stream.timeline import Arrival, Timeline

SAID = "S3cr3t-of-a-database"
HEADERS = (
    ("server", f"{SAID}/1"),
    ("location", f"/{SAID}"),
    ("content-type", f"application/{SAID}"),
    ("content-length", SAID),
    ("x-other", SAID),
)


def a_timeline(status: int = 200, body: str = "", *more: tuple[str, str], **fields: Any) -> Timeline:
    head = Head(status, (*HEADERS, *more), "HTTP/1.1")
    return Timeline(Ending.COMPLETE, 1.0, "kernel", head, 0.1, body=body, **fields)


ANSWERS: dict[str, Timeline] = {
    "refused key": a_timeline(401, json.dumps({"error": {"message": SAID}})),
    "unknown model": a_timeline(404, json.dumps({"error": {"message": f"model {SAID} does not exist"}})),
    "no route": a_timeline(404, SAID),
    "redirect": a_timeline(302),
    "busy": a_timeline(503, json.dumps({"detail": SAID})),
    "bad request": a_timeline(400, json.dumps({"message": SAID, SAID: [SAID]})),
    "page": a_timeline(200, f"<html>{SAID}"),
    "whole answer": a_timeline(200, json.dumps({"choices": [{"text": SAID}]})),
    "error in a stream": a_timeline(
        200, "", ("content-type", "text/event-stream"), api="chat", error=SAID, arrivals=(Arrival(0.1, 1, 1),)
    ),
    "broken": a_timeline(200, api="chat", broken=SAID, arrivals=(Arrival(0.1, 1, 1),)),
    "reset": a_timeline(200, api="chat", reset=f"GOAWAY, CANCEL ({SAID})", arrivals=(Arrival(0.1, 1, 1),)),
    "given up": a_timeline(
        200, api="chat", done=True, finish_reason=f"abort {SAID}", arrivals=(Arrival(0.1, 1, 1),)
    ),
    "odd finish reason": a_timeline(
        200, api="chat", done=True, finish_reason=SAID, arrivals=(Arrival(0.1, 1, 1),), tokens=64
    ),
    "nginx": a_timeline(502, f"<center>nginx</center>{SAID}", ("server", f"nginx/{SAID}")),
}


def judged(timeline: Timeline) -> tuple[Finding, Finding]:
    """The finding with quotes and the one without."""
    attempt = Attempt(timeline=timeline, with_key=True, asked=64)
    return judge(attempt, capped=True), judge(without_quotes(attempt), capped=True)


@pytest.mark.parametrize("timeline", ANSWERS.values(), ids=ANSWERS)
def test_no_finding_quotes_and_the_verdict_is_the_same(timeline: Timeline) -> None:
    """Evidence and remarks hold nothing of the answer, and verdict, symptom and proxy are judged as before."""
    quoting, plain = judged(timeline)
    assert SAID.lower() not in repr(plain).lower()
    assert (plain.verdict, plain.symptom, plain.fingerprint) == (
        quoting.verdict,
        quoting.symptom,
        quoting.fingerprint,
    )


@pytest.mark.parametrize("moment", ["state", "lastState"])
def test_no_condition_quotes_the_last_line_of_a_container(moment: str) -> None:
    """Exit code and reason are the kubelet's; the message is the container's."""
    ended = {"terminated": {"reason": "Error", "exitCode": 3, "message": f"\nValueError: {SAID}"}}
    waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}
    container = {"name": "engine", "ready": False, **waiting, moment: ended}
    pod = {
        "metadata": {"name": "p"},
        "spec": {"images": {"engine": "x"}, "graceSeconds": 30, "claims": []},
        "status": {"conditions": [], "containerStatuses": [container]},
    }
    quoting, plain = of_pod(pod), of_pod(_without_quotes(pod))
    assert quoting is not None
    assert plain is not None
    assert SAID in quoting.message
    assert SAID not in plain.message
    assert "exit code 3" in plain.message
    assert plain.reason is quoting.reason


@pytest.mark.parametrize(
    "model",
    [{"id": SAID, "root": "a/b"}, {"id": "chat", "root": SAID}],
    ids=["another name", "another model under our name"],
)
def test_no_name_of_a_servers_list_is_quoted(model: dict[str, str]) -> None:
    """`WrongModel` names what the spec says, and not what the server lists."""
    listed = {"data": [{**model, "owned_by": "vllm"}]}
    assert SAID in (another_model(listed, {"chat": "org/model"}) or "")
    plain = another_model(listed, {"chat": "org/model"}, quotes=False)
    assert plain is not None
    assert SAID not in plain
