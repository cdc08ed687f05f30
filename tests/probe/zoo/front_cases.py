"""Services in front of a cluster, by doubles of them: what their documentation says, with small limits."""

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.judge.fingerprint import Proxy
from tests.probe import fronts, proxies
from tests.probe.zoo.cases import Case
from tests.probe.zoo.url_cases import cut_at

V, S = Verdict, Symptom
TIMED_OUT = '{"message": "Endpoint request timed out"}'
INVOCATION = "An error occurred with your deployment\n\nFUNCTION_INVOCATION_TIMEOUT\n"


def of_fronts() -> tuple[Case, ...]:
    """One row a limit that is documented."""

    def front(
        proxy: Proxy, fault: str, relay: proxies.Relay, expected: Verdict, symptom: Symptom, **more: object
    ) -> Case:
        name = f"{proxy} (a double)"
        return Case(name, fault, relay, expected, proxy.value, symptom, fingerprint=proxy.value, **more)  # type: ignore[arg-type]

    cloudflare, gateway = fronts.CLOUDFLARE, fronts.API_GATEWAY
    vercel, netlify = fronts.VERCEL, fronts.NETLIFY
    return (
        front(Proxy.CLOUDFLARE, "response buffering", fronts.before(cloudflare, proxies.store_and_forward), V.BUFFERED, S.BLOCK),
        front(Proxy.CLOUDFLARE, "524: no byte in 100 s", fronts.page("524 ", cloudflare), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT),
        front(Proxy.CLOUDFLARE, "a silence of 100 s", fronts.before(cloudflare, proxies.cut(3000, silence=5.2)), V.IDLE_TIMEOUT, S.IDLE_CUT),
        front(Proxy.API_GATEWAY, "stored and forwarded", fronts.before(gateway, proxies.store_and_forward), V.BUFFERED, S.BLOCK),
        front(Proxy.API_GATEWAY, "whole responses", fronts.before(gateway, proxies.with_length), V.BUFFERED, S.CONTENT_LENGTH),
        front(Proxy.API_GATEWAY, "504 after 29 s", fronts.page("504 Gateway Timeout", gateway, TIMED_OUT, "application/json"), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT),
        front(Proxy.ALB, "504 after 60 s", fronts.page("504 Gateway Time-out", fronts.ALB), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT),
        front(Proxy.VERCEL, "maxDuration of a function", fronts.before(vercel, cut_at(1.0)), V.TOTAL_TIMEOUT, S.TOTAL_CUT, tokens=192),
        front(Proxy.VERCEL, "504 FUNCTION_INVOCATION_TIMEOUT", fronts.page("504 Gateway Timeout", vercel, INVOCATION), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT),
        front(Proxy.NETLIFY, "stored and forwarded", fronts.before(netlify, proxies.store_and_forward), V.BUFFERED, S.BLOCK),
        front(Proxy.NETLIFY, "whole responses", fronts.before(netlify, proxies.with_length), V.BUFFERED, S.CONTENT_LENGTH),
        front(Proxy.NETLIFY, "a streaming function of 10 s", fronts.before(netlify, cut_at(1.0)), V.TOTAL_TIMEOUT, S.TOTAL_CUT, tokens=192),
        front(Proxy.NETLIFY, "504 after 10 s", fronts.page("504 Gateway Timeout", netlify), V.UPSTREAM_ERROR, S.GATEWAY_TIMEOUT),
    )  # fmt: skip
