"""Images made without a daemon: what is in them, and what a receiver is sent."""

import io
import json
import tarfile
from pathlib import Path

from tests.cluster import archive


def layer(folder: Path, name: str, content: str) -> archive.Layer:
    root = folder / name
    root.mkdir()
    (root / "program").write_text(content)
    return archive.write_layer(root, folder / f"{name}.tar", prefix="opt/code")


def sent(image: archive.Image, present: frozenset[str] = frozenset()) -> dict[str, bytes]:
    stream = io.BytesIO()
    archive.write_oci(image, stream, present)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as received:
        return {entry.name: received.extractfile(entry).read() for entry in received}  # type: ignore[union-attr]


def test_the_same_files_make_the_same_layer_whenever_they_were_written(tmp_path: Path) -> None:
    """A layer's digest follows from names and contents alone, so nothing is sent twice."""
    first, second, other = (
        layer(tmp_path, name, text) for name, text in (("a", "x"), ("b", "x"), ("c", "y"))
    )
    assert second.digest == first.digest
    assert first.digest != other.digest


def test_a_layer_lies_where_the_image_wants_it_and_belongs_to_root(tmp_path: Path) -> None:
    """Parents exist in the layer, owners do not depend on who built it."""
    with tarfile.open(layer(tmp_path, "a", "x").path) as packed:
        assert packed.getnames() == ["opt", "opt/code", "opt/code/program"]
        assert {(entry.uid, entry.gid) for entry in packed} == {(0, 0)}


def test_layers_that_the_node_has_are_not_sent_again(tmp_path: Path) -> None:
    """A change of our code costs our code, not the base below it."""
    base, code = layer(tmp_path, "base", "x"), layer(tmp_path, "code", "y")
    blobs = sent(archive.Image("localhost/test:dev", (base, code)), frozenset({base.digest}))
    assert f"blobs/{code.digest.replace(':', '/')}" in blobs
    assert f"blobs/{base.digest.replace(':', '/')}" not in blobs


def test_every_blob_is_named_by_its_digest_and_the_index_by_the_image(tmp_path: Path) -> None:
    """What containerd checks on import holds."""
    image = archive.Image(
        "localhost/test:dev", (layer(tmp_path, "a", "x"),), entrypoint=("run",), user="65532"
    )
    blobs = sent(image)
    for name, content in blobs.items():
        if name.startswith("blobs/"):
            assert f"blobs/{archive.digest(content).replace(':', '/')}" == name
    (manifest,) = json.loads(blobs["index.json"])["manifests"]
    assert manifest["digest"] == image.digest
    assert manifest["annotations"]["io.containerd.image.name"] == image.name
