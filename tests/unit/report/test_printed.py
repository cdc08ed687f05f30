"""Text, JSON, JUnit, HTML and metrics of a report: complete, readable by their programs, nothing let through."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from streaming_operator.api.reasons import Verdict
from streaming_operator.report import Child, Report, html, junit, terminal, textfile
from streaming_operator.report.live import Progress, growing
from streaming_operator.report.model import Arrival, as_json
from streaming_operator.values import Remark
from tests.unit.report.reports import FINE, STORED, SUBJECT, report, result

V = Verdict
NASTY = "<script>alert('x')</script> \x00\x1b[31m & \"quotes\""


def printed(printable: Report, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding)
    terminal.write([printable], out)
    out.flush()
    return raw.getvalue().decode(encoding)


def test_text_has_verdict_evidence_remedy_then_the_hops() -> None:
    """The first lines are for people in a hurry."""
    lines = printed(report(result(V.BUFFERED, STORED, inner=FINE))).splitlines()
    assert lines[:4] == [
        "Buffered: URL: Buffered it is",
        "Remedy: do something",
        "Model: tiny (chat) of http://llm.example/v1",
        "",
    ]
    assert [line[:5] for line in lines[5:7]] == [" URL ", " Pod "]


def test_the_proxy_is_named_where_there_is_a_fault() -> None:
    """The proxy is named beside the evidence, in every form; not on a path that streams."""
    bad = report(result(V.BUFFERED, STORED, proxy="nginx"))
    fine = report(result(V.STREAMING, proxy="nginx"))
    assert (bad.fingerprint, bad.decisive.hops[0].fingerprint) == ("nginx", "nginx")
    assert "Buffered it is (it looks like nginx)" in printed(bad).splitlines()[0]
    assert "it looks like" not in printed(fine)
    assert "(it looks like nginx)" in html.document(bad)


REMARK = Remark("odd", "it is odd", "fix it")


def test_a_remark_is_shown_in_every_form() -> None:
    """Beside the verdict, which it does not change; with the hop where there are several."""
    page = report(result(V.STREAMING, inner=FINE, remarks=(REMARK,)))
    assert "Remark (URL): it is odd; fix it" in printed(page).splitlines()
    assert "Remark: it is odd; fix it" in printed(report(result(V.STREAMING, remarks=(REMARK,)))).splitlines()
    assert json.loads(as_json(page))["runs"][0]["hops"][0]["remarks"] == [
        {"name": "odd", "observed": "it is odd", "advice": "fix it"}
    ]
    assert "<b>Remark</b> (URL): it is odd; fix it" in html.document(page)
    (suite,) = ElementTree.fromstring(junit.document([page]))
    assert [case.findtext("system-out") for case in suite] == ["Remark: it is odd; fix it", None]
    assert page.exit_code == 0


def test_text_without_colours_or_blocks_where_they_cannot_be_shown() -> None:
    """A pipe gets no escape codes, an ASCII terminal no characters that it lacks."""
    page = printed(report(result(V.STREAMING)), "ascii")
    assert "\x1b" not in page
    assert "|" in page


def test_strip_shows_where_the_tokens_came() -> None:
    """A stream fills its time, a stored answer stands at the end."""
    even = [Arrival(milliseconds=10.0 * n, bytes=9, tokens=1) for n in range(32)]
    once = [Arrival(milliseconds=320.0, bytes=9, tokens=32)]
    assert terminal.strip(even, 320.0, plain=True) == "|" + "@" * 32 + "|"
    assert terminal.strip(once, 320.0, plain=True) == "|" + " " * 31 + "@|"
    assert terminal.strip([], 0.0, plain=True) == "|" + " " * 32 + "|"


def test_json_is_valid_against_its_schema() -> None:
    """With everything that a report can hold; a field that the schema does not know is refused."""
    schema = json.loads((Path(__file__).parents[3] / "docs" / "probe-result.schema.json").read_text())
    child = Child(kind="Pod", name="x", state="Pending", healthy=False, detail="no node")
    document = json.loads(
        as_json(
            report(
                result(V.BUFFERED, STORED, inner=FINE, remarks=(REMARK,)),
                result(V.STREAMING),
                children=(child,),
            )
        )
    )
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"new": 1}, schema)


def test_junit_has_a_case_for_each_hop_and_run() -> None:
    """Failure, error and skipped are three things; the remedy stands at the hop at fault."""
    page = report(result(V.BUFFERED, STORED, inner=FINE), result(V.UNREACHABLE, None), result(V.INCONCLUSIVE))
    (suite,) = ElementTree.fromstring(junit.document([page]))
    assert tuple(suite.get(key) for key in ("tests", "failures", "errors", "skipped")) == ("4", "1", "1", "1")
    assert [[child.tag for child in case] for case in suite] == [["failure"], [], ["error"], ["skipped"]]
    assert suite[0][0].text == "Remedy: do something"


def test_junit_holds_any_text_of_a_server() -> None:
    """Control characters that XML cannot hold are replaced."""
    page = report(result(V.UPSTREAM_ERROR, None, message=NASTY))
    hop = page.runs[0].hops[0].model_copy(update={"evidence": NASTY})
    run = page.runs[0].model_copy(update={"hops": (hop,)})
    ElementTree.fromstring(junit.document([page.model_copy(update={"runs": (run,)})]))


class Links(HTMLParser):
    """Everything that a browser would load, and every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data")]


def test_html_is_one_file_with_a_picture_of_each_hop() -> None:
    """Nothing is loaded, nothing runs; a panel for every hop."""
    page = html.document(report(result(V.BUFFERED, STORED, inner=FINE), result(V.STREAMING)))
    links = Links()
    links.feed(page)
    assert (links.loaded, "script" in links.tags) == ([], False)
    assert not re.search(r"url\(|@import|https?://(?!llm\.example|10\.0\.0\.1)", page)
    assert page.count('class="plot"') == 2


def test_html_escapes_text_of_a_server() -> None:
    """An error page becomes text, never markup."""
    page = html.document(report(result(V.UPSTREAM_ERROR, None, message=NASTY)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_can_be_printed(verdict: Verdict, tmp_path: Path) -> None:
    """With and without a timeline, in every form."""
    for page in (report(result(verdict)), report(result(verdict, None))):
        assert str(verdict) in html.document(page)
        assert printed(page).startswith(f"{verdict}: ")
        assert str(verdict) in as_json(page)
        ElementTree.fromstring(junit.document([page]))
        textfile.write([page], tmp_path / "x.prom")


def test_a_metrics_file_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    """Nothing half written, nothing left beside it."""
    file = tmp_path / "folder.prom"
    file.mkdir()
    with pytest.raises(OSError, match="folder"):
        textfile.write([report(result(V.STREAMING))], file)
    assert list(tmp_path.iterdir()) == [file]


def test_live_picture_grows_and_is_quiet_without_a_terminal() -> None:
    """Bytes by their time; nothing at all into a file."""
    assert growing([(0.1 * n, 5) for n in range(4)], 0.8, 8) == "▕" + "█" * 4 + "    ▏"
    out = io.StringIO()
    with Progress(replace(SUBJECT), out) as progress:
        for hop in report(result(V.STREAMING)).decisive.hops:
            assert hop.arrivals
        progress.on_read(next(iter(SUBJECT.names)), 0.1, 10)
    assert out.getvalue() == ""
