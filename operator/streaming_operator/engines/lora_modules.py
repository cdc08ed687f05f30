"""The LoRA adapters that vLLM's own flag names: `--lora-modules sql=org/sql {"name": "fin", "path": "/fin"}`."""

import json
from itertools import takewhile

FLAG = "--lora-modules"


def lora_modules(args: tuple[str, ...]) -> dict[str, str]:
    """The paths of the adapters by their names; of two flags vLLM takes the last. Empty where one cannot be read."""
    adapters: dict[str, str] = {}
    for at, arg in enumerate(args):
        name, equals, first = arg.partition("=")
        if name.replace("_", "-") != FLAG:
            continue
        rest = args[at + 1 :]
        values = [first] if equals else [*takewhile(lambda word: not word.startswith("-"), rest)]
        adapters = dict(filter(None, map(_adapter, values)))
    return adapters


def _adapter(value: str) -> tuple[str, str] | None:
    """Name and path of one adapter, in either form; None for what vLLM would refuse."""
    if value.startswith("{"):
        try:
            given = json.loads(value)
            return str(given["name"]), str(given["path"])
        except (ValueError, KeyError, TypeError):
            return None
    name, equals, path = value.partition("=")
    return (name, path) if equals and name and path else None
