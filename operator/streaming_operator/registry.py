"""
Discovers the members of a plug-in package: imports all its modules and keys what they define by name.

A new route or engine is one file: there is no list of the members.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any


class DuplicateMemberError(ValueError):
    """Two modules of one package define a member of the same name."""


def members(package: ModuleType, attribute: str) -> Mapping[str, Any]:
    """
    Import every module of `package` and key the value of its `attribute` by that value's `name`.

    Modules without the attribute (such as the protocol's) have no member. Raises `DuplicateMemberError`.
    """
    by_name: dict[str, Any] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        member = getattr(module, attribute, None)
        if member is None:
            continue
        if member.name in by_name:
            raise DuplicateMemberError(
                f"{package.__name__}: {member.name!r} is defined twice, by {info.name}.py too"
            )
        by_name[member.name] = member
    return MappingProxyType(by_name)
