"""
Structured logs of the operator: one JSON object a line, or plain text for people.

Constant messages with fields; manifests, bodies and secrets are never logged.
"""

import logging
import sys
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

from streaming_operator.foreign_text import readable, readable_lines


class _ReadableFormatter(logging.Formatter):
    """Plain text whose records cannot drive a terminal or look like several: only a traceback has lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name in logging
        """One line a record."""
        return readable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """The record with its traceback."""
        return readable_lines(super().format(record))


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
        handler.setFormatter(_ReadableFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("kopf", "aiohttp", "asyncio", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
