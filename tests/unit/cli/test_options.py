"""What people type becomes a target: every usual form of a URL, an address, HTTP/2, and what may be shown of it."""

import pytest

from streaming_operator.api.reasons import Hop
from streaming_operator.cli import options
from streaming_operator.cli.options import RequestOptions
from streaming_operator.probe.http.request import Api


@pytest.mark.parametrize(
    ("url", "api", "path"),
    [
        ("x", None, "/v1/chat/completions"),
        ("x/", None, "/v1/chat/completions"),
        ("x/v1", None, "/v1/chat/completions"),
        ("x/openai/v1/", None, "/openai/v1/chat/completions"),
        ("x/v1/completions", None, "/v1/completions"),
        ("x/v1/responses", None, "/v1/responses"),
        ("x/v1/responses", "chat", "/v1/chat/completions"),
        ("x/v1/chat/completions", "completions", "/v1/completions"),
        ("x/v1/chat/completions?version=2", None, "/v1/chat/completions?version=2"),
    ],
)
def test_path_of_the_api(url: str, api: Api | None, path: str) -> None:
    """A base, its /v1, or the path of any of the APIs; the option wins over the path."""
    assert options.target(Hop.EXPOSURE, f"http://{url}", None, RequestOptions(api)).path == path


@pytest.mark.parametrize(
    ("url", "via", "expected"),
    [
        ("x", None, ("http", "x", 80, "x")),
        ("https://x", None, ("https", "x", 443, "x")),
        ("http://x:8000", None, ("http", "x", 8000, "x:8000")),
        ("http://[::1]:8000", None, ("http", "::1", 8000, "[::1]:8000")),
        ("https://x", "10.0.0.7", ("https", "10.0.0.7", 443, "x")),
        ("https://x", "10.0.0.7:8443", ("https", "10.0.0.7", 8443, "x")),
        ("https://x", "fd00::7", ("https", "fd00::7", 443, "x")),
        ("https://x", "[fd00::7]:8443", ("https", "fd00::7", 8443, "x")),
    ],
)
def test_where_to_connect_and_as_whom(url: str, via: str | None, expected: tuple[str, str, int, str]) -> None:
    """--via changes the address alone: host header and server name stay those of the URL."""
    target = options.target(Hop.EXPOSURE, url, via, RequestOptions())
    assert (target.scheme, target.address, target.port, target.host) == expected


def test_http2_is_set_by_the_option() -> None:
    """For every URL of the command."""
    assert [
        options.target(Hop.POD, "x", None, RequestOptions(http2=http2)).http2 for http2 in (False, True)
    ] == [
        False,
        True,
    ]


def test_a_query_is_not_shown() -> None:
    """It may hold a secret."""
    target = options.target(Hop.EXPOSURE, "https://x:8443/v1?key=s3cret", None, RequestOptions())
    assert options.shown(target) == "https://x:8443/v1/chat/completions"
