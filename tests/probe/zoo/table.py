"""The whole table, and the rows of remedies that nothing here can cause, each with its reason."""

from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.judge.fingerprint import Proxy
from streaming_operator.probe.judge.remedies import TABLE
from tests.probe.zoo import cases, edge_cases, front_cases, other_cases, url_cases
from tests.probe.zoo.cases import Case

CASES: tuple[Case, ...] = (
    *cases.nginx("nginx-debian", "nginx 1.22"),
    *cases.nginx("nginx", "nginx 1.31"),
    *cases.ingress_nginx(),
    *cases.haproxy("haproxy-debian", "HAProxy 2.6"),
    *cases.haproxy("haproxy", "HAProxy 2.8"),
    *cases.envoy(),
    *cases.envoy_gateway(),
    *cases.contour(),
    *cases.istio(),
    *cases.haproxy_ingress(),
    *edge_cases.f5_nginx_ingress(),
    *edge_cases.nginx_gateway_fabric(),
    *edge_cases.haproxytech_ingress(),
    *edge_cases.kgateway(),
    *edge_cases.cilium(),
    *cases.caddy(),
    *cases.traefik(),
    *cases.http2(),
    *other_cases.in_a_row(),
    *other_cases.of_the_engine(),
    *other_cases.of_strangers(),
    *url_cases.of_urls(),
    *front_cases.of_fronts(),
)

_CLOUD = "a cloud load balancer: its marks and fields are from its documentation"
_UNSEEN = (Proxy.GOOGLE, Proxy.AZURE, "gke", "aws-alb", "azure-agc")
_ALB_CUT = f"{Proxy.ALB}/{Symptom.IDLE_CUT}"
_SHAPES = ("url/bursts of a timer", *(f"{scope}/{Symptom.ONE_EVENT}" for scope in ("url", "any", "engine")))
_CHECKS = (Symptom.OPEN, Symptom.LEFT_RUNNING, Symptom.WRONG_MODEL)


def _not_here() -> dict[str, str]:
    reasons = {}
    for (scope, symptom), row in TABLE.items():
        if scope in _UNSEEN:
            reasons[row.name] = _CLOUD
        elif row.name == _ALB_CUT:
            reasons[row.name] = (
                "a load balancer that leaves no mark in what it passes on: it is named by its error page alone"
            )
        elif scope in (Proxy.KONG, "kong"):
            reasons[row.name] = "there is no package of Kong that the tests could install"
        elif symptom is Symptom.UNCLEAR:
            reasons[row.name] = "no fault: the remedy of an inconclusive verdict"
        elif symptom is Symptom.TOO_LARGE:
            reasons[row.name] = "hostile servers' responses: tests/security/test_parsing_cost.py"
        elif symptom is Symptom.NO_MODEL_LIST:
            reasons[row.name] = "found by the question for the list of models: tests/probe/test_cli.py"
        elif symptom is Symptom.PROXY:
            reasons[row.name] = "a proxy that HTTPS_PROXY names: tests/probe/test_cli_access.py"
        elif row.name in _SHAPES:
            reasons[row.name] = "answers of small servers: tests/probe/test_shapes.py"
        elif symptom in _CHECKS:
            reasons[row.name] = "found by a check besides the stream: tests/probe/test_checks.py"
    return reasons


NOT_HERE: dict[str, str] = _not_here()
