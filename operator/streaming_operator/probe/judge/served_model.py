"""
Whether a model server's list of models has what the spec names. Pure; docs/decisions/0037 has the reasons.

Only vLLM says what it loaded: `root` is the model argument, or an adapter's. A list without vLLM's mark says nothing
about that (SGLang's `root` is the served name again, llama.cpp has none).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from streaming_operator.probe.http.response import readable

NO_ADAPTERS: Mapping[str, str] = MappingProxyType({})
_SHOWN = 4
"""Names of a list that are quoted."""
_NAME_LENGTH = 100


def another_model(
    models: object,
    served: Mapping[str, str],
    adapters: Mapping[str, str] = NO_ADAPTERS,
    *,
    quotes: bool = True,
) -> str | None:
    """
    The evidence that the list *models*, the body of `/v1/models`, is not of these sources, by the names that they are
    *served* as, and of these *adapters*; None where it is, or does not say. Without *quotes* it holds no name of the
    list.
    """
    data = models.get("data") if isinstance(models, Mapping) else None
    entries = [entry for entry in data if _is_of_vllm(entry)] if isinstance(data, list) else []
    if not entries:
        return None
    by_name = {entry["id"]: entry for entry in reversed(entries)}
    if missing := [name for name in (*served, *adapters) if name not in by_name]:
        names = ", ".join(_shown(entry.get("id")) for entry in entries[:_SHOWN])
        return (
            f"the model server lists {names if quotes else 'other names'}, not {', '.join(missing[:_SHOWN])}"
        )
    # A name of the model that is listed with a parent is an adapter, which only the arguments know.
    models_own = {name: source for name, source in served.items() if not by_name[name].get("parent")}
    for name, source in (*models_own.items(), *adapters.items()):
        root = by_name[name].get("root")
        if isinstance(root, str) and root and not _is_same(root, source):
            loaded = _shown(root) if quotes else "another model"
            return f"the model server serves {loaded} as {name}, the spec names {source}"
    return None


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
