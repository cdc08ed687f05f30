"""Only the container engine that we started is ever stopped."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import docker
from tests.cluster.programs import listed


@pytest.fixture
def pid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "dockerd.pid"
    monkeypatch.setattr(docker, "PID_FILE", path)
    return path


@pytest.fixture
def process(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A program of the wanted name that waits."""
    program = shutil.copy(shutil.which("sleep") or "", tmp_path / request.param)
    running = subprocess.Popen(listed([program, "60"]))
    while Path(f"/proc/{running.pid}/comm").read_text().strip() != request.param:
        time.sleep(0.01)
    yield running
    running.kill()
    running.wait()


@pytest.mark.parametrize("process", ["dockerd"], indirect=True)
def test_our_engine_is_stopped_and_forgotten(process: subprocess.Popen[bytes], pid_file: Path) -> None:
    """The process of the pid file ends, and the file goes with it."""
    pid_file.write_text(f"{process.pid}\n")
    assert docker.stop()
    assert process.wait(10) != 0
    assert not pid_file.exists()


@pytest.mark.parametrize("process", ["another"], indirect=True)
def test_a_number_that_another_program_has_now_is_left_alone(
    process: subprocess.Popen[bytes], pid_file: Path
) -> None:
    """After a reboot the number in the file may belong to anybody."""
    pid_file.write_text(f"{process.pid}\n")
    assert not docker.stop()
    assert process.poll() is None


def test_without_a_pid_file_nothing_is_stopped(pid_file: Path) -> None:
    """An engine that was running before us stays."""
    assert not docker.stop()
