"""Registry mode without an engine: which clients will do, how images are called, what is asked of the user."""

import re
from pathlib import Path

import pytest

from tests.cluster import (
    archive,
    clients,
    engine_images,
    kind,
    lifecycle,
    mirror,
    modes,
    network,
    steps,
    tools,
)
from tests.cluster.versions import BASES, IMAGES, Mode


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing asked for, registry mode decided."""
    for name in ("REGISTRY_MIRROR", "NETWORK", "IMAGES", "ENGINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(modes, "_chosen", ["registry"])


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(path: Path, name: str, prints: str) -> Path:
    """A program that prints this, whatever it is asked."""
    made = path / name
    made.write_text(f"#!/bin/sh\necho '{prints}'\n")
    made.chmod(0o755)
    return made


@pytest.mark.parametrize(
    ("name", "prints", "accepted"),
    [
        ("kind", "kind v0.33.0 go1.26.1 linux/amd64", True),
        ("kind", "kind v0.34.1 go1.27.0 darwin/arm64", True),
        ("kind", "kind v0.31.0 go1.25.0 linux/amd64", False),
        ("kubectl", '{"clientVersion": {"gitVersion": "v1.35.2"}}', True),
        ("kubectl", '{"clientVersion": {"gitVersion": "v1.37.0"}}', True),
        ("kubectl", '{"clientVersion": {"gitVersion": "v1.34.9"}}', False),
        ("kubectl", '{"clientVersion": {"gitVersion": "v1.38.0"}}', False),
        ("helm", "v3.14.0+g123", True),
        ("helm", "v4.3.1", True),
        ("helm", "v3.9.4+gdbc6d8e", False),
        ("helm", "no version at all", False),
    ],
)
def test_a_client_on_the_path_is_taken_where_its_version_will_do(
    path: Path, name: str, prints: str, accepted: bool
) -> None:
    """kubectl within one minor version of the server, kind from the node image's release on, helm from 3.14 on."""
    made = program(path, name, prints)
    if accepted:
        assert clients.find(name) == made
    else:
        with pytest.raises(steps.Failure, match=re.escape(str(made))):
            clients.find(name)


def test_all_missing_clients_are_reported_at_once(path: Path) -> None:
    """One failure, with one command that installs exactly what is missing."""
    program(path, "helm", "v4.3.1")
    with pytest.raises(steps.Failure) as caught:
        clients.require()
    text = str(caught.value)
    assert "kind is not installed; kubectl is not installed" in text
    assert "helm" not in text


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [
        ("Darwin", "arm64", ("brew install kind kubernetes-cli helm",)),
        (
            "Linux",
            "aarch64",
            (
                "kind-linux-arm64",
                "bin/linux/arm64/kubectl",
                "linux-arm64.tar.gz",
                "chmod +x kind kubectl helm",
            ),
        ),
    ],
)
def test_the_command_fits_the_machine(system: str, machine: str, expected: tuple[str, ...]) -> None:
    """Homebrew on macOS; on Linux the projects' own downloads for this machine type."""
    command = clients.install_command(list(clients.CLIENTS), system, machine)
    assert [part for part in expected if part not in command] == []
    assert "\n" not in command


