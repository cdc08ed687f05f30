"""The confusion matrix of a run, and the document with the table."""

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.probe.zoo import keeper
from tests.probe.zoo.cases import Case
from tests.probe.zoo.keeper import NAMES, Outcome

DOCUMENT = Path(__file__).parents[3] / "docs" / "fault-zoo.md"


def counted(cases: Sequence[Case], outcomes: Mapping[str, Outcome]) -> Counter[tuple[str, str]]:
    """How often each verdict was expected and said."""
    said = ((case.expected, outcomes[case.name].result) for case in cases)
    return Counter((expected, result.verdict if result else "not run") for expected, result in said)


def text(cases: Sequence[Case], outcomes: Mapping[str, Outcome]) -> str:
    """Expected by said, and every miss with its message."""
    misses = []
    for case in cases:
        outcome = outcomes[case.name]
        if outcome.result is None:
            misses.append(f"{case.name}: {outcome.missing or outcome.broken}")
            continue
        said = outcome.result
        if (said.verdict, said.hop) != (case.expected, case.hop):
            misses.append(f"{case.name}: {said.verdict} at {said.hop}: {said.message}")
    return "\n".join([*grid(counted(cases, outcomes)), *misses, f"{len(cases)} cases, {len(misses)} misses"])


def grid(counts: Mapping[tuple[str, str], int]) -> list[str]:
    """Rows of what was expected, columns of what was said by the rows' letters; a dot is none."""
    names = sorted({name for pair in counts for name in pair})
    letters = dict(zip(names, string.ascii_lowercase, strict=False))
    width = max(map(len, names), default=8) + 4
    lines = [f"{'expected':<{width}}" + "".join(f"{letter:>4}" for letter in letters.values())]
    for name, letter in letters.items():
        cells = "".join(f"{counts.get((name, said), 0) or '.':>4}" for said in names)
        lines.append(f"{letter}  {name}".ljust(width) + cells)
    return lines


def table(cases: Sequence[Case]) -> str:
    """The table as Markdown: what is expected of every case."""
    lines = ["| proxy | fault | verdict | hop | remedy |", "|---|---|---|---|---|"]
    for case in cases:
        row = keeper.row(case)
        advice = row.sentence(NAMES[case.known]).replace("|", "\\|") if row else ""
        lines.append(f"| {case.proxy} | {case.fault} | `{case.expected}` | {case.hop} | {advice} |")
    return "\n".join(lines) + "\n"


def exceptions(reasons: Mapping[str, str]) -> str:
    """The rows of remedies that nothing here causes, by their reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    return "".join(f"- {', '.join(names)}: {reason}.\n" for reason, names in by_reason.items())


def part(page: str, name: str) -> str:
    """What stands between the marks of this name."""
    begin, end = _marks(name)
    return page.partition(begin)[2].partition(end)[0]


def write(name: str, content: str) -> None:
    """Put it between the marks of this name in the document."""
    page = DOCUMENT.read_text()
    begin, end = _marks(name)
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    DOCUMENT.write_text(f"{before}{begin}{content}{end}{after}")


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
