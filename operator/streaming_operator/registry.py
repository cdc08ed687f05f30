"""
Finds the members of a plug-in package: every module of it is imported, what it offers is keyed by name.

A new route or engine is one file: nothing here, and no list anywhere else, names the members.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any


class DuplicateMemberError(ValueError):
    """Two modules of one package offer a member of the same name."""


def members(package: ModuleType, attribute: str) -> Mapping[str, Any]:
    """
    Import every module of `package` and key the value of its `attribute` by that value's `name`.

    Modules without the attribute (the protocol's own) are no members.
    Raises `DuplicateMemberError` on doubles.
    """
    found: dict[str, Any] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        member = getattr(module, attribute, None)
        if member is None:
            continue
        if member.name in found:
            raise DuplicateMemberError(
                f"{package.__name__}: {member.name!r} is offered twice, by {info.name}.py too"
            )
        found[member.name] = member
    return MappingProxyType(found)
