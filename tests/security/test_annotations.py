"""No annotation takes the requests of others or reaches into other namespaces: only listed ones are ever written."""

from dataclasses import replace

import pytest

from streaming_operator import routes
from streaming_operator.api.endpoint import InvalidEndpoint, StreamingEndpoint
from streaming_operator.values import Capabilities, Edge

NGINX = "nginx.ingress.kubernetes.io"
HOSTILE = {
    **{
        f"{NGINX}/{name}": value
        for name, value in {
            "affinity-canary-behavior": "legacy",
            "app-root": "/x",
            "auth-proxy-set-headers": "kube-system/headers",
            "auth-secret": "bank/passwords",
            "auth-signin": "https://evil.example",
            "auth-tls-secret": "bank/ca",
            "auth-url": "http://169.254.169.254/latest",
            "backend-protocol": "FCGI",
            "canary": "true",
            "canary-by-cookie": "always",
            "canary-by-header": "x",
            "canary-by-header-pattern": ".*",
            "canary-by-header-value": "x",
            "canary-weight": "100",
            "canary-weight-total": "1",
            "custom-headers": "bank/headers",
            "custom-http-errors": "404",
            "default-backend": "other",
            "fastcgi-params-configmap": "bank/params",
            "from-to-www-redirect": "true",
            "mirror-host": "evil.example",
            "mirror-target": "http://10.0.0.1$request_uri",
            "modsecurity-transaction-id": "$host",
            "permanent-redirect": "https://evil.example",
            "proxy-cookie-domain": "~.* bank.example",
            "proxy-redirect-to": "http://evil.example",
            "proxy-ssl-secret": "bank/tls",
            "rewrite-target": "/$1",
            "server-alias": "llm.bank.example",
            "session-cookie-domain": "bank.example",
            "ssl-passthrough": "true",
            "temporal-redirect": "https://evil.example",
            "upstream-hash-by": "$http_x",
            "upstream-vhost": "chat.bank.svc",
            "use-regex": "true",
            "x-forwarded-prefix": "/x",
        }.items()
    },
    "acme.cert-manager.io/http01-edit-in-place": "true",
    "alb.ingress.kubernetes.io/actions.x": "{}",
    "alb.ingress.kubernetes.io/certificate-arn": "arn:aws:acm:::bank",
    "alb.ingress.kubernetes.io/conditions.x": "[]",
    "alb.ingress.kubernetes.io/group.name": "shared",
    "alb.ingress.kubernetes.io/group.order": "-1000",
    "alb.ingress.kubernetes.io/load-balancer-attributes": "access_logs.s3.bucket=evil",
    "appgw.ingress.kubernetes.io/override-frontend-port": "443",
    "cert-manager.io/cluster-issuer": "letsencrypt",
    "cert-manager.io/common-name": "llm.bank.example",
    "cert-manager.io/issuer": "letsencrypt",
    "external-dns.alpha.kubernetes.io/hostname": "www.bank.example",
    "external-dns.alpha.kubernetes.io/target": "203.0.113.1",
    "external-dns.kubernetes.io/hostname": "www.bank.example",
    "haproxy-ingress.github.io/auth-url": "http://169.254.169.254/",
    "haproxy-ingress.github.io/server-alias": "llm.bank.example",
    "haproxy.org/path-rewrite": "/",
    "haproxy.org/request-redirect": "evil.example",
    "haproxy.org/route-acl": "hdr(host) -m found",
    "ingress.cilium.io/loadbalancer-mode": "shared",
    "ingress.kubernetes.io/rewrite-target": "/",
    "konghq.com/host-aliases": "llm.bank.example",
    "konghq.com/plugins": "x",
    "kubernetes.io/ingress.global-static-ip-name": "bank",
    "kubernetes.io/tls-acme": "true",
    "networking.gke.io/v1beta1.FrontendConfig": "x",
    "nginx.org/mergeable-ingress-type": "minion",
    "nginx.org/rewrites": "serviceName=x rewrite=/",
    "projectcontour.io/ingress.class": "x",
    "traefik.ingress.kubernetes.io/router.entrypoints": "traefik",
    "traefik.ingress.kubernetes.io/router.middlewares": "kube-system-x@kubernetescrd",
    "traefik.ingress.kubernetes.io/router.priority": "1000000",
    "traefik.ingress.kubernetes.io/router.tls.certresolver": "x",
    "unheard-of.example.com/anything": "x",
}
HARMLESS = (
    f"{NGINX}/limit-rps",
    f"{NGINX}/proxy-body-size",
    f"{NGINX}/whitelist-source-range",
    "haproxy-ingress.github.io/timeout-server",
    "haproxy.org/timeout-server",
    "note",
)
PROFILES = routes.profiles()


