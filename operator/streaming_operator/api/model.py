"""The part of `spec` that says which model is served: where its weights come from, and by which names."""

from typing import Annotated, ClassVar

from pydantic import Field

from streaming_operator.api.cel import CEL, Model, at_most_one, exactly_one, no_parent
from streaming_operator.api.types import (
    AbsolutePath,
    ConfigKey,
    DnsName,
    ImageReference,
    PullPolicy,
    RelativePath,
    Unique,
)

Repository = Annotated[
    str, Field(max_length=200, pattern=r"^[a-zA-Z0-9][-._a-zA-Z0-9]*/[a-zA-Z0-9][-._a-zA-Z0-9]*$")
]
"""A repository of a hub of models."""
Revision = Annotated[str, Field(max_length=128, pattern=r"^[a-zA-Z0-9][-._a-zA-Z0-9]*$")]
ServedName = Annotated[str, Field(max_length=253, pattern=r"^[a-zA-Z0-9][-._:/a-zA-Z0-9]*$")]


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

    repo: Repository
    """Repository, `organisation/name`."""
    revision: Revision | None = None
    """Branch, tag or commit; pin it so that a restart loads the same weights."""
    token_secret_ref: SecretKeyRef | None = None
    """Access token for gated models."""


class PersistentVolumeClaimSource(Model):
    """Weights on a volume of the cluster."""

    claim_name: DnsName
    """Name of the PersistentVolumeClaim."""
    path: RelativePath | None = None
    """Folder within the volume, relative; the volume's root if unset."""
    read_only: bool = True
    """Mount the volume read-only."""

    cel: ClassVar = (no_parent("path", optional=True),)


class ImageSource(Model):
    """Weights from an OCI image, mounted as a volume; Kubernetes 1.35, or 1.31 with the feature gate ImageVolume."""

    reference: ImageReference
    """The image, `[registry/]name[:tag][@digest]`; it is pulled with imagePullSecrets."""
    path: RelativePath | None = None
    """Folder within the image, relative; its root if unset."""
    pull_policy: PullPolicy = "IfNotPresent"
    """When the kubelet pulls the image."""

    cel: ClassVar = (no_parent("path", optional=True),)


class ModelScopeSource(Model):
    """Weights from ModelScope, loaded by the engine at start; the engine's image must have the package `modelscope`."""

    repo: Repository
    """Repository, `organisation/name`."""
    revision: Revision | None = None
    """Branch, tag or commit; pin it so that a restart loads the same weights."""


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
    """From the engine's image, or a volume that engine.volumeMounts mounts."""
    uri: (
        Annotated[str, Field(max_length=1024, pattern=r"^(s3|gs|az)://[a-zA-Z0-9][-._~/a-zA-Z0-9]*$")] | None
    ) = None
    """
    From an object store, `s3://`, `gs://` or `az://`, streamed by the Run:ai streamer; credentials by engine.envFrom or
    serviceAccountName.
    """
    image: ImageSource | None = None
    """From an OCI image, mounted as a volume."""
    model_scope: ModelScopeSource | None = None
    """From ModelScope."""

    cel: ClassVar = (
        exactly_one("huggingFace", "persistentVolumeClaim", "local", "uri", "image", "modelScope"),
    )


class AdapterRepository(Model):
    """A repository of the hub; the token is that of the model's source."""

    repo: Repository
    """Repository, `organisation/name`."""


class AdapterSource(Model):
    """Where an adapter comes from: exactly one of the members."""

    hugging_face: AdapterRepository | None = None
    """From the Hugging Face hub, loaded by the engine at start."""
    persistent_volume_claim: PersistentVolumeClaimSource | None = None
    """From a volume of the cluster."""
    image: ImageSource | None = None
    """From an OCI image, mounted as a volume."""
    local: LocalSource | None = None
    """From the engine's image or the model's volume."""

    cel: ClassVar = (exactly_one("huggingFace", "persistentVolumeClaim", "image", "local"),)


class Adapter(Model):
    """One LoRA adapter, served under a name of its own."""

    name: ServedName
    """Model name by which clients ask for it; none of the model's own."""
    source: AdapterSource
    """Where it comes from."""


class ServedModel(Model):
    """The model and the name that clients ask for."""

    source: ModelSource
    """Where the weights come from."""
    served_name: ServedName | None = None
    """Model name in requests and metrics; the endpoint's name if unset."""
    served_names: Annotated[tuple[ServedName, ...], Field(min_length=1, max_length=16), Unique()] | None = (
        None
    )
    """Several names of the model instead of one; the first stands in responses and metrics, and is verified."""

    adapters: Annotated[tuple[Adapter, ...], Field(max_length=32), Unique("name")] = ()
    """LoRA adapters that are loaded at start; rank and number at a time are flags of engine.args."""

    cel: ClassVar = (
        at_most_one("servedName", "servedNames"),
        CEL(
            "!has(self.adapters) || !self.adapters.exists(a, has(self.servedName) && a.name == self.servedName || "
            "has(self.servedNames) && a.name in self.servedNames)",
            lambda model: (
                not {adapter.name for adapter in model.adapters}
                & {model.served_name, *(model.served_names or ())}
            ),
            "an adapter needs a name of its own, not one of the model's",
            ".adapters",
        ),
    )
