"""
What tests need besides this repository: built, installed or started before the first test that asks for it.

Once in a run, by whichever process comes first, and outside of the test's time limit. What cannot be had skips its
tests with the reason; under CI it fails them.
"""

import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from tests.cluster.steps import Failure
from tests.lanes.run_folder import folder


@dataclass(frozen=True)
class Need:
    """One thing to have; `make` returns what its tests want to know of it, as JSON can hold it."""

    name: str
    make: Callable[[], object]

    def outcome(self) -> "Outcome":
        """What came of it, now or earlier in this run."""
        path = folder() / f"{self.name}.json"
        with path.with_suffix(".lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not path.exists():
                path.write_text(json.dumps(self._attempt()))
        return Outcome(**json.loads(path.read_text()))

    def _attempt(self) -> dict[str, object]:
        try:
            return {"value": self.make()}
        except Failure as failure:
            return {"missing": str(failure)}
        except Exception as error:  # noqa: BLE001 - it would end the worker with all its other tests
            return {"missing": f"{self.name} cannot be prepared: {type(error).__name__}: {error}"}


@dataclass(frozen=True)
class Outcome:
    """What came of it: a value, or the reason why there is none."""

    value: object = None
    missing: str = ""


def needs(item: pytest.Item) -> list[Need]:
    """What a test needs, by its markers."""
    marked = {marker.name for marker in item.iter_markers()}
    all_needs = []
    if "cluster" in marked:
        all_needs.append(CLUSTER)
    if "apiserver" in marked:
        all_needs.append(CONTROL_PLANE)
    if "real_vllm" in marked:
        all_needs.append(VLLM_IMAGE if "cluster" in marked else VLLM)
    for marker in item.iter_markers("programs"):
        all_needs += [Need(name, partial(_program, name)) for name in marker.args]
    for marker in item.iter_markers("rehearsal"):
        all_needs.append(Need("-".join(("rehearsal", *marker.args)), partial(_rehearsal, *marker.args)))
    return all_needs


def unavailable(reason: str) -> None:
    """End the test: skipped where a person looks on, failed where nobody would notice."""
    if os.environ.get("CI"):
        pytest.fail(f"under CI nothing may be missing: {reason}", pytrace=False)
    pytest.skip(reason)


def _cluster() -> int:
    """Cluster and operator, made or brought up to date; the mark in the audit log where this run begins."""
    from tests import cluster
    from tests.cluster import kind
    from tests.e2e import audit, release

    cluster.up()
    kind.set_gpus(kind.GPUS)
    for path in cluster.crds("monitoring"):
        kind.apply(path.read_text())
    since = audit.mark()
    release.install()
    return since


def _control_plane() -> None:
    from tests.apiserver import control_plane
    from tests.cluster import apiserver_binaries

    apiserver_binaries()
    control_plane.optional_crds()


def _vllm() -> None:
    from tests.engines.vllm.install import InstallError
    from tests.engines.vllm.installed import model

    try:
        model()  # on a busy machine its training takes minutes, which a test has not
    except InstallError as reason:
        raise Failure(f"the real vLLM cannot be installed: {reason}") from reason


def _vllm_image() -> None:
    from tests import cluster

    cluster.load("vllm")


def _rehearsal(part: str, release: str) -> dict[str, float]:
    """Minutes when an installation script has changed, else nothing; the commands with the seconds each took."""
    from hack import rehearsal

    return rehearsal.without_cluster(part, release)


def _program(name: str) -> None:
    from tests.cluster import tools
    from tests.probe.clients.installed import PROGRAMS as CLIENTS
    from tests.probe.packages import PROGRAMS as PROXIES
    from tests.probe.packages import Missing

    install = PROXIES.get(name) or CLIENTS.get(name) or partial(tools.build, name)
    try:
        install()
    except Missing as missing:
        raise Failure(str(missing)) from missing


CLUSTER = Need("cluster", _cluster)
CONTROL_PLANE = Need("control-plane", _control_plane)
VLLM, VLLM_IMAGE = Need("vllm", _vllm), Need("vllm-image", _vllm_image)
