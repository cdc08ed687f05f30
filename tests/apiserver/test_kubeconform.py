"""kubeconform has nothing to say of what the repository holds and renders, by the schemas of a real API server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.control_plane import ControlPlane
from tests.cluster import tools
from tests.cluster.programs import listed
from tests.e2e.waiting import wait_for
from tests.golden import CASES, untried
from tests.unit.test_chart import EVERYTHING, template

pytestmark = [pytest.mark.apiserver, pytest.mark.programs("kubeconform", "helm")]

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    ROOT / "manifests" / "install.yaml",
    *sorted((ROOT / "crds").glob("*.yaml")),
    *sorted((ROOT / "manifests" / "samples").glob("*.yaml")),
    *sorted(CASES.glob("*/children.yaml")),
)
LOCATION = "{{ .Group }}_{{ .ResourceAPIVersion }}_{{ .ResourceKind }}.json"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def schemas(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the schema of each kind, as the API server publishes it, that allows no unknown field."""
    folder = tmp_path_factory.mktemp("schemas")
    kinds = {(one["apiVersion"], one["kind"]) for file in FILES for one in documents(file)} - untried()

    def missing() -> set[str]:
        publish(control_plane, folder)
        return {named(version, kind) for version, kind in kinds} - {file.name for file in folder.iterdir()}

    # The API server publishes what CRDs say a little after it has taken them.
    wait_for(lambda: not missing(), "the schema of every kind", tell=lambda: f"none: {missing()}")
    return folder


def documents(file: Path) -> list[Document]:
    """The objects of a file."""
    return [document for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader) if document]


def named(version: str, kind: str) -> str:
    """The file that kubeconform looks for by `LOCATION`."""
    group, _, last = version.rpartition("/")
    return f"{group or last}_{last}_{kind.lower()}.json"


def publish(plane: ControlPlane, folder: Path) -> None:
    """Write the schema of each kind that the API server knows now."""
    for path in json.loads(plane.text("/openapi/v3"))["paths"]:
        if not path.startswith(("api/", "apis/")):
            continue
        parts = json.loads(plane.text(f"/openapi/v3/{path}")).get("components", {}).get("schemas", {})
        for name, schema in parts.items():
            kinds = schema.get("x-kubernetes-group-version-kind", ())
            if len(kinds) == 1 and not kinds[0]["kind"].endswith(("List", "Options")):
                version = "/".join(filter(None, (kinds[0]["group"], kinds[0]["version"])))
                (folder / named(version, kinds[0]["kind"])).write_text(json.dumps(alone(name, parts)))


def alone(name: str, parts: Document) -> Document:
    """One schema with those that it names."""
    needed, ahead = {}, [name]
    while ahead:
        part = ahead.pop()
        if part not in needed:
            needed[part] = closed(parts[part])
            ahead += [reference.rsplit("/", 1)[-1] for reference in references(parts[part])]
    return {"$ref": f"#/components/schemas/{name}", "components": {"schemas": needed}}


def references(schema: Any) -> Iterator[str]:
    """What a schema names."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def closed(schema: Any) -> Any:
    """The schema without room for fields that it does not name."""
    if isinstance(schema, list):
        return [closed(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    fields = schema.get("properties")
    if isinstance(fields, dict) and schema.get("type") == "object" and "additionalProperties" not in schema:
        result["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    return result


def findings(schemas: Path, files: list[Path]) -> tuple[list[str], int]:
    """What kubeconform finds in these files, and how many objects it found valid."""
    program = tools.build("kubeconform")["kubeconform"]
    words = [program, "-strict", "-summary", "-output", "json", "-schema-location", f"{schemas}/{LOCATION}"]
    words += ["-skip", ",".join("/".join(kind) for kind in sorted(untried()))]
    done = subprocess.run(listed([*words, *files]), capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    told = [f"{Path(one['filename']).parent.name}/{one['name']}: {one['msg']}" for one in report["resources"]]
    return told, report["summary"]["valid"]


def test_the_chart_is_valid(schemas: Path, tmp_path: Path) -> None:
    """With its default values, and with every object that it can have."""
    helm = tools.build("helm")["helm"]
    for name, values in {"defaults": {}, "everything": EVERYTHING}.items():
        (tmp_path / f"{name}.yaml").write_text(template(helm, values).stdout)
    told, valid = findings(schemas, [tmp_path / "defaults.yaml", tmp_path / "everything.yaml"])
    assert (told, valid > 20) == ([], True)


def test_manifests_samples_and_the_children_of_endpoints_are_valid(schemas: Path) -> None:
    """Every one of them, save policies of edges whose CRDs no package has."""
    every = [(one["apiVersion"], one["kind"]) for file in FILES for one in documents(file)]
    objects = len([kind for kind in every if kind not in untried()])
    assert findings(schemas, list(FILES)) == ([], objects)


def test_a_misspelled_field_is_found(schemas: Path, tmp_path: Path) -> None:
    """The check can fail: of a Deployment deep inside, and of an endpoint."""
    for sample, right, wrong in (
        (CASES / "minimal" / "children.yaml", "terminationGracePeriodSeconds", "terminationGraceSeconds"),
        (ROOT / "manifests" / "samples" / "minimal.yaml", "className", "classname"),
    ):
        text = sample.read_text()
        assert right in text
        changed = tmp_path / f"{right}.yaml"
        changed.write_text(text.replace(right, wrong))
        (told,), _ = findings(schemas, [changed])
        assert wrong in told
