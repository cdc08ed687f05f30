"""Times as a status holds them: RFC 3339 in UTC, whole seconds."""

from datetime import datetime
from typing import Any


def timestamp(time: datetime) -> str:
    """A time as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(text: Any) -> datetime | None:
    """
    The time that a status holds; None where it cannot be read.

    The CRD's `date-time` allows forms that Python does not read, and a status may come from any writer: an unreadable
    time counts as no time.
    """
    try:
        time = datetime.fromisoformat(str(text).upper())
    except ValueError:
        return None
    return time if time.tzinfo is not None else None
