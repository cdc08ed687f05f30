"""
What to ask with when a server refuses the probe's request for a parameter in it. Pure.

vLLM accepts every parameter that the probe sends; other servers refuse what they do not know (`ignore_eos` is vLLM's
own), or what a model does not take (`temperature`, `max_tokens`). A refusal that names parameters leads to a request
without those, one that names none to a request without any optional one, at last to the other name of the limit.
"""

import re
from dataclasses import replace

from streaming_operator.probe.http.request import OPTIONAL, Api, Wording

REFUSALS = frozenset({400, 422, 501})
"""Statuses of a request that was understood as HTTP and refused for its content."""

_NAMES = {
    "ignore_eos": r"ignore_eos",
    "temperature": r"temperature",
    "n": r"[\"'`]n[\"'`]",
    "stream_options": r"stream_options|include_usage",
    "store": r"store",
}
"""How a message refers to each parameter; one letter needs its quotes."""
_LIMITS = re.compile(r"(?<![\w-])max_(completion_)?tokens(?![\w-])")
_SENT: dict[Api, frozenset[str]] = {
    "chat": frozenset(OPTIONAL) - {"store"},
    "completions": frozenset(OPTIONAL) - {"store"},
    "responses": frozenset(OPTIONAL) - {"n", "stream_options"},
}


def refers_to(wording: Wording, api: Api, message: str) -> frozenset[str]:
    """The optional parameters that were sent and that *message* names, and `limit` where it names the limit."""
    sent = _SENT[api] - wording.left_out
    named = {name for name in sent if re.search(rf"(?<![\w-])(?:{_NAMES[name]})(?![\w-])", message)}
    limit = {"limit"} if api == "chat" and _LIMITS.search(message) else set()
    return frozenset(named | limit)


def fewer(wording: Wording, api: Api, status: int, message: str) -> Wording | None:
    """The wording to ask with after this refusal; None where the parameters are not the cause, or none are left."""
    named = refers_to(wording, api, message)
    if status not in REFUSALS and not (status >= 500 and named):
        return None
    other_limit = api == "chat" and wording.limit == "max_tokens"
    if named - {"limit"} or ("limit" in named and other_limit):
        limit = "max_completion_tokens" if "limit" in named and other_limit else wording.limit
        return Wording(wording.left_out | (named - {"limit"}), limit)
    if not _SENT[api] <= wording.left_out:
        return replace(wording, left_out=_SENT[api])
    return replace(wording, limit="max_completion_tokens") if other_limit else None


def unforced(wording: Wording) -> Wording | None:
    """The wording that lets the model end by itself, which some parsers of its output need; None if it does."""
    if "ignore_eos" in wording.left_out:
        return None
    return replace(wording, left_out=wording.left_out | {"ignore_eos"})


def described(wording: Wording) -> str:
    """What is different from the usual request, as a clause; empty if nothing is."""
    without = [f"without {', '.join(sorted(wording.left_out))}"] if wording.left_out else []
    limit = [f"with {wording.limit}"] if wording.limit != "max_tokens" else []
    return " and ".join(without + limit)
