"""
AWS Application Load Balancers by AWS' own controller: targets are pods, asked at the engine's health path, and drain.

The silence of 60 s after which a load balancer cuts is its own attribute, which the Ingresses of a group share, and
which fails for all of them where two say different things: the administrator's, so never written.
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.kinds import Kind
from streaming_operator.routes.base import (
    ASK,
    HEALTH_PATH,
    Route,
    exposure_of,
    policy,
    remarks,
    service_target,
)
from streaming_operator.routes.gateway_api import http_route
from streaming_operator.routes.ingress_generic import is_safe, portable_ingress, unless_given
from streaming_operator.values import Capabilities, Edge, Manifest

PREFIX = "alb.ingress.kubernetes.io"
TARGET_GROUPS = Kind(
    "gateway.k8s.aws/v1beta1", "TargetGroupConfiguration", "targetgroupconfigurations", optional=True
)
IDLE_SECONDS = 60
"""Default of the load balancer's `idle_timeout.timeout_seconds`."""
LONGEST_DRAIN_SECONDS = 3600
"""Largest `deregistration_delay.timeout_seconds`."""
DRAIN = "deregistration_delay.timeout_seconds"
_SETTING = (
    "idle_timeout.timeout_seconds in loadBalancerAttributes (of the IngressClassParams, or of the Gateway's "
    "LoadBalancerConfiguration)"
)
_IDLE = ASK + f"to raise {_SETTING}, or set engine.sseKeepAliveSeconds below it"
REMEDIES: Mapping[Symptom, str] = {
    Symptom.IDLE_CUT: _IDLE,
    Symptom.GATEWAY_TIMEOUT: _IDLE,
    Symptom.UNAVAILABLE: (
        f"the target group has no healthy pod: its targets must be of type ip and be asked at {HEALTH_PATH}, which the "
        "operator writes on an Ingress, and for a Gateway where edgePolicies of its chart names aws-alb"
    ),
}


class AwsAlb(Route):
    """AWS Load Balancer Controller by an Ingress or by the Gateway API."""

    name = "aws-alb"
    profile = "aws-alb"
    title = "AWS Application Load Balancer"
    controllers: ClassVar = {
        "ingress": ("ingress.k8s.aws/alb", "eks.amazonaws.com/alb"),
        "httpRoute": ("gateway.k8s.aws/alb",),
    }
    policies = (TARGET_GROUPS,)
    speaks_tls = True
    proxies = ("", "AWS load balancer")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The Ingress with the annotations of its target group, or the HTTPRoute and the Service's target group."""
        drain = str(min(endpoint.spec.rollout.drain_seconds, LONGEST_DRAIN_SECONDS))
        with_tls = endpoint.spec.engine.tls is not None
        if exposure_of(endpoint).ingress is None:
            group: Manifest = {
                "targetType": "ip",
                "healthCheckConfig": {"healthCheckPath": HEALTH_PATH},
                "targetGroupAttributes": [{"key": DRAIN, "value": drain}],
                **({"protocol": "HTTPS"} if with_tls else {}),
            }
            spec = {"targetReference": service_target(endpoint), "defaultConfiguration": group}
            return (http_route(endpoint, capabilities), policy(TARGET_GROUPS, endpoint, spec))
        values = {
            "target-type": "ip",
            **({} if _checks_health(endpoint) else {"healthcheck-path": HEALTH_PATH}),
            "target-group-attributes": f"{DRAIN}={drain}",
            **({"backend-protocol": "HTTPS"} if with_tls else {}),
        }
        own = unless_given(endpoint, {f"{PREFIX}/{key}": value for key, value in values.items()})
        return (portable_ingress(endpoint, own),)

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """Those that are safe whichever controller reads them; what a user says of health checks takes precedence."""
        return is_safe(annotation)

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """A silence that the endpoint allows and the load balancer does not, and targets that it cannot reach."""
        exposure, said = exposure_of(endpoint), []
        if exposure.ingress is None and not set(self.policies) <= capabilities.policies:
            said.append(
                "the targets of an ALB's Gateway are node ports, which the endpoint's Service does not have, unless a "
                "TargetGroupConfiguration says ip: the administrator can let the operator write it (edgePolicies of "
                "the chart: aws-alb)"
            )
        if (idle := exposure.timeouts.idle_seconds) > IDLE_SECONDS:
            said.append(
                f"exposure.timeouts.idleSeconds is {idle}, and an ALB cuts a silence after {IDLE_SECONDS} s unless its "
                f"administrator raised {_SETTING}"
            )
        return remarks(said)


def _checks_health(endpoint: StreamingEndpoint) -> bool:
    """Whether the user says how targets are asked, on Ingress or Service: code, port and path belong together."""
    exposure = exposure_of(endpoint)
    given = {
        **endpoint.spec.service.annotations,
        **(exposure.ingress.annotations if exposure.ingress else {}),
    }
    names = {key.removeprefix(f"{PREFIX}/") for key in given if key.startswith(f"{PREFIX}/")}
    return any(name == "success-codes" or name.startswith("healthcheck-") for name in names)


ROUTE: Route = AwsAlb()
