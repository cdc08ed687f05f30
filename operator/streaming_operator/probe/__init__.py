"""
The streaming probe: bytes with arrival times go in, a verdict with its hop, evidence and remedy comes out.

`answer`, `http1`, `http2`, `sse`, `formats`, `timeline`, `verdict`, `remedies`, `request` and `safety` are pure,
and `tls` talks to memory only; `wire` and `listening` are the only importers of sockets; `hops` is the only one that
knows the order in which hops are asked, `checks` what is asked of them beside the stream, `gauges` reads the engine's
own metrics. `plan` turns an endpoint into a question, `verifier` asks it beside the passes; nothing here talks to the
API server.
"""

from streaming_operator.probe.endpoint_plan import Occasion, plan_for
from streaming_operator.probe.http.guard import Guard, api_server
from streaming_operator.probe.http.request import ApiKey
from streaming_operator.probe.plan import Plan
from streaming_operator.probe.runner import Verifier

__all__ = ["ApiKey", "Guard", "Occasion", "Plan", "Verifier", "api_server", "plan_for"]
