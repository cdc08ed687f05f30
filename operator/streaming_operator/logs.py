"""
Structured logs of the operator: one JSON object a line, or plain text for people.

Constant messages with fields; manifests, bodies and secrets are never logged.
"""

import logging
import sys
from typing import Literal

from pythonjsonlogger.json import JsonFormatter


def configure(level: str, style: Literal["json", "text"]) -> None:
    """Set up the root logger, and quieten libraries that log every single event."""
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(
            JsonFormatter(
                "%(asctime)s %(levelname)s %(name)s %(message)s",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            )
        )
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("kopf", "aiohttp", "asyncio", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
