"""
What to do about each symptom behind a service in front of the cluster that nobody here configures: rows of `remedies`.

Pure. Their marks and limits are from their documentation, read in November 2026; none of them can be run here.
Cloudflare: Proxy Read Timeout, 100 s for long, 120 s today. API Gateway: 29 s and whole responses, or with
responseTransferMode STREAM 15 minutes. Vercel: maxDuration of a function, 10 to 300 s by plan. Netlify: 10 s, or up to
30 s by plan.
"""

from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.judge.fingerprint import Proxy
from streaming_operator.routes.base import ASK

_S = Symptom
_API_GATEWAY = (
    "AWS API Gateway sends whole responses and ends a request after 29 s: set responseTransferMode STREAM and a longer "
    "timeoutInMillis on the integration of a REST API (15 minutes at most), or lead clients past it, by a load balancer"
)
_VERCEL = (
    "Vercel ends a function at its maxDuration, 10 to 300 s by plan: raise maxDuration as far as the plan goes, or "
    "have clients ask the endpoint's own host instead"
)
_NETLIFY = (
    "Netlify ends requests after 10 to 30 s, and a function that does not stream sends its response whole: have "
    "clients ask the endpoint's own host instead"
)
FRONTS: dict[Proxy, dict[Symptom | None, str]] = {
    Proxy.CLOUDFLARE: {
        _S.BLOCK: ASK + "to switch Response Buffering off in Cloudflare's zone",
        _S.GATEWAY_TIMEOUT: (
            "let headers or a keep-alive comment come within 100 s, which is as long as Cloudflare waits for a byte "
            "(engine.sseKeepAliveSeconds)"
        ),
        _S.IDLE_CUT: (
            "let a keep-alive comment come at least every 100 s, which is as long as Cloudflare waits for a byte "
            "(engine.sseKeepAliveSeconds)"
        ),
    },
    Proxy.API_GATEWAY: {
        _S.BLOCK: _API_GATEWAY,
        _S.CONTENT_LENGTH: _API_GATEWAY,
        _S.GATEWAY_TIMEOUT: _API_GATEWAY,
    },
    Proxy.VERCEL: {_S.TOTAL_CUT: _VERCEL, _S.GATEWAY_TIMEOUT: _VERCEL},
    Proxy.NETLIFY: {
        _S.BLOCK: _NETLIFY,
        _S.CONTENT_LENGTH: _NETLIFY,
        _S.TOTAL_CUT: _NETLIFY,
        _S.GATEWAY_TIMEOUT: _NETLIFY,
    },
}
"""By service and symptom."""
