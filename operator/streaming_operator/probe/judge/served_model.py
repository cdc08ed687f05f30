"""
Whether a model server's list of models has the model that the spec names. Pure; docs/decisions/0037 has the reasons.

Only vLLM says what it loaded: `root` is the model argument. A list without vLLM's mark says nothing about that
(SGLang's `root` is the served name again, llama.cpp has none), and neither does an adapter, whose `root` is its own.
"""

from collections.abc import Mapping
from typing import Any

from streaming_operator.probe.http.response import readable

_SHOWN = 4
"""Names of a list that are quoted."""
_NAME_LENGTH = 100


def another_model(models: object, name: str, source: str, *, quotes: bool = True) -> str | None:
    """
    The evidence that the list *models*, the body of `/v1/models`, is of another model than *source* served as *name*;
    None where it is of that model, or does not say. Without *quotes* it holds no name of the list.
    """
    data = models.get("data") if isinstance(models, Mapping) else None
    entries = [entry for entry in data if _is_of_vllm(entry)] if isinstance(data, list) else []
    if not entries:
        return None
    named = [entry for entry in entries if entry.get("id") == name]
    if not named:
        names = ", ".join(_shown(entry.get("id")) for entry in entries[:_SHOWN])
        return f"the model server lists {names if quotes else 'other names'}, not {name}"
    root = named[0].get("root")
    if named[0].get("parent") or not isinstance(root, str) or not root or _is_same(root, source):
        return None
    served = _shown(root) if quotes else "another model"
    return f"the model server serves {served} as {name}, the spec names {source}"


def _is_of_vllm(entry: Any) -> bool:
    return isinstance(entry, Mapping) and entry.get("owned_by") == "vllm" and isinstance(entry.get("id"), str)


def _is_same(root: str, source: str) -> bool:
    """A repository in any case, as the hub has it; a folder, or what a cache made of a repository."""
    if root.rstrip("/").lower() == source.rstrip("/").lower():
        return True
    # An image that downloads by itself serves a folder, whose name need not be the repository's.
    return root.startswith("/") and not source.startswith("/")


def _shown(name: object) -> str:
    return readable(str(name))[:_NAME_LENGTH]
