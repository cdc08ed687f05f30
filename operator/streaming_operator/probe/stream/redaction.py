"""
Removes the API key from a timeline: some servers quote in a response what they were sent. Pure.
"""

from collections.abc import Iterable
from dataclasses import replace

from streaming_operator.probe.http.request import ApiKey
from streaming_operator.probe.stream.timeline import Timeline


def without_secrets(timeline: Timeline, secrets: Iterable[ApiKey]) -> Timeline:
    """The timeline with each of them replaced."""
    for secret in secrets:
        timeline = without_key(timeline, secret)
    return timeline


def without_key(timeline: Timeline, key: ApiKey | None) -> Timeline:
    """The timeline with the key replaced in every text that can become evidence: headers, body, error event."""
    if key is None:
        return timeline
    head = timeline.head
    if head is not None:
        head = replace(head, headers=tuple((name, key.hidden_in(value)) for name, value in head.headers))
    error = None if timeline.error is None else key.hidden_in(timeline.error)
    return replace(
        timeline,
        head=head,
        body=key.hidden_in(timeline.body),
        error=error,
        broken=key.hidden_in(timeline.broken),
        first_unread=key.hidden_in(timeline.first_unread),
    )