def test_build_mode_asks_no_path_for_clients(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the pinned versions are used, whatever the user has."""
    monkeypatch.setattr(modes, "_chosen", ["build"])
    monkeypatch.setattr(tools, "build", lambda name: {"kind": Path(f"/built/{name}/kind")})
    program(path, "kind", "kind v0.33.0")
    assert clients.find("kind") == Path("/built/node/kind")


@pytest.mark.parametrize("prefix", ["127.0.0.1:5000", "registry.example.com/some/prefix", "mirror/"])
def test_a_mirror_stands_before_every_name_that_is_pulled(
    monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """Upstream's host stays part of the name; what is built here has no mirror."""
    plain = {name: mirror.image(name, "registry") for name in IMAGES["registry"]}
    monkeypatch.setenv("REGISTRY_MIRROR", prefix)
    for name, reference in plain.items():
        behind = reference if name in BASES else f"{prefix.rstrip('/')}/{reference}"
        assert mirror.image(name, "registry") == behind
        assert mirror.image(name, "build") == IMAGES["build"][name]
    assert [mirror.base(name) for name in BASES] == [
        f"{prefix.rstrip('/')}/{base}" for base in BASES.values()
    ]


@pytest.mark.parametrize("prefix", ["https://registry.example.com", "registry.example.com/Upper", "a b"])
def test_a_mirror_that_is_no_prefix_is_refused(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """Before anything is pulled, with an example of what is meant."""
    monkeypatch.setenv("REGISTRY_MIRROR", prefix)
    with pytest.raises(steps.Failure) as caught:
        mirror.configured()
    assert "without a scheme" in str(caught.value)


def test_images_that_are_pulled_have_whole_names() -> None:
    """podman asks for the host, and a mirror in front needs it: docker.io is written out."""
    pulled = [reference for name, reference in IMAGES["registry"].items() if name not in BASES]
    assert [name for name in (*pulled, *BASES.values()) if "." not in name.partition("/")[0]] == []


def test_ours_are_the_same_layers_on_a_published_base() -> None:
    """The Dockerfile adds each layer and repeats the image's settings, so that both modes run the same."""
    layers = tuple(archive.Layer(Path(f"/{name}.tar"), f"sha256:{name}", 1) for name in "ab")
    image = archive.Image(
        "localhost/operator:dev",
        layers,
        ("python3", "-m", "it"),
        ("run",),
        {"PLACE": "/opt/a b"},
        "65532:65532",
        "/tmp",
    )
    assert engine_images.dockerfile(image).splitlines() == [
        "ARG BASE",
        "FROM ${BASE}",
        "ADD layer-0.tar /",
        "ADD layer-1.tar /",
        'ENV PLACE="/opt/a b"',
        "USER 65532:65532",
        "WORKDIR /tmp",
        'ENTRYPOINT ["python3", "-m", "it"]',
        'CMD ["run"]',
    ]


def test_the_node_publishes_its_http_port_on_loopback_in_registry_mode_alone() -> None:
    """Where the engine lives in a virtual machine, the node's own address is not reached."""
    assert "listenAddress: 127.0.0.1" in kind._config("node", "registry")
    assert "extraPortMappings" not in kind._config("node", "build")


@pytest.mark.parametrize(
    ("mode", "asked", "closed"),
    [
        ("build", None, True),
        ("build", "closed", True),
        ("registry", None, False),
        ("registry", "open", False),
    ],
)
def test_the_network_is_closed_in_build_mode_and_open_in_registry_mode(
    monkeypatch: pytest.MonkeyPatch, mode: Mode, asked: str | None, closed: bool
) -> None:
    """Unless it is asked for; nobody's packet filter is touched by surprise."""
    if asked:
        monkeypatch.setenv("NETWORK", asked)
    assert network.should_be_closed(mode) == closed


def test_closing_the_network_of_registry_mode_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root, the message says so."""
    monkeypatch.setenv("NETWORK", "closed")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(steps.Failure, match="needs root"):
        network.should_be_closed("registry")


def test_whoever_cannot_build_is_pointed_to_registry_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root there is another way, and the reason names it."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "IMAGES=registry" in str(lifecycle.available("build"))


def test_registry_mode_asks_for_an_engine_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither root, nor Debian, nor Linux; an engine that does not answer is quoted, of any version."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert "install Docker or Podman" in str(lifecycle.available("registry"))
    docker = program(path, "docker", "Server: running")
    assert lifecycle.available("registry") is None
    docker.write_text(
        "#!/bin/sh\n"
        "if [ $1 = info ]; then echo 'ERROR: Cannot connect to the Docker daemon'; echo 'errors printing info' >&2\n"
        "else echo 'Cannot connect to the Docker daemon' >&2; fi; exit 1\n"
    )
    assert "Cannot connect to the Docker daemon" in str(lifecycle.available("registry"))
