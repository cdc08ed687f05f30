"""The whole table, and the rows of remedies that nothing here can cause, each with its reason."""

from streaming_operator.probe.judge.finding import Symptom
from streaming_operator.probe.judge.fingerprint import Proxy
from streaming_operator.probe.judge.remedies import TABLE
from tests.probe.zoo import cases, other_cases
from tests.probe.zoo.cases import Case

CASES: tuple[Case, ...] = (
    *cases.nginx("nginx-debian", "nginx 1.22"),
    *cases.nginx("nginx", "nginx 1.31"),
    *cases.ingress_nginx(),
    *cases.haproxy("haproxy-debian", "HAProxy 2.6"),
    *cases.haproxy("haproxy", "HAProxy 2.8"),
    *cases.envoy(),
    *cases.caddy(),
    *cases.traefik(),
    *cases.http2(),
    *other_cases.in_a_row(),
    *other_cases.of_the_engine(),
    *other_cases.of_strangers(),
)

_CLOUD = "a load balancer of a cloud: its marks and fields are from its documentation"
_UNSEEN = (Proxy.ALB, Proxy.GOOGLE, Proxy.AZURE, Proxy.CLOUDFLARE)
_CHECKS = (Symptom.OPEN, Symptom.LEFT_RUNNING)


def _not_here() -> dict[str, str]:
    found = {}
    for (scope, symptom), row in TABLE.items():
        if scope in _UNSEEN:
            found[row.name] = _CLOUD
        elif scope == Proxy.KONG:
            found[row.name] = "no package that the tests could install holds Kong"
        elif symptom is Symptom.UNCLEAR:
            found[row.name] = "no fault: what is said where nothing can be judged"
        elif symptom in _CHECKS:
            found[row.name] = "a check beside the stream finds it: tests/probe/test_checks.py"
    return found


NOT_HERE: dict[str, str] = _not_here()
