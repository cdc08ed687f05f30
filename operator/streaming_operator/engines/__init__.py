"""The registry of engines: every module of this package that defines `ENGINE`, keyed by its name."""

import sys
from collections.abc import Mapping
from functools import cache

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.engines.base import Engine
from streaming_operator.registry import members


@cache
def registry() -> Mapping[str, Engine]:
    """All engines by name; raises when two modules define the same name."""
    return members(sys.modules[__name__], "ENGINE")


def select(endpoint: StreamingEndpoint) -> Engine:
    """The engine of an endpoint; `spec.engine` describes vLLM and nothing else so far."""
    return registry()["vllm"]
