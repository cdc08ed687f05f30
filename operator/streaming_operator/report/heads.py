"""
The heads of a request and of its response, for `--verbose`: as curl prints them, with secrets masked. Pure.
"""

from streaming_operator.foreign_text import readable
from streaming_operator.probe.http.request import Request
from streaming_operator.probe.stream.timeline import Timeline

_SECRET = frozenset({"set-cookie", "www-authenticate", "proxy-authenticate", "authentication-info"})
"""Headers of a response that may hold a session or a challenge that belongs to one."""


def lines(request: Request, timeline: Timeline) -> tuple[str, ...]:
    """`> ` before what was sent, `< ` before what came; the texts of a server are made safe to show."""
    sent = [f"> {line}" for line in request.shown()]
    head = timeline.head
    if head is None:
        return (*sent, f"< no answer: {timeline.ending.value}", "")
    received = [readable(f"< {name}: {'***' if name in _SECRET else value}") for name, value in head.headers]
    return (*sent, readable(f"< {head.version} {head.status}"), *received, "")
