"""Every query of every dashboard brings data from a real Prometheus that scrapes engines and the operator's metrics."""

import asyncio
import math
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import start_http_server

from streaming_operator import metrics
from streaming_operator.api.verification import Verification
from streaming_operator.probe import Verifier
from tests.engines.double.knobs import Knobs
from tests.engines.running import RunningEngine
from tests.monitoring.rules import a_rule
from tests.monitoring.scraped import Prometheus, Sample, a_job, dashboards, filled, prometheus, queries
from tests.probe import proxies
from tests.probe.conftest import plan
from tests.probe.proxies import Proxy

pytestmark = pytest.mark.programs("prometheus-server")

METRICS = Path(__file__).resolve().parents[1] / "contract" / "metrics.txt"
PATHS = {"qwen": proxies.healthy, "held-back": proxies.store_and_forward}
"""Two endpoints, and what their edges do."""
NAMESPACE = "models"
WINDOWS = {"__rate_interval": "1h"}
"""Longer than this file takes on any machine: what was counted at its beginning stays in the window."""
TOKENS = Verification().request.max_tokens
TOKEN_SECONDS = Knobs().inter_token_latency / 1000
VALUES = {"namespace": NAMESPACE, "name": "qwen", "datasource": "prometheus", **WINDOWS}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Two endpoints with an engine each, verified twice by the operator's own verifier; one edge stores responses."""
    with ExitStack() as stack:
        edges, jobs = {}, []
        for name, relay in PATHS.items():
            engine = stack.enter_context(RunningEngine("double", ("--enable-per-request-metrics",)))
            edges[name] = stack.enter_context(Proxy(engine.port, relay)).port
            jobs.append(a_job(name, engine.port, namespace=NAMESPACE, pod=f"{name}-1"))
        server, thread = start_http_server(0, "127.0.0.1", metrics.REGISTRY)
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        jobs.append({**a_job("operator", server.server_port), "honor_labels": True})
        rules = [a_rule(monitoring={"slo": {"target": "99"}})]
        running = stack.enter_context(prometheus(tmp_path_factory.mktemp("prometheus"), jobs, rules))
        for number in (1, 2):
            asyncio.run(verified(edges))
            the_rest()
            for name in PATHS:
                count = f'sum(streamingendpoint_probes_total{{namespace="{NAMESPACE}",name="{name}"}}) == {2 * number}'
                engine = f'sum(vllm:request_success_total{{job="{name}"}}) >= {number}'
                running.until(lambda query=f"({count}) and ({engine})": running.ask(query), "a scrape")
        yield running


async def verified(edges: dict[str, int]) -> None:
    """Verify each endpoint, as the operator does, and count what comes of it."""
    ended = asyncio.Event()
    verifier = Verifier(1, lambda key: ended.set())
    for name, port in edges.items():
        ended.clear()
        verifier.start((NAMESPACE, name), plan([port]))
        await ended.wait()
    await verifier.close()


def the_rest() -> None:
    """What passes count; and a verdict and a success each, since on a busy machine a verification may prove nothing."""
    metrics.count_verification((NAMESPACE, "qwen"), "Exposure", "Streaming")
    metrics.count_verification((NAMESPACE, "held-back"), "Exposure", "Buffered")
    metrics.set_last_success((NAMESPACE, "qwen"), time.time())
    metrics.set_ready((NAMESPACE, "qwen"), True)
    metrics.set_ready((NAMESPACE, "held-back"), False)
    metrics.set_last_success((NAMESPACE, "held-back"), 0.0)
    metrics.count_skipped((NAMESPACE, "qwen"))
    with metrics.PASS_SECONDS.time():
        metrics.PASSES.labels("done").inc()
    metrics.WRITES.labels("Deployment", "patch").inc()
    metrics.UNREADABLE.labels("Pod").inc()
    metrics.WATCH_RESTARTS.labels("Pod").inc()
    metrics.REQUESTS.labels("list", "200").inc()
    metrics.show_watch_ages({"Pod": 12.0})


def numbers(samples: list[Sample]) -> list[float]:
    """The values of all series that have one."""
    values = [float(sample["value"][1]) for sample in samples]
    return [value for value in values if not math.isnan(value)]


ALL = [
    pytest.param(expr, id=f"{name}: {title}: {number}")
    for name, dashboard in dashboards().items()
    for number, (title, expr) in enumerate(queries(dashboard, VALUES))
]


@pytest.mark.parametrize("query", ALL)
def test_a_query_brings_data(watched: Prometheus, query: str) -> None:
    """A number, not a series of none."""
    watched.until(lambda: numbers(watched.ask(query)), query)


def test_variables_offer_what_there_is(watched: Prometheus) -> None:
    """Namespaces and names of the endpoints."""
    offered = set()
    for dashboard in dashboards().values():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] != "query":
                continue
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
            assert asked
            # Until the next scrape, one that comes late leaves nothing.
            query = filled(asked[1], VALUES)
            series = watched.until(lambda query=query: watched.ask(query), variable["definition"])
            offered |= {(variable["name"], sample["metric"][asked[2]]) for sample in series}
    assert offered >= {("namespace", NAMESPACE), ("name", "qwen"), ("name", "held-back")}


def test_a_proxy_that_buffers_shows_between_users_and_engine(watched: Prometheus) -> None:
    """Its users get the first token when the engine has sent the last, half a second later: one panel has both."""
    panel = [
        filled(target["expr"], {**VALUES, "name": "held-back"})
        for panel in dashboards()["streamingendpoint.json"]["panels"]
        if panel["title"] == "First token: users and engine"
        for target in panel["targets"]
    ]
    users, engine = (numbers(watched.ask(query)) for query in panel)
    assert (len(users), len(engine)) == (1, 1)
    assert users[0] > TOKENS * TOKEN_SECONDS / 2


def test_a_dashboard_names_no_series_that_nobody_has() -> None:
    """Engine's are those of the real vLLM, which a contract test compares; the others are the operator's."""
    kinds = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    engines = (line.split()[:2] for line in METRICS.read_text().splitlines() if not line.startswith("#"))
    known = {f"{name}{end}" for name, kind in engines for end in kinds.get(kind, ("_sum", "_count"))}
    for name, kind, _, _ in metrics.described():
        known |= {f"{name}{end}" for end in {**kinds, "counter": ("",)}.get(kind, ("_sum", "_count"))}
    named = {
        word
        for dashboard in dashboards().values()
        for _, expr in queries(dashboard, VALUES)
        for word in re.findall(r"\b(?:vllm:|streamingendpoint[_:])[\w:]+", expr)
    }
    rules = a_rule(monitoring={"slo": {"target": "99"}})["spec"]["groups"]
    known |= {rule.get("record", "") for group in rules for rule in group["rules"]}
    assert (named - known, bool(named)) == (set(), True)


def test_panels_do_not_overlap() -> None:
    """Each has a place and a number of its own; Grafana would move them about."""
    for name, dashboard in dashboards().items():
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels), name
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            grid = panel["gridPos"]
            cells = {
                (column, line)
                for column in range(grid["x"], grid["x"] + grid["w"])
                for line in range(grid["y"], grid["y"] + grid["h"])
            }
            assert (taken & cells, max(column for column, _ in cells) < 24) == (set(), True), panel["title"]
            taken |= cells
