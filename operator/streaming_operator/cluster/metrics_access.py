"""
Who may read the operator's own metrics: the bearer of a token whom the API server authorizes to `get` /metrics.

The rule of kubebuilder's metrics filter: a TokenReview, then a SubjectAccessReview. Decisions are kept for a while, and
unknown tokens are reviewed at a bounded rate for each address: a flood of them costs little, and keeps no other
scraper away.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from streaming_operator.errors import ClusterError
from streaming_operator.kube.client import Transport

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - an address, not a secret
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

KEPT_SECONDS = 60.0
"""How long a decision holds; a right that is taken away works that long."""
MOST_KEPT = 256
"""Decisions that are kept at once."""
NEW_PER_SECOND = 10.0
"""Reviews of tokens that were not allowed before, by the caller's address."""
MOST_REVIEWS = 4
"""Reviews under way at once: they share the connections of the passes."""


class Access(Enum):
    """What a caller gets."""

    ALLOWED = 200
    UNKNOWN = 401
    FORBIDDEN = 403
    UNDECIDED = 503
    """The API server did not decide, or too many new callers ask at once."""


@dataclass(frozen=True, slots=True)
class _Kept:
    access: Access
    until: float


class MetricsAccess:
    """Decides by the API server, and remembers for a while; tokens themselves are not kept."""

    def __init__(self, transport: Transport, clock: Callable[[], float] | None = None) -> None:
        self._transport = transport
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._kept: dict[str, _Kept] = {}
        self._paused: dict[str, float] = {}
        """Address -> when it may show another new token; nobody stays in it for longer than that."""
        self._reviews = 0

    async def decide(self, token: str | None, peer: str) -> Access:
        """Whether the bearer of a token, at an address, may read; None is no token."""
        if not token:
            return Access.UNKNOWN
        digest, now = hashlib.sha256(token.encode()).hexdigest(), self._clock()
        kept = self._kept.get(digest)
        if kept is not None and now < kept.until:
            return kept.access
        known = kept is not None and kept.access is Access.ALLOWED
        if self._reviews >= MOST_REVIEWS or not (known or self._may_ask(peer, now)):
            return Access.UNDECIDED
        self._reviews += 1
        try:
            access = await self._review(token)
        except ClusterError:
            return Access.UNDECIDED
        finally:
            self._reviews -= 1
        self._keep(digest, access, now)
        return access

    def _may_ask(self, peer: str, now: float) -> bool:
        """Whether a new token from this address is reviewed now."""
        self._paused = {address: until for address, until in self._paused.items() if until > now}
        if peer in self._paused:
            return False
        self._paused[peer] = now + 1 / NEW_PER_SECOND
        return True

    def _keep(self, digest: str, access: Access, now: float) -> None:
        """Drops those that were allowed last."""
        self._kept.pop(digest, None)
        if len(self._kept) >= MOST_KEPT:
            order = sorted(
                self._kept, key=lambda one: (self._kept[one].access is Access.ALLOWED, self._kept[one].until)
            )
            del self._kept[order[0]]
        self._kept[digest] = _Kept(access, now + KEPT_SECONDS)

    async def _review(self, token: str) -> Access:
        body: dict[str, Any] = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        reviewed = await self._transport.review(
            TOKEN_REVIEWS, body | {"spec": {"token": token}}, "review the token of a scraper"
        )
        status = reviewed.get("status") or {}
        if not status.get("authenticated"):
            return Access.UNKNOWN
        user = status.get("user") or {}
        spec = {
            "user": user.get("username"),
            "uid": user.get("uid"),
            "groups": user.get("groups") or [],
            "extra": user.get("extra") or {},
            "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        decided = await self._transport.review(ACCESS_REVIEWS, body, "review the rights of a scraper")
        return Access.ALLOWED if (decided.get("status") or {}).get("allowed") else Access.FORBIDDEN
