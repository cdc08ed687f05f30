"""
A kind of the Kubernetes API and its address; the key of an object. Known to renderer, routes and client alike.

Who renders a kind defines it; what else the operator reads is in `cluster/resources.py`.
"""

from dataclasses import dataclass

Key = tuple[str, str]
"""`(namespace, name)` of an object; the namespace is empty for kinds of the whole cluster."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the API."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    optional: bool = False
    """Whether the kind is a CRD that a cluster may lack."""

    @property
    def group_path(self) -> str:
        """`/api/v1` or `/apis/<group>/<version>`."""
        return f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Address of a collection, object or subresource; without a namespace, of the whole cluster."""
        parts = [self.group_path]
        if self.namespaced and namespace is not None:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        parts.extend(part for part in (name, subresource) if part is not None)
        return "/".join(parts)
