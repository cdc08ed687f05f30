"""
Responses that are not event streams: no connection, an HTTP error, another service's page. Pure.

It matters who wrote an error: the engine's JSON 404 for an unknown model is not a missing route.
"""

import re
from typing import Any

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.http.http1 import HTTP2_ONLY
from streaming_operator.probe.http.response import TLS_ENDED, Ending, NoResponse, readable
from streaming_operator.probe.judge.finding import Attempt, Finding
from streaming_operator.probe.judge.fingerprint import proxy_of
from streaming_operator.probe.stream.error_shapes import error_in, object_of, parsed
from streaming_operator.probe.stream.timeline import Timeline

_CLIENT_CERTIFICATE = (
    *("no required ssl certificate was sent", "the ssl certificate error", "client certificate required"),
    *("client certificate is required", "no client certificate"),
)
"""Words in which nginx and others ask for a client certificate after the handshake, in lower case."""
_TLS_PORT = ("plain HTTP request was sent to HTTPS port", "sent an HTTP request to an HTTPS server")

_TIMED_OUT = (408, 504, 522, 524, 598, 599)
"""Also Cloudflare's for an origin that accepts no connection, or sends no byte, in time, and those of some proxies."""
_NO_ORIGIN = (502, 520, 521, 523, 525, 526, 527, 530)
"""Also Cloudflare's for an origin that it cannot reach, or that does not answer in HTTP."""
_CHALLENGING = (401, 403, 405, 406, 429, 503)
_WAF_HEADERS = ("cf-mitigated", "x-amzn-waf-action", "x-datadome", "x-sucuri-block", "x-distil-cs")
_WAF_PAGES = (
    *("just a moment", "attention required! | cloudflare", "cf-chl", "checking your browser", "captcha"),
    *("incapsula incident", "request unsuccessful. incapsula", "akamai", "errors.edgesuite.net", "datadome"),
    *("request blocked", "the requested url was rejected", "access denied | ", "web application firewall"),
    *("error code: 1006", "error code: 1009", "error code: 1010", "error code: 1020"),
    *("modsecurity", "mod_security", "not acceptable!"),
    *(
        "vercel security checkpoint",
        "ddos-guard",
        "sucuri website firewall",
        "wordfence",
        "perimeterx",
        "px-captcha",
    ),
)
"""Words of the pages of Cloudflare, Imperva, Akamai, DataDome, AWS, F5, ModSecurity and others, in lower case."""
_WAF_AT_403 = ("microsoft-azure-application-gateway",)
"""On every error page of a gateway, whose 403 is its WAF's."""
_LOGIN = re.compile(
    r"(?i)(log-?in|sign-?in|sso|saml|oauth2?|oidc|authorize|/auth|cdn-cgi/access|cloudflareaccess)"
)


def no_response(attempt: Attempt) -> Finding:
    """The finding where there was no connection, or none that could carry the request."""
    findings = {
        NoResponse.DNS: (Verdict.DNS_UNRESOLVED, Symptom.NAME),
        NoResponse.REFUSED_BY_US: (Verdict.UNREACHABLE, Symptom.FORBIDDEN_ADDRESS),
        NoResponse.KEY: (Verdict.AUTH_REJECTED, Symptom.KEY_BROKEN),
        NoResponse.TLS: (Verdict.TLS_ERROR, Symptom.HANDSHAKE),
        NoResponse.PROXY: (Verdict.UNREACHABLE, Symptom.PROXY),
    }
    cause = attempt.cause or NoResponse.CONNECT
    verdict, symptom = findings.get(cause, (Verdict.UNREACHABLE, Symptom.NO_CONNECTION))
    if cause is NoResponse.TLS and "certificate" in attempt.detail:
        symptom = Symptom.CERTIFICATE
    return Finding(verdict, symptom, attempt.detail)


def no_head(t: Timeline) -> Finding:
    """The finding where the connection ended without the head of a response."""
    if t.ending in (Ending.SILENT, Ending.TOO_LONG, Ending.STALLED):
        return Finding(Verdict.TTFT_EXCEEDED, Symptom.NO_TOKEN, f"no answer within {t.ended_at:.0f} s")
    if t.broken.startswith(TLS_ENDED):
        symptom = Symptom.CLIENT_CERTIFICATE if "certificate" in t.broken else Symptom.HANDSHAKE
        return Finding(Verdict.TLS_ERROR, symptom, f"{t.broken}, before an answer")
    if t.broken == HTTP2_ONLY:
        evidence = f"the answer to a request of HTTP/1.1 is not one: {t.broken}"
        return Finding(Verdict.UNREACHABLE, Symptom.HTTP2_ONLY, evidence)
    if t.ending is Ending.TOO_LARGE:
        evidence = f"more came than is read of one response, and no complete head: {t.broken}"
        return Finding(Verdict.UNREACHABLE, Symptom.TOO_LARGE, evidence)
    why = f"is not HTTP: {t.broken}" if t.broken and t.reads else "ended before an answer"
    return Finding(Verdict.UNREACHABLE, Symptom.NO_CONNECTION, f"the connection {why}")


