"""What an answer of the API server means: its status code and text as one of our errors. Pure."""

from typing import Any

from streaming_operator.errors import (
    ClusterError,
    Conflict,
    Expired,
    Forbidden,
    KindMissing,
    NamespaceGone,
    NotFound,
    Rejected,
    Unreachable,
)

LONGEST_MESSAGE = 512
"""Characters of the API server's text that go into a condition."""

_BY_CODE: dict[int, type[ClusterError]] = {
    400: Rejected,
    401: Forbidden,
    405: Rejected,
    409: Conflict,
    410: Expired,
    413: Rejected,
    415: Rejected,
    422: Rejected,
}


def error_of(code: int, body: Any, doing: str) -> ClusterError:
    """The error that an answer with *code* is; *doing* says what was tried: `write Service demo/chat`."""
    status = body if isinstance(body, dict) else {}
    text = str(status.get("message") or body or "no text").strip()[:LONGEST_MESSAGE]
    if code == 403:
        kind = _forbidden(status, text)
    elif code == 404:
        kind = _not_found(status)
        if kind is KindMissing:
            text = "the API server does not serve this kind"
    else:
        kind = _BY_CODE.get(code, Unreachable)
    error = kind(f"cannot {doing}: {text} (HTTP {code})")
    if isinstance(error, Rejected):
        causes = (status.get("details") or {}).get("causes") or ()
        error.fields = tuple(str(cause["field"]) for cause in causes if cause.get("field"))
    return error


def _forbidden(status: dict[str, Any], text: str) -> type[ClusterError]:
    """403 is what RBAC says, but also quotas, admission webhooks and a namespace that is being deleted."""
    causes = (status.get("details") or {}).get("causes") or ()
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return NamespaceGone
    return Forbidden if " cannot " in text and "User " in text else Rejected


def _not_found(status: dict[str, Any]) -> type[ClusterError]:
    """
    Which resource a 404 is about.

    For an object the API server names it in `details`; for a kind that it does not serve it sends the plain text
    `404 page not found`; a write into a missing namespace names the namespace.
    """
    details = status.get("details") or {}
    if not details.get("name"):
        return KindMissing
    return NamespaceGone if details.get("kind") == "namespaces" else NotFound


def retry_after(header: str | None, longest: float = 30.0) -> float:
    """Seconds that a Retry-After header asks for, 1 when it cannot be read, at most *longest*."""
    try:
        return min(max(float(header or 1), 0.1), longest)
    except ValueError:
        return 1.0
