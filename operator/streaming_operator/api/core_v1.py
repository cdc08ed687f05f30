"""
Parts of core/v1 that a spec hands on to the pods: plain data in Python, Kubernetes' own schema in the CRD.

`core_v1.json` is made from Kubernetes' OpenAPI document by `make generate` (hack/core_v1.py), for the types that are
named here and what they contain. A new one is a line here (docs/decisions/0039-core-v1-by-its-own-schema.md).
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

FILE = "core_v1.json"
KEYWORD = "x-core-v1"
"""Stands in a model's JSON schema for the name of a type; `crd.py` puts the type's schema in its place."""
PREFIX = "core.v1."
"""Before the names in `FILE`, so that none is that of a model of ours."""


@dataclass(frozen=True, slots=True)
class CoreV1:
    """Marks plain data of this type. The API server that receives the children checks what no schema can say."""

    name: str

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "object", KEYWORD: self.name}


Affinity = Annotated[dict[str, Any], CoreV1("Affinity")]
Container = Annotated[dict[str, Any], CoreV1("Container")]
EnvFromSource = Annotated[dict[str, Any], CoreV1("EnvFromSource")]
EnvVarSource = Annotated[dict[str, Any], CoreV1("EnvVarSource")]
PersistentVolumeClaimTemplate = Annotated[dict[str, Any], CoreV1("PersistentVolumeClaimTemplate")]
PodSecurityContext = Annotated[dict[str, Any], CoreV1("PodSecurityContext")]
SecurityContext = Annotated[dict[str, Any], CoreV1("SecurityContext")]
Toleration = Annotated[dict[str, Any], CoreV1("Toleration")]
TopologySpreadConstraint = Annotated[dict[str, Any], CoreV1("TopologySpreadConstraint")]
Volume = Annotated[dict[str, Any], CoreV1("Volume")]
VolumeMount = Annotated[dict[str, Any], CoreV1("VolumeMount")]


@cache
def definitions() -> dict[str, dict[str, Any]]:
    """Structural schemas by name, with the names of others as `$ref`; every text, list and map is bounded."""
    file = resources.files("streaming_operator.api").joinpath(FILE)
    read: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return read
