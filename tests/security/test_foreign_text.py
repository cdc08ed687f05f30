"""No text that somebody else wrote drives a terminal, forges a line or reads as another text, in any output."""

import io
import itertools
import logging
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streaming_operator import logs, status
from streaming_operator.api.reasons import Hop, Reason, Verdict
from streaming_operator.cluster import workload_status
from streaming_operator.cluster.events import Publisher
from streaming_operator.foreign_text import readable
from streaming_operator.probe.http.request import Request
from streaming_operator.probe.http.response import Ending, Head
from streaming_operator.probe.stream.timeline import Arrival, Timeline
from streaming_operator.report import (
    Child,
    Report,
    Subject,
    heads,
    html,
    junit,
    lines,
    of_results,
    terminal,
    textfile,
    without_stream,
)
from streaming_operator.report.live import Progress
from streaming_operator.report.model import as_json
from streaming_operator.status import World
from streaming_operator.status.verification import VerificationState
from streaming_operator.values import Capabilities, HopResult, ProbeResult, Problem, Remark
from tests.unit.status.worlds import an_endpoint

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = {
    "title": "\x1b]0;pwned\x07",
    "clipboard": "\x1b]52;c;Y3VybCBldmlsfHNo\x1b\\",
    "colour": "\x1b[2K\x1b[1A\x1b[32mok\x1b[0m",
    "C1": "\x9b31m\x9d0;pwned\x9c\x90q\x85",
    "controls": "".join(map(chr, range(32))) + "\x7f",
    "bidirectional": "\u202eexe.\u2066txt\u2069\u200f\u061c",
    "lines": "a\r\nb\u2028c\u2029d\x0be\x0cf",
    "zero width": "a\u200bb\u2060c\ufeffd",
    "surrogate": "\ud83d",
    "private use": "\ue000\U000f0000",
    "tags": "\U000e0041\U000e007f",
}


def unsafe(text: str, *, allowed: str = "\n") -> set[str]:
    """The characters of *text* that are no mark on the screen."""
    return {c for c in text if unicodedata.category(c)[0] == "C" or c in "\u2028\u2029"} - {*allowed}


def a_report(text: str) -> Report:
    """A report whose every text came from somebody else."""
    timeline = Timeline(
        Ending.COMPLETE, 2.0, text, Head(200, (("server", text),), "HTTP/1.1"),
        arrivals=(Arrival(0.1, 1, 1), Arrival(0.5, 2, 2)), sizes=((0.1, 5), (0.5, 5)),
        finish_reason=text, error=text, http_version=text,
    )  # fmt: skip
    hop = HopResult(
        Hop.POD, text, Verdict.BUFFERED, text, text, finish_reason=text, fingerprint=text,
        remarks=(Remark(text, text, text),), timeline=timeline,
    )  # fmt: skip
    other = replace(hop, hop=Hop.EXPOSURE)
    result = ProbeResult(
        Verdict.BUFFERED, Hop.POD, f"{text}. Remedy: {text}", (hop, other), text, text, frozenset({text}), NOW
    )
    subject = Subject(
        text, text, NOW, text, text, names={Hop.POD: text}, notes={Hop.POD: text}, places={Hop.EXPOSURE: text}
    )
    children = (Child(kind=text, name=text, state=text, healthy=False, detail=text),)
    return of_results(subject, [result, result], children)


def as_text(report: Report, folder: Path) -> str:
    out = io.StringIO()
    terminal.write([report], out)
    return out.getvalue()


def as_table(report: Report, folder: Path) -> str:
    out = io.StringIO()
    terminal.write([report, report], out)
    return out.getvalue()


def as_metrics(report: Report, folder: Path) -> str:
    textfile.write([report], folder / "streaming.prom")
    return (folder / "streaming.prom").read_text()


