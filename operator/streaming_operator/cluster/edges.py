"""
What stands behind a class: the administrator's list first, then the controller that the class names. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from streaming_operator import routes
from streaming_operator.cluster import objects, resources
from streaming_operator.cluster.objects import Cached, Source
from streaming_operator.kinds import Kind
from streaming_operator.routes.base import ExposureKind
from streaming_operator.settings import PREFIX, EdgeSetting, Settings, WrongSetting
from streaming_operator.values import Capabilities, Edge, Listener

REQUEST_TIMEOUT_FEATURE = "HTTPRouteRequestTimeout"


def check(settings: Settings) -> None:
    """Raise `WrongSetting` for a profile that no route serves, or a policy that its route does not have."""
    known = routes.profiles()
    for number, setting in enumerate(settings.edges):
        if setting.profile is not None and setting.profile not in known:
            place = f"{PREFIX}EDGES[{number}].profile"
            raise WrongSetting(f"{place}: known are {', '.join(known)}, not {setting.profile!r}")
    with_policies = routes.with_policies()
    for profile in settings.edge_policies:
        if profile not in with_policies:
            names = ", ".join(with_policies) or "none"
            raise WrongSetting(f"{PREFIX}EDGE_POLICIES: profiles with policies are {names}, not {profile!r}")


def policies(settings: Settings) -> frozenset[Kind]:
    """The kinds of edges' own that the administrator lets the operator write."""
    return frozenset(
        kind
        for route in routes.registry().values()
        if route.profile in settings.edge_policies
        for kind in route.policies
    )


def edge_from_setting(setting: EdgeSetting, recognised: str) -> Edge:
    """The edge that the administrator's setting describes; of the profile of its class where it names none."""
    return Edge(
        profile=setting.profile or recognised,
        service=setting.service,
        http_port=setting.http_port,
        https_port=setting.https_port,
        annotations_prefix=setting.annotations_prefix,
        allowed_annotations=setting.allowed_annotations,
    )


def assumed_classes(settings: Iterable[EdgeSetting]) -> Mapping[Kind, tuple[Cached, ...]]:
    """The classes of the administrator's list as if they had been read, where the operator may read none."""
    classes: dict[Kind, list[Cached]] = {resources.INGRESS_CLASSES: [], resources.GATEWAY_CLASSES: []}
    for setting in settings:
        name = setting.class_name or setting.gateway_class
        body = {"metadata": {"name": name, "uid": "", "resourceVersion": ""}}
        if setting.class_name is not None:
            spec = {"controller": setting.controller}
            stored = objects.cache({**body, "spec": spec}, objects.ingress_class)
            classes[resources.INGRESS_CLASSES].append(stored)
        else:
            spec, status = (
                {"controllerName": setting.controller},
                {"supportedFeatures": [*setting.supported_features]},
            )
            stored = objects.cache({**body, "spec": spec, "status": status}, objects.gateway_class)
            classes[resources.GATEWAY_CLASSES].append(stored)
    return {kind: tuple(stored) for kind, stored in classes.items()}


def capabilities(
    source: Source, settings: tuple[EdgeSetting, ...], policies: Iterable[Kind] = ()
) -> Capabilities:
    """Which optional kinds and which classes there are now; of *policies* those that the cluster has."""
    classes = list(source.every(resources.GATEWAY_CLASSES))
    by_class = gateway_classes(classes, settings)
    return Capabilities(
        prometheus_rules=source.has(resources.PROMETHEUS_RULES),
        backend_tls_policies=source.has(resources.BACKEND_TLS_POLICIES),
        service_monitors=source.has(resources.SERVICE_MONITORS),
        http_routes=source.has(resources.HTTP_ROUTES),
        ingress_classes=ingress_classes(source.every(resources.INGRESS_CLASSES), settings),
        gateway_classes=by_class,
        gateways={
            "/".join(gateway.key): gateway.body["spec"]["gatewayClassName"]
            for gateway in source.every(resources.GATEWAYS)
        },
        listeners={"/".join(gateway.key): listeners(gateway) for gateway in source.every(resources.GATEWAYS)},
        request_timeout_classes=frozenset(
            stored.key[1]
            for stored in classes
            if REQUEST_TIMEOUT_FEATURE in stored.body["features"]
            or routes.takes_request_timeout(by_class[stored.key[1]])
        ),
        policies=frozenset(kind for kind in policies if source.has(kind)),
        ignoring_request_timeout=frozenset(
            name for name, edge in by_class.items() if routes.ignores_request_timeout(edge)
        ),
    )


def ingress_classes(classes: Iterable[Cached], settings: Iterable[EdgeSetting]) -> Mapping[str, Edge]:
    """Every IngressClass of the cluster with what stands behind it."""
    configured = {setting.class_name: setting for setting in settings if setting.class_name}
    return {
        stored.key[1]: _edge("ingress", stored.body["spec"]["controller"], configured.get(stored.key[1]))
        for stored in classes
    }


def gateway_classes(classes: Iterable[Cached], settings: Iterable[EdgeSetting]) -> Mapping[str, Edge]:
    """Every GatewayClass of the cluster with what stands behind it."""
    configured = {setting.gateway_class: setting for setting in settings if setting.gateway_class}
    return {
        stored.key[1]: _edge(
            "httpRoute", stored.body["spec"]["controllerName"], configured.get(stored.key[1])
        )
        for stored in classes
    }


def _edge(kind: ExposureKind, controller: str, setting: EdgeSetting | None) -> Edge:
    """What the controller's value says, refined by the administrator's setting."""
    route = routes.recognised(kind, controller)
    profile = route.profile if route is not None else routes.GENERIC
    edge = Edge(profile=profile) if setting is None else edge_from_setting(setting, profile)
    # Whatever profile is named: where the listeners' ports lie does not follow from what is written.
    either = (route, routes.of_profile(edge.profile))
    return replace(edge, ports_of_pods=any(one is not None and one.ports_of_pods for one in either))


def listeners(gateway: Cached) -> tuple[Listener, ...]:
    """The listeners of a Gateway to which an HTTPRoute can attach."""
    return tuple(
        Listener(
            name=listener["name"],
            port=listener["port"],
            tls=listener["protocol"] in ("HTTPS", "TLS"),
            hostname=listener["hostname"],
            same_namespace=listener["from"] == "Same",
        )
        for listener in gateway.body["listeners"]
        if listener["protocol"] == "HTTP"
        or (listener["protocol"] in ("HTTPS", "TLS") and listener["mode"] == "Terminate")
        if listener["from"] != "None" and (not listener["kinds"] or "HTTPRoute" in listener["kinds"])
    )
