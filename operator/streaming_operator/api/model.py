"""The part of `spec` that says which model is served: where its weights come from, and by which names."""

from typing import Annotated, ClassVar

from pydantic import Field

from streaming_operator.api.cel import CEL, Model, exactly_one
from streaming_operator.api.types import AbsolutePath, ConfigKey, DnsName


def no_parent(field: str, optional: bool) -> CEL:
    """A path without `..` parts."""
    unset = f"!has(self.{field}) || " if optional else ""
    return CEL(
        f"{unset}!self.{field}.split('/').exists(part, part == '..')",
        lambda model: ".." not in (getattr(model, field) or "").split("/"),
        "must not contain '..' as a part",
        f".{field}",
    )


class SecretKeyRef(Model):
    """A key of a Secret in the endpoint's own namespace."""

    name: DnsName
    """Name of the Secret."""
    key: ConfigKey = "token"
    """Key within the Secret."""


class ApiKeySecretRef(SecretKeyRef):
    """The API key that clients must send."""

    key: ConfigKey = "api-key"
    """Key within the Secret."""


class HuggingFaceSource(Model):
    """Weights from the Hugging Face hub, loaded by the engine at start."""

    repo: Annotated[
        str, Field(max_length=200, pattern=r"^[a-zA-Z0-9][-._a-zA-Z0-9]*/[a-zA-Z0-9][-._a-zA-Z0-9]*$")
    ]
    """Repository, `organisation/name`."""
    revision: Annotated[str, Field(max_length=128, pattern=r"^[a-zA-Z0-9][-._a-zA-Z0-9]*$")] | None = None
    """Branch, tag or commit; pin it so that a restart loads the same weights."""
    token_secret_ref: SecretKeyRef | None = None
    """Access token for gated models."""


class PersistentVolumeClaimSource(Model):
    """Weights on a volume of the cluster."""

    claim_name: DnsName
    """Name of the PersistentVolumeClaim."""
    path: Annotated[str, Field(max_length=1024, pattern=r"^[._a-zA-Z0-9][-._a-zA-Z0-9/]*$")] | None = None
    """Folder within the volume, relative; the volume's root if unset."""
    read_only: bool = True
    """Mount the volume read-only."""

    cel: ClassVar = (no_parent("path", optional=True),)


class LocalSource(Model):
    """Weights that are part of the engine's image."""

    path: AbsolutePath
    """Absolute folder inside the image."""

    cel: ClassVar = (no_parent("path", optional=False),)


class ModelSource(Model):
    """Where the weights come from: exactly one of the members."""

    hugging_face: HuggingFaceSource | None = None
    """From the Hugging Face hub."""
    persistent_volume_claim: PersistentVolumeClaimSource | None = None
    """From a volume of the cluster."""
    local: LocalSource | None = None
    """From the engine's image."""

    cel: ClassVar = (exactly_one("huggingFace", "persistentVolumeClaim", "local"),)


class ServedModel(Model):
    """The model and the name that clients ask for."""

    source: ModelSource
    """Where the weights come from."""
    served_name: Annotated[str, Field(max_length=253, pattern=r"^[a-zA-Z0-9][-._:/a-zA-Z0-9]*$")] | None = (
        None
    )
    """Model name in requests and metrics; the endpoint's name if unset."""
