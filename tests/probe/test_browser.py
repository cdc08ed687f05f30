"""
A page in a real browser, Chromium without a window, that asks an endpoint on another host: `fetch`, a reader, an abort.

The browser asks the edge first whether the page may (CORS). vLLM by itself refuses, so the edge or the server is told.
"""

import json
from pathlib import Path

import pytest

from tests.engines.running import RunningEngine
from tests.probe.clients.browser import Page
from tests.probe.clients.stepwise import Stepwise
from tests.probe.test_clients import ENVOY_WAITS, LEAVES_AFTER, NGINX_WAITS, TOKENS, before, read_one_by_one
from tests.probe.zoo.cases import OFF
from tests.probe.zoo.running import Setup

ALLOWED = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
}
_ADDED = " ".join(f"add_header {name} '{value}' always;" for name, value in ALLOWED.items())
_CORS = "envoy.filters.http.cors"
_KIND = "envoy.extensions.filters.http.cors.v3"
REFUSED = "TypeError: Failed to fetch"
"""All that a page is told; the browser's console has the reason."""
EDGES = {
    # As ingress-nginx has it with the annotation enable-cors.
    "nginx": Setup(
        "nginx",
        f"{OFF} {NGINX_WAITS} {_ADDED} if ($request_method = OPTIONS) {{ {_ADDED} return 204; }}",
    ),
    # As Envoy Gateway has it with a SecurityPolicy, or any Gateway with the CORS filter of an HTTPRoute.
    "envoy": Setup(
        "envoy",
        ENVOY_WAITS,
        json.dumps(
            {
                "filters": [[_CORS, f"{_KIND}.Cors", {}]],
                "virtual_host": {
                    "typed_per_filter_config": {
                        _CORS: {
                            "@type": f"type.googleapis.com/{_KIND}.CorsPolicy",
                            "allow_origin_string_match": [{"safe_regex": {"regex": ".*"}}],
                            "allow_methods": ALLOWED["Access-Control-Allow-Methods"],
                            "allow_headers": ALLOWED["Access-Control-Allow-Headers"],
                        }
                    }
                },
            }
        ),
    ),
    # As Traefik has it with a Middleware.
    "traefik": Setup(
        "traefik",
        '{headers: {accessControlAllowOriginList: ["*"], accessControlAllowMethods: [GET, POST, OPTIONS], '
        "accessControlAllowHeaders: [Authorization, Content-Type], addVaryHeader: true}}",
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.programs(name, "chromium")) for name in EDGES]
)
def test_a_page_reads_a_token_before_the_next_is_sent(name: str, tmp_path: Path) -> None:
    """To the end of the stream; and one that aborts before it, and stays open, has closed the engine's connection."""
    with (
        Stepwise() as engine,
        before(EDGES[name], engine.port, tmp_path / "edge") as edge,
        Page(
            f"http://127.0.0.1:{edge.port}/v1", TOKENS, tmp_path / "browser", leave_after=LEAVES_AFTER
        ) as page,
    ):
        left = engine.next()
        read_one_by_one(page, left, LEAVES_AFTER)
        assert page.line() == {"ending": "left"}
        assert left.gone.wait(120)
        assert page.alive()

        page.ask_again()
        request = engine.next()
        read_one_by_one(page, request, TOKENS)
        request.finish()
        assert page.line() == {"ending": "whole"}


def ending(setup: Setup, folder: Path, *args: str) -> tuple[int, str]:
    """Tokens that a page reads behind this edge before a double with these flags, and what it says of the end."""
    with (
        RunningEngine("double", args) as engine,
        before(setup, engine.port, folder / "edge") as edge,
        Page(f"http://127.0.0.1:{edge.port}/v1", TOKENS, folder / "browser") as page,
    ):
        tokens = 0
        while "ending" not in (line := page.line()):
            tokens += 1
        return tokens, line["ending"]


@pytest.mark.programs("caddy", "chromium")
def test_a_page_of_another_host_is_refused_until_the_server_allows_its_origin(tmp_path: Path) -> None:
    """An edge without such a filter passes on what the server says: `--allowed-origins`, none by default."""
    (tmp_path / "default").mkdir()
    assert ending(Setup("caddy"), tmp_path / "default") == (0, REFUSED)
    (tmp_path / "allowed").mkdir()
    assert ending(Setup("caddy"), tmp_path / "allowed", "--allowed-origins", '["*"]') == (TOKENS, "whole")


@pytest.mark.programs("nginx", "chromium")
def test_a_page_is_refused_where_both_edge_and_server_allow_it(tmp_path: Path) -> None:
    """nginx adds its header to the server's, and a browser takes no two of them: one place has to say it."""
    assert ending(EDGES["nginx"], tmp_path, "--allowed-origins", '["*"]') == (0, REFUSED)