OUTPUTS: dict[str, Callable[[Report, Path], str]] = {
    "text": as_text,
    "json": lambda report, folder: as_json(report),
    "table of several": as_table,
    "watch": lambda report, folder: lines.line(report, with_subject=True),
    "junit": lambda report, folder: junit.document([report]),
    "html": lambda report, folder: html.document(report),
    "textfile": as_metrics,
}


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_report_carries_control_characters(
    output: Callable[[Report, Path], str], text: str, tmp_path: Path
) -> None:
    """Every field of an answer, of the objects in the cluster and of the names, through every form of a report."""
    assert unsafe(output(a_report(text), tmp_path)) == set()


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_report_without_a_stream_does_either(
    output: Callable[[Report, Path], str], text: str, tmp_path: Path
) -> None:
    """What could not be connected to, or listed."""
    subject = Subject(text, text, NOW, text)
    assert unsafe(output(without_stream(subject, "Unreachable", text, text, text), tmp_path)) == set()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_head_of_a_response_does_either(text: str) -> None:
    """`--verbose`: names and values of headers, and the version that the server claims."""
    timeline = Timeline(Ending.COMPLETE, 2.0, "kernel", Head(200, ((text, text),), text))
    request = Request("POST", "/v1/chat/completions", "llm.example.com", ())
    assert unsafe("\n".join(heads.lines(request, timeline))) == set()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_progress_does_either(text: str) -> None:
    """The model's name, as the server lists it, while the streams run."""
    progress = Progress(Subject(text, text, NOW), io.StringIO())
    progress.set_model(text)
    assert unsafe("".join(str(part) for part in progress._draw().renderables)) == set()


def strings(value: object) -> Iterator[str]:
    """Every text in plain data."""
    if isinstance(value, dict):
        yield from itertools.chain.from_iterable(strings(part) for part in (*value.keys(), *value.values()))
    elif isinstance(value, list | tuple):
        yield from itertools.chain.from_iterable(map(strings, value))
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_status_and_no_event_does_either(text: str) -> None:
    """Conditions, their events, and every hop of status.verification."""
    hop = HopResult(Hop.POD, text, Verdict.STREAMING, text, text, finish_reason=text)
    state = VerificationState(Verdict.BUFFERED, Hop.POD, text, (hop,), text, text, NOW, 1)
    world = World(
        observed=None, capabilities=Capabilities(False, False), verification=state,
        verification_problem=Problem(Reason.SECRET_NOT_READABLE, text), note=text,
    )  # fmt: skip
    summary = status.summarize(an_endpoint(), world, {}, NOW)
    assert [unsafe(part, allowed="") for part in strings(summary) if unsafe(part, allowed="")] == []
    changes = status.changes({}, summary)
    assert [unsafe(change.message, allowed="") for change in changes if unsafe(change.message)] == []
    invalid = status.unreadable(1, (text,), {}, NOW)
    assert [unsafe(part, allowed="") for part in strings(invalid) if unsafe(part, allowed="")] == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_no_event_carries_what_a_condition_might(text: str) -> None:
    """An event is cleaned where it is written, whoever made its text."""
    written: list[dict[str, str]] = []

    class Transport:
        async def create(self, path: str, manifest: dict[str, str], what: str) -> None:
            written.append(manifest)

    await Publisher(Transport()).publish(an_endpoint(), "Warning", "Reason", text)  # type: ignore[arg-type]
    assert unsafe(written[0]["note"], allowed="") == set()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_last_line_of_a_container_does_either(text: str) -> None:
    """What `streamctl diagnose` and the condition quote."""
    assert unsafe(workload_status.redacted(f"a{text}b"), allowed="") == set()
    assert unsafe(workload_status.last_line(f"a{text}b"), allowed="") == set()


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_log_line_does_either(
    text: str, style: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One record is one line, in both formats."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    try:
        logs.configure("INFO", style)  # type: ignore[arg-type]
        logging.getLogger("test").warning("said %s", text)
    finally:
        root.setLevel(level)
    line = capsys.readouterr().err
    assert unsafe(line) == set()
    assert line.count("\n") == 1


def test_readable_keeps_every_language_and_its_length() -> None:
    """Letters, marks, digits and symbols of any script stay; white space becomes one space."""
    text = "Größe 値段 цена שלום 🙂 é\u0301 ½"
    assert readable(text) == text
    assert readable("  a \n b\t") == "a b"
    assert readable("abcdef", 3) == "abc"