def http_error(t: Timeline, with_key: bool) -> Finding:
    """The finding of a status other than 200."""
    status, message = t.status or 0, _message(t.body)
    by = f"HTTP {status} from {author_of(t)}" + (f": {message}" if message else "")
    if 400 <= status < 500 and any(words in t.body.lower() for words in _CLIENT_CERTIFICATE):
        evidence = f"{by}: this server asks its clients for a certificate"
        return Finding(Verdict.TLS_ERROR, Symptom.CLIENT_CERTIFICATE, evidence)
    if status in _CHALLENGING and _is_challenge(t):
        evidence = f"{by}: a bot protection refuses the client itself"
        return Finding(Verdict.UPSTREAM_ERROR, Symptom.CHALLENGE, evidence)
    if status in (401, 403):
        symptom = Symptom.KEY_REFUSED if with_key else Symptom.KEY_MISSING
        return Finding(Verdict.AUTH_REJECTED, symptom, by if with_key else f"{by}; no key was sent")
    if 300 <= status < 400:
        return _redirect(t, by)
    if status in (426, 505):
        return Finding(Verdict.UNREACHABLE, Symptom.HTTP2_ONLY, by)
    if status in (404, 405):
        if message and "model" in message.lower():
            return Finding(Verdict.UPSTREAM_ERROR, Symptom.UNKNOWN_MODEL, by)
        symptom = Symptom.WRONG_PATH if _json(t.body) is not None else Symptom.NO_ROUTE
        return Finding(Verdict.ROUTE_NOT_FOUND, symptom, by)
    if status in _TIMED_OUT:
        after = f"{by}, after {t.head_at or 0:.1f} s"
        return Finding(Verdict.UPSTREAM_ERROR, Symptom.GATEWAY_TIMEOUT, after)
    return _wrong_port(t, by) or Finding(Verdict.UPSTREAM_ERROR, _symptom(status, t.body), by)


def _redirect(t: Timeline, by: str) -> Finding:
    location = readable(t.head.header("location") or "nowhere") if t.head else "nowhere"
    if _LOGIN.search(location.partition("?")[0]):
        evidence = f"{by}: redirects to a login page, {location.partition('?')[0]}"
        return Finding(Verdict.AUTH_REJECTED, Symptom.LOGIN, evidence)
    evidence = f"{by}: redirects to {location}, which is not followed"
    return Finding(Verdict.ROUTE_NOT_FOUND, Symptom.REDIRECT, evidence)


def _is_challenge(t: Timeline) -> bool:
    """Whether a WAF or a bot protection wrote this: by its header, or by the page that wants a browser."""
    headers = t.head is not None and any(t.head.header(name) is not None for name in _WAF_HEADERS)
    page = t.body.lower() if _json(t.body) is None else ""
    pages = (*_WAF_PAGES, *_WAF_AT_403) if t.status == 403 else _WAF_PAGES
    return headers or any(words in page for words in pages)


def _symptom(status: int, body: str) -> Symptom:
    """The symptom of an unexpected status; an engine at capacity answers in JSON, proxies do not."""
    if status in (429, 503, 529) and _json(body) is not None:
        return Symptom.BUSY
    if status == 503 and body.startswith("upstream connect error") and "connection termination" in body:
        return Symptom.KEPT_CONNECTION
    symptoms = {413: Symptom.TOO_BIG, 429: Symptom.LIMITED}
    symptoms |= dict.fromkeys(_NO_ORIGIN, Symptom.BAD_GATEWAY)
    return symptoms.get(status, Symptom.UNAVAILABLE if status >= 500 else Symptom.BAD_REQUEST)


def _wrong_port(t: Timeline, by: str) -> Finding | None:
    """nginx and Go servers write an error page where plain HTTP is sent to a TLS port."""
    if t.status == 400 and any(words in t.body for words in _TLS_PORT):
        return Finding(Verdict.TLS_ERROR, Symptom.PLAIN_HTTP, f"{by}: this port speaks https")
    return None


def author_of(t: Timeline) -> str:
    """
    Who seems to have written a response, by its headers and its body; for sentences, never for a decision.
    """
    proxy = proxy_of(t)
    if proxy is not None and (proxy.author or _json(t.body) is None):
        return f"{proxy.proxy} behind {proxy.front}" if proxy.front else str(proxy.proxy)
    server = readable(t.head.header("server") or "") if t.head else ""
    if _json(t.body) is not None:
        through = f" through {proxy.proxy}" if proxy else f" ({server[:40]})" if server else ""
        return f"the model server{through}"
    return server[:40] or "an unidentified server"


def _json(body: str) -> dict[str, Any] | None:
    return object_of(parsed(body))


def _message(body: str) -> str:
    """The message of an error body in JSON, in one line."""
    return error_in(parsed(body)) or ""


def not_a_stream(t: Timeline) -> Finding | None:
    """The finding where the response is not an event stream; None where it is."""
    if t.is_event_stream:
        return None
    kind = readable(t.head.header("content-type") or "no content type")[:60] if t.head else ""
    if ("choices" in t.body and _json(t.body) is not None) or '"chat.completion"' in t.body:
        evidence = f"one whole response ({kind}) after {t.ended_at:.1f} s instead of a stream"
        return Finding(Verdict.BUFFERED, Symptom.NOT_A_STREAM, evidence)
    if message := _message(t.body):
        evidence = f"HTTP {t.status} with an error from {author_of(t)}: {message}"
        return Finding(Verdict.UPSTREAM_ERROR, _symptom_of_code(t.body), evidence)
    by = f"HTTP {t.status} with {kind} from {author_of(t)} instead of an event stream"
    return Finding(Verdict.ROUTE_NOT_FOUND, Symptom.WRONG_PATH, by)


def _symptom_of_code(body: str) -> Symptom:
    """The symptom of an error object under 200, by the HTTP status that many of them hold."""
    fields = _json(body) or {}
    error = fields.get("error")
    code = error.get("code") if isinstance(error, dict) else fields.get("code")
    status = (
        int(code) if isinstance(code, int | str) and str(code).isdecimal() and len(str(code)) == 3 else 400
    )
    return Symptom.UNKNOWN_MODEL if status == 404 else _symptom(status, body)
