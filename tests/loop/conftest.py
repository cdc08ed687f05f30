"""Which tests run on the jumping clock: those that have no socket and no thread."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.unit.virtual_time import VirtualTimeLoop

VIRTUAL = (
    "test_answers.py",
    "test_gateway_services.py",
    "test_rate_limits.py",
    "test_slots.py",
    "test_verification.py",
)


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop of each test."""
    if item.path.name in VIRTUAL:
        return {"virtual time": VirtualTimeLoop}
    return {"real time": asyncio.new_event_loop}
