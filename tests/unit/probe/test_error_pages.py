"""Who refused a request and why, by the pages and objects that gateways, WAFs and providers answer with."""

import json
from dataclasses import replace

import pytest

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.http.response import TLS_ENDED
from streaming_operator.probe.judge.finding import Attempt, Finding
from streaming_operator.probe.judge.verdict import judge
from tests.unit.probe.streams import LAST, chunk, record

JSON, HTML = "content-type: application/json", "content-type: text/html"
SETTINGS = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"


def answered(status: str, body: object, *headers: str, with_key: bool = True) -> Finding:
    """The finding on this response."""
    text = body if isinstance(body, str) else json.dumps(body)
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(text.encode())}", *headers, "", text]
    return judge(Attempt(record([(0.5, "\r\n".join(lines).encode())]), with_key=with_key))


@pytest.mark.parametrize(
    ("status", "body", "header"),
    [
        ("403 Forbidden", "<title>Just a moment...</title>", HTML),
        ("403 Forbidden", "denied", "cf-mitigated: challenge"),
        ("429 Too Many", "<p>solve this CAPTCHA</p>", HTML),
        ("403 Forbidden", "<h1>Access Denied</h1> https://errors.edgesuite.net/1", HTML),
        ("405 Not Allowed", "", "x-amzn-waf-action: captcha"),
        ("403 Forbidden", "The requested URL was rejected. Please consult", HTML),
    ],
)
def test_a_bot_protection_is_no_refused_key(status: str, body: str, header: str) -> None:
    """The client itself is refused, whatever its key."""
    finding = answered(status, body, header)
    assert (finding.verdict, finding.symptom) == (Verdict.UPSTREAM_ERROR, Symptom.CHALLENGE)


@pytest.mark.parametrize(
    ("alert", "symptom"),
    [
        ("tlsv13 alert certificate required", Symptom.CLIENT_CERTIFICATE),
        ("sslv3 alert bad certificate", Symptom.CLIENT_CERTIFICATE),
        ("tlsv1 alert internal error", Symptom.HANDSHAKE),
    ],
)
def test_an_alert_after_the_handshake(alert: str, symptom: Symptom) -> None:
    """TLS 1.3 refuses a client's certificate, or its absence, when the handshake is over for the client."""
    nothing = replace(record([]), broken=f"{TLS_ENDED}{alert}")
    finding = judge(Attempt(nothing))
    assert (finding.verdict, finding.symptom) == (Verdict.TLS_ERROR, symptom)
    assert alert in finding.evidence


@pytest.mark.parametrize("body", [{"error": {"message": "captcha is no model"}}, "<h1>403 Forbidden</h1>"])
def test_a_refused_key_stays_one(body: object) -> None:
    """An object of the server, or a page that says no more."""
    finding = answered("403 Forbidden", body)
    assert (finding.verdict, finding.symptom) == (Verdict.AUTH_REJECTED, Symptom.KEY_REFUSED)


@pytest.mark.parametrize(
    "location", ["https://t.example/cdn-cgi/access/login/x?kid=s3cret", "/oauth2/start", "/sso"]
)
def test_a_login_page_is_told_without_its_query(location: str) -> None:
    """A program has no password: it needs a token of its own."""
    finding = answered("302 Found", "", f"location: {location}")
    assert (finding.verdict, finding.symptom) == (Verdict.AUTH_REJECTED, Symptom.LOGIN)
    assert "s3cret" not in finding.evidence


@pytest.mark.parametrize("location", ["https://llm.example/v1/chat/completions", "/v1/"])
def test_another_redirect_is_not_followed(location: str) -> None:
    """It may lead anywhere, and a key would go with it."""
    finding = answered("301 Moved", "", f"location: {location}")
    assert (finding.verdict, finding.symptom) == (Verdict.ROUTE_NOT_FOUND, Symptom.REDIRECT)


@pytest.mark.parametrize(
    ("status", "symptom"),
    [
        (504, Symptom.GATEWAY_TIMEOUT),
        (522, Symptom.GATEWAY_TIMEOUT),
        (524, Symptom.GATEWAY_TIMEOUT),
        (502, Symptom.BAD_GATEWAY),
        (521, Symptom.BAD_GATEWAY),
        (530, Symptom.BAD_GATEWAY),
        (500, Symptom.UNAVAILABLE),
        (529, Symptom.UNAVAILABLE),
        (413, Symptom.TOO_BIG),
        (429, Symptom.LIMITED),
    ],
)
def test_statuses_of_gateways(status: int, symptom: Symptom) -> None:
    """Cloudflare's own statuses are time-outs and unreachable origins like those of any gateway."""
    assert answered(f"{status} X", "<html>", HTML).symptom is symptom


@pytest.mark.parametrize(
    ("status", "body", "symptom", "words"),
    [
        ("400 Bad Request", [{"error": {"message": "key not valid"}}], Symptom.BAD_REQUEST, "key not valid"),
        ("429 Too Many", [{"error": {"message": "too many"}}], Symptom.BUSY, "too many"),
        ("529 Overloaded", {"type": "error", "error": {"message": "overloaded"}}, Symptom.BUSY, "overloaded"),
        (
            "422 X",
            {"detail": [{"loc": ["body"], "msg": "field required"}]},
            Symptom.BAD_REQUEST,
            "field required",
        ),
        (
            "200 OK",
            {"error": {"message": "no balance", "code": "no_quota"}},
            Symptom.BAD_REQUEST,
            "no balance",
        ),
        ("200 OK", {"error": {"message": "slow down", "code": 429}}, Symptom.BUSY, "slow down"),
        ("200 OK", {"code": "503", "message": "down"}, Symptom.BUSY, "down"),
        (
            "200 OK",
            {"error": {"message": "no such model", "code": 404}},
            Symptom.UNKNOWN_MODEL,
            "no such model",
        ),
    ],
)
def test_the_words_of_an_error_object(status: str, body: object, symptom: Symptom, words: str) -> None:
    """In every shape, and under 200 as well: the server's own words are quoted."""
    finding = answered(status, body, JSON)
    assert (finding.verdict, finding.symptom) == (Verdict.UPSTREAM_ERROR, symptom)
    assert finding.evidence.endswith(words)


def test_an_error_object_in_place_of_events() -> None:
    """Declared as an event stream, and not even followed by a line feed."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    finding = judge(Attempt(record([(0.5, head + chunk(b'{"error": {"message": "no quota"}}') + LAST)])))
    assert (finding.verdict, "no quota" in finding.evidence) == (Verdict.ERROR_IN_STREAM, True)


@pytest.mark.parametrize(
    "data", [SETTINGS, b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n"], ids=["frame", "426"]
)
def test_a_server_that_speaks_http2_alone(data: bytes) -> None:
    """Its first frame is no answer of HTTP/1.1."""
    finding = judge(Attempt(record([(0.1, data)])))
    assert (finding.verdict, finding.symptom) == (Verdict.UNREACHABLE, Symptom.HTTP2_ONLY)