def refused(annotations: dict[str, str], edge: Edge | None) -> tuple[str, ...]:
    """Which of these may not be written on that edge; all of them where the API server takes none."""
    ingress = {"className": "edge", "annotations": annotations}
    body = {
        "metadata": {"name": "evil", "namespace": "tenant"},
        "spec": {
            "model": {"source": {"local": {"path": "/model"}}},
            "exposure": {"host": "mine.example", "ingress": ingress},
        },
    }
    classes = {} if edge is None else {"edge": edge}
    try:
        endpoint = StreamingEndpoint.from_body(body)
    except InvalidEndpoint:
        return tuple(sorted(annotations))
    return routes.refused_annotations(endpoint, Capabilities(False, False, classes))


@pytest.mark.parametrize("profile", [*PROFILES, None])
def test_what_may_harm_others_is_refused_on_every_edge(profile: str | None) -> None:
    """Each of them alone, whether the edge is known or not."""
    edge = None if profile is None else Edge(profile=profile)  # type: ignore[arg-type]
    passed = [key for key, value in HOSTILE.items() if refused({key: value}, edge) != (key,)]

    assert passed == []


@pytest.mark.parametrize("route", routes.registry().values(), ids=lambda route: route.name)
def test_no_route_allows_what_may_harm_others(route: routes.base.Route) -> None:
    """A new file in `routes` is held to the same list, also under a prefix of its own."""
    edges = (None, Edge(profile="ingress-nginx", annotations_prefix="edge.example.com"))
    renamed = [key.replace(NGINX, "edge.example.com") for key in HOSTILE]

    assert [key for key in (*HOSTILE, *renamed) for edge in edges if route.allows(key, edge)] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_what_concerns_ones_own_requests_is_allowed(profile: str) -> None:
    """Sizes, time limits and limits of one's own clients need no administrator."""
    assert refused(dict.fromkeys(HARMLESS, "1"), Edge(profile=profile)) == ()  # type: ignore[arg-type]


def test_a_controllers_own_prefix_has_the_same_list() -> None:
    """With `--annotations-prefix` the names are the same, allowed or not."""
    edge = Edge(profile="ingress-nginx", annotations_prefix="edge.example.com")
    asked = {"edge.example.com/limit-rps": "5", "edge.example.com/canary": "true"}

    assert refused(asked, edge) == ("edge.example.com/canary",)


def test_each_gateway_of_a_route_has_to_allow_its_annotations() -> None:
    """The first may be of a class where more is allowed: the controllers of all of them read the one HTTPRoute."""
    public = {"name": "public", "namespace": "infra"}
    route = {"annotations": {"example.com/owner": "a"}, "parentRefs": [{"name": "own"}, public]}
    spec = {
        "model": {"source": {"local": {"path": "/model"}}},
        "exposure": {"host": "mine.example", "httpRoute": route},
    }
    endpoint = StreamingEndpoint.from_body(
        {"metadata": {"name": "evil", "namespace": "tenant"}, "spec": spec}
    )
    cluster = Capabilities(
        service_monitors=False,
        http_routes=True,
        gateway_classes={
            "lax": Edge(profile="generic", allowed_annotations=("example.com/*",)),
            "strict": Edge(profile="generic"),
        },
        gateways={"tenant/own": "lax", "infra/public": "strict"},
    )

    assert routes.refused_annotations(endpoint, cluster) == ("example.com/owner",)
    alone = replace(cluster, gateways={"tenant/own": "lax"})
    assert routes.refused_annotations(endpoint, alone) == ()


def test_the_administrator_can_add() -> None:
    """One annotation by its key, a family by `*` at its end, and only for that edge."""
    added = ("cert-manager.io/cluster-issuer", f"{NGINX}/canary*")
    edge = Edge(profile="ingress-nginx", allowed_annotations=added)
    asked = {
        "cert-manager.io/cluster-issuer": "x",
        "cert-manager.io/cluster-issuers": "x",
        f"{NGINX}/canary": "true",
        f"{NGINX}/canary-weight": "10",
        f"{NGINX}/server-alias": "x.example",
    }

    assert refused(asked, edge) == ("cert-manager.io/cluster-issuers", f"{NGINX}/server-alias")
    assert len(refused(asked, Edge(profile="ingress-nginx"))) == len(asked)
