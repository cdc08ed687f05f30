"""
A report as one HTML file, such as for a ticket: it loads nothing, its timelines are inline SVG.

Text from servers is escaped by the template; the file has no script.
"""

import jinja2

from streaming_operator.api.reasons import EXPLAINED
from streaming_operator.report.drawing import HEIGHT, WIDTH, drawing
from streaming_operator.report.exit_codes import INCONCLUSIVE, STREAMING, exit_code
from streaming_operator.report.model import Report
from streaming_operator.report.terminal import milliseconds, notes, remarks

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("streaming_operator.report", "templates"),
    undefined=jinja2.StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)

_MEANINGS = {str(word): explained.means for word, explained in EXPLAINED.items()}


def document(report: Report) -> str:
    """The whole file."""
    return _ENVIRONMENT.get_template("report.html.j2").render(
        report=report,
        drawing=drawing(report.decisive.hops),
        meaning=_MEANINGS.get(report.verdict, ""),
        mood=mood,
        notes=notes(report.decisive.hops),
        remarks=remarks(report.decisive.hops),
        time=milliseconds,
        width=WIDTH,
        height=HEIGHT,
    )


def mood(verdict: str) -> str:
    """The CSS class of a verdict: good, unsure or bad."""
    code = exit_code(verdict)
    return "good" if code == STREAMING else "unsure" if code == INCONCLUSIVE else "bad"
