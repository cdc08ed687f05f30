"""Whatever a user may apply as it lies here is taken word for word by a real API server."""

from pathlib import Path

import pytest
import yaml

from tests.apiserver.client import Object
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.documents import every_field, fields_of

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
SAMPLES = sorted((MANIFESTS / "samples").glob("*.yaml"))


def documents(path: Path) -> list[Object]:
    """The objects of a file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_applies(path: Path, control_plane: ControlPlane, namespace: str) -> None:
    """Every sample is accepted with strict field validation, and nothing in it is dropped or changed."""
    for sample in documents(path):
        sample["metadata"]["namespace"] = namespace
        stored = control_plane.apply(sample)
        assert missing(sample["spec"], stored["spec"]) == {}


def test_every_field_is_shown_by_a_sample() -> None:
    """Whoever looks for a field finds a file with it that a cluster takes."""
    shown = {path for file in SAMPLES for sample in documents(file) for path in fields_of(sample["spec"])}
    assert sorted(every_field() - shown) == []


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_says_what_it_shows(path: Path) -> None:
    """A sample begins with a comment for the one who chooses among them."""
    assert path.read_text().startswith("# ")


def test_plain_manifests_apply(control_plane: ControlPlane) -> None:
    """manifests/install.yaml is accepted, in its order, with strict field validation."""
    for document in documents(MANIFESTS / "install.yaml"):
        namespace = document["metadata"].get("namespace")
        if document["kind"] == "Namespace" or namespace is None:
            control_plane.apply(document)
        else:
            assert control_plane.apply(document)["metadata"]["namespace"] == namespace


def missing(sample: Object, stored: Object) -> Object:
    """The fields of *sample* that *stored* has not, or has with another value."""
    different: Object = {}
    for key, value in sample.items():
        if isinstance(value, dict) and isinstance(stored.get(key), dict):
            if inner := missing(value, stored[key]):
                different[key] = inner
        elif value != stored.get(key):
            different[key] = value
    return different
