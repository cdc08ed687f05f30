"""haproxy-ingress is told by the Service, whose annotations precede those of every Ingress to it."""

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.routes.haproxy_ingress import TIMEOUT_SERVER, WITHOUT_DELAY
from streaming_operator.values import Capabilities, Edge

KNOWN = Capabilities(True, True, {"edge": Edge("haproxy-ingress")})


def told(**given: dict[str, str]) -> dict[str, dict[str, str]]:
    """The annotations of Service and Ingress where the user gives these to either."""
    spec = {
        "model": {"source": {"local": {"path": "/m"}}},
        "exposure": {
            "host": "a.example.com",
            "ingress": {"className": "edge", "annotations": given.get("ingress", {})},
            "timeouts": {"idleSeconds": 60},
        },
        "service": {"annotations": given.get("service", {})},
    }
    endpoint = StreamingEndpoint.from_body({"metadata": {"name": "a", "namespace": "chat"}, "spec": spec})
    children = render.children(endpoint, KNOWN)
    return {one["kind"]: one["metadata"].get("annotations", {}) for one in children}


def test_a_limit_of_the_users_ingress_takes_precedence() -> None:
    """It is repeated at the Service, where no Ingress of others overrides it; the Ingress keeps it all the same."""
    made = told(ingress={TIMEOUT_SERVER: "5s"})

    wanted = {WITHOUT_DELAY: "option http-no-delay", TIMEOUT_SERVER: "5s"}
    assert (made["Service"], made["Ingress"]) == (wanted, wanted)


def test_what_the_users_service_says_takes_precedence() -> None:
    """Of these annotations only where the administrator's list lets users write them there."""
    made = told(service={"prometheus.io/scrape": "true", TIMEOUT_SERVER: "5s"})

    assert made["Service"] == {
        "prometheus.io/scrape": "true",
        WITHOUT_DELAY: "option http-no-delay",
        TIMEOUT_SERVER: "5s",
    }
