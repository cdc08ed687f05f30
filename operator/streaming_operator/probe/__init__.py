"""
The streaming probe: it sends a completion through every hop and judges when the tokens arrive.

`http` exchanges one request and response, with arrival times; `stream` turns the bytes of a response into a timeline of
events; `judge` turns a timeline into a verdict with its evidence and remedy. `stream` and `judge` are pure.
`verification` knows the order in which hops are asked, `checks` what is checked besides the stream, `gauges` reads the
engine's own metrics. `plan` is everything that one verification needs, `endpoint_plan` makes it for an endpoint,
`credentials` what is sent with it from Secrets, `runner` runs verifications in the background. Nothing here talks to
the API server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streaming_operator.probe.credentials import IDENTITY_KEYS, Credentials, headers_of, identity_of
    from streaming_operator.probe.endpoint_plan import Trigger, plan_for
    from streaming_operator.probe.http.guard import Guard, api_server
    from streaming_operator.probe.http.request import ApiKey
    from streaming_operator.probe.plan import Plan
    from streaming_operator.probe.runner import Verifier

__all__ = [
    "IDENTITY_KEYS",
    "ApiKey",
    "Credentials",
    "Guard",
    "Plan",
    "Trigger",
    "Verifier",
    "api_server",
    "headers_of",
    "identity_of",
    "plan_for",
]

_MODULES = {
    "ApiKey": "http.request",
    "Guard": "http.guard",
    "Credentials": "credentials",
    "Trigger": "endpoint_plan",
    "Plan": "plan",
    "Verifier": "runner",
    "api_server": "http.guard",
    "IDENTITY_KEYS": "credentials",
    "headers_of": "credentials",
    "identity_of": "credentials",
    "plan_for": "endpoint_plan",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: a plan for an endpoint takes the models of the API, a probe of a URL does not."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
