"""
Grafana's dashboard model, as far as our dashboards use it: plain JSON of schema version 39 (Grafana 10.4 and later).

Why no library makes it: docs/decisions/0063-dashboards-as-plain-json.md. A panel is a title, what it means and its
queries; where it stands follows from its row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 39
WIDTH = 24
"""Columns of Grafana's grid."""
HEIGHTS = {"stat": 4, "timeseries": 8, "table": 8}
ACROSS = {"stat": 4, "timeseries": 3, "table": 2}
"""Panels of a kind side by side, at most."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Kind = Literal["stat", "timeseries", "table"]
Json = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """A query and the name of its series, with a label's value in place of `{{label}}`."""

    expr: str
    legend: str = "__auto"


@dataclass(frozen=True)
class Panel:
    """One picture. *unit* as Grafana names it; *words* replace numbers; *limits* are where a colour begins."""

    title: str
    about: str
    queries: Sequence[Query]
    kind: Kind = "timeseries"
    unit: str = "short"
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    limits: tuple[tuple[float | None, str], ...] = ((None, "green"),)


@dataclass(frozen=True)
class Row:
    """Panels below a heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Dashboard:
    """*variables* are queries for the values of `$name`; `several` of them can be chosen where it says so."""

    uid: str
    title: str
    about: str
    rows: Sequence[Row]
    variables: dict[str, str] = field(default_factory=dict)
    several: bool = False


def written(dashboard: Dashboard) -> Json:
    """The JSON that Grafana reads. It has no `id`: that is the database's."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": ["streamingendpoints"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "templating": {"list": [_source(), *_variables(dashboard)]},
        "annotations": {"list": []},
        "links": [],
        "panels": list(_panels(dashboard.rows)),
    }


def _source() -> Json:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
    }


def _variables(dashboard: Dashboard) -> Iterator[Json]:
    for name, query in dashboard.variables.items():
        yield {
            "name": name,
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": f"Variable-{name}"},
            "definition": query,
            "refresh": 2,
            "sort": 1,
            "hide": 0,
            "multi": dashboard.several,
            "includeAll": dashboard.several,
            **(
                {"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if dashboard.several else {}
            ),
        }


def _panels(rows: Sequence[Row]) -> Iterator[Json]:
    number, top = 0, 0
    for row in rows:
        number += 1
        grid = {"h": 1, "w": WIDTH, "x": 0, "y": top}
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": grid,
        }
        top += 1
        for line in _lines(row.panels):
            width, height = WIDTH // len(line), HEIGHTS[line[0].kind]
            for place, panel in enumerate(line):
                number += 1
                yield _panel(panel, number, {"h": height, "w": width, "x": place * width, "y": top})
            top += height


def _lines(panels: Sequence[Panel]) -> Iterator[list[Panel]]:
    """Panels of one kind that stand side by side."""
    line: list[Panel] = []
    for panel in panels:
        if line and (panel.kind != line[0].kind or len(line) == ACROSS[panel.kind]):
            yield line
            line = []
        line.append(panel)
    if line:
        yield line


def _panel(panel: Panel, number: int, grid: Json) -> Json:
    thresholds = {
        "mode": "absolute",
        "steps": [{"value": value, "color": color} for value, color in panel.limits],
    }
    words = {value: {"text": text, "color": color} for value, (text, color) in panel.words.items()}
    instant = panel.kind == "table"
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": grid,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "thresholds": thresholds,
                "mappings": [{"type": "value", "options": words}] if words else [],
                **({"min": 0} if panel.kind == "timeseries" else {}),
            },
            "overrides": [],
        },
        "options": _options(panel.kind),
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                "instant": instant,
                "range": not instant,
                **({"format": "table"} if instant else {}),
            }
            for place, query in enumerate(panel.queries)
        ],
        **({"transformations": [_without_time()]} if instant else {}),
    }


def _options(kind: Kind) -> Json:
    if kind == "timeseries":
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if kind == "stat":
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
        }
    return {"showHeader": True}


def _without_time() -> Json:
    hidden = ("Time", "__name__", "container", "endpoint", "instance", "job", "pod", "service")
    return {"id": "organize", "options": {"excludeByName": dict.fromkeys(hidden, True)}}
