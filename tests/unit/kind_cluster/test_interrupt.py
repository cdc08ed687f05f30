"""Ctrl-C in a step ends it with a sentence and nothing left behind; the same command goes on afterwards."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import ahead, steps, tools

ROOT = Path(__file__).resolve().parents[3]
COMMAND = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs these tests may have called them with `nohup`
os.geteuid = lambda: 0  # no step of this file does anything that needs root
from tests.cluster import command, {module}
sys.exit(command.run(lambda: {call}, failed="error", interrupted="interrupted"))
"""
WAITS = '#!/bin/sh\necho $$ >> "$STARTED"\nexec sleep 600\n'
"""A program in the middle of its work."""
WORKS = '#!/bin/sh\nwhile [ $# -gt 0 ]; do if [ "$1" = -o ]; then : > "$2"; fi; shift; done\n'
"""The same, done at once; like `go build` it writes the file after -o."""
SECONDS = 60


@dataclass(frozen=True)
class Phase:
    """A step, and the program that it waits for."""

    module: str
    call: str
    program: str
    build: str = ""
    """The Go build that holds the program; none if it is looked up on PATH."""


PHASES = (
    Phase("tools", "tools.build('helm')", "go"),
    Phase("tools", "tools.source('helm', 'helm.sh/helm/v4')", "go"),
    Phase("packages", "packages.install(('jq',), 'a test')", "apt-get"),
    Phase("docker", "docker.running()", "docker"),
    Phase("kind", "kind._create('', closed=True)", "kind", build="node"),
    Phase("demo", "demo._endpoint()", "kubectl", build="apiserver"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """For programs and cache; what a test started there ends with it, also when the test itself is interrupted."""
    for name in ("bin", "cache/state", "cache/tools"):
        (tmp_path / name).mkdir(parents=True)
    yield tmp_path
    for pid in started_in(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def started_in(folder: Path) -> Iterator[int]:
    """Every process that was started for this folder, known by its environment."""
    mark = f"STARTED={folder / 'started'}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if mark in (process / "environ").read_bytes().split(b"\0"):
                yield int(process.name)


def place(folder: Path, name: str, text: str, build: str = "") -> None:
    """Put a program on PATH, or where its Go build would have left it."""
    parent = folder / "bin"
    if build:
        parent = folder / "cache" / "tools" / f"{build}-{tools.BUILDS[build].digest}"
        parent.mkdir(exist_ok=True)
    path = parent / name
    path.write_text(text)
    path.chmod(0o755)


def started(folder: Path, module: str, call: str) -> subprocess.Popen[str]:
    """The step as a process group of its own, as a shell starts it."""
    environment = os.environ | {
        "STREAMING_CACHE": str(folder / "cache"),
        "STARTED": str(folder / "started"),
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
    }
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(module=module, call=call)],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pids(folder: Path) -> list[int]:
    """The programs that have been started, oldest first."""
    path = folder / "started"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def state(pid: int) -> str:
    """As /proc tells it: S sleeps, Z has ended and was not waited for; empty: there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return ""


def waits_for_a_program(folder: Path, process: "subprocess.Popen[str]", count: int = 1) -> bool:
    """Whether that many were started and the command waits: a signal that comes while it starts one loses it."""
    return len(pids(folder)) >= count and state(process.pid) == "S"


def alive(pid: int) -> bool:
    return state(pid) not in ("", "Z")


def interrupted(folder: Path, module: str, call: str) -> tuple[int, str]:
    """Ctrl-C while the step's program works, as a terminal sends it; exit code and last line."""
    process = started(folder, module, call)
    before = len(pids(folder))
    eventually(lambda: len(pids(folder)) > before or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    _, text = process.communicate(timeout=SECONDS)
    assert "Traceback" not in text
    return process.returncode, text.splitlines()[-1]


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.call.partition("(")[0])
def test_ctrl_c_ends_a_step_with_one_sentence(folder: Path, phase: Phase) -> None:
    """Exit code 130, no traceback, and the program that the step waited for is gone."""
    place(folder, phase.program, WAITS, phase.build)
    assert interrupted(folder, phase.module, phase.call) == (130, "interrupted")
    eventually(lambda: not any(alive(pid) for pid in pids(folder)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_cancelled_job_ends_as_by_ctrl_c(folder: Path, number: signal.Signals) -> None:
    """Only the command itself is told; the program that it waits for ends with it."""
    place(folder, "go", WAITS)
    process = started(folder, "tools", "tools.build('helm')")
    eventually(lambda: waits_for_a_program(folder, process) or process.poll() is not None)
    process.send_signal(number)
    _, text = process.communicate(timeout=SECONDS)
    assert (process.returncode, text.splitlines()[-1]) == (130, "interrupted")
    eventually(lambda: not any(alive(pid) for pid in pids(folder)))


def test_an_interrupted_build_is_made_by_the_next_call(folder: Path) -> None:
    """What was half-made does not stand in its way."""
    place(folder, "go", WAITS)
    interrupted(folder, "tools", "tools.build('helm')")
    place(folder, "go", WORKS)
    again = started(folder, "tools", "tools.build('helm')")
    _, text = again.communicate(timeout=SECONDS)
    assert again.returncode == 0, text
    made = folder / "cache" / "tools" / f"helm-{tools.BUILDS['helm'].digest}" / "helm"
    assert made.exists()


KIND = """#!/bin/sh
case $1 in
create)
    if [ -e "$STARTED.node" ]; then echo "ERROR: failed to create cluster: node(s) already exist for x" >&2; exit 1; fi
    echo new > "$STARTED.node" ;;
delete) rm "$STARTED.node" ;;
esac
"""


def test_a_node_that_the_engine_was_still_making_at_ctrl_c_is_replaced(folder: Path) -> None:
    """It was not there yet when the next call looked for what is left over."""
    place(folder, "kind", KIND, build="node")
    place(folder, "docker", '#!/bin/sh\ntest -e "$STARTED.node"\n')
    place(folder, "kubectl", WORKS, build="apiserver")
    (folder / "started.node").write_text("of the call that was interrupted\n")
    again = started(folder, "kind", "kind._create('', closed=False)")
    _, text = again.communicate(timeout=SECONDS)
    assert again.returncode == 0, text
    assert (folder / "started.node").read_text() == "new\n"


def test_who_waits_for_another_process_can_be_interrupted(folder: Path) -> None:
    """The lock is the other's; who waits for it leaves it alone."""
    place(folder, "go", WAITS)
    working = started(folder, "tools", "tools.build('helm')")
    eventually(lambda: len(pids(folder)) == 1)
    waiting = started(folder, "tools", "tools.build('helm')")
    assert waiting.stderr is not None
    assert waiting.stderr.readline() == "    waiting: another process is at work on tools-helm\n"
    os.killpg(waiting.pid, signal.SIGINT)
    assert (waiting.wait(SECONDS), waiting.stderr.read()) == (130, "interrupted\n")
    assert working.poll() is None
    os.killpg(working.pid, signal.SIGINT)
    working.communicate(timeout=SECONDS)


def test_an_engine_that_was_starting_at_ctrl_c_is_not_started_twice(folder: Path) -> None:
    """It goes on starting; the next call waits for it, and knows it for ours."""
    place(folder, "docker", '#!/bin/sh\ntest -e "$STARTED.answers"\n')
    place(folder, "dockerd", '#!/bin/sh\necho $$ >> "$STARTED"\nwhile :; do sleep 0.1; done\n')
    assert interrupted(folder, "docker", "docker.ensure()") == (130, "interrupted")
    again = started(folder, "docker", "docker.ensure()")
    assert again.stderr is not None
    assert again.stderr.readline() == "==> start dockerd\n"
    (folder / "started.answers").touch()
    again.communicate(timeout=SECONDS)
    engine, *others = pids(folder)
    assert (again.returncode, others, alive(engine)) == (0, [], True)
    assert (folder / "cache/state/dockerd.pid").read_text() == f"{engine}\n"


NETWORK = """#!/bin/sh
case "$*" in
"network inspect kind --format"*) echo kind0 ;;
"network inspect kind") test -e "$STARTED.network" ;;
"network create "*) echo $$ >> "$STARTED"; while ! [ -e "$STARTED.network" ]; do sleep 0.05; done ;;
esac
"""


def test_two_that_need_the_network_at_once_make_it_once(folder: Path) -> None:
    """The second waits for the first, and finds its network."""
    place(folder, "docker", NETWORK)
    place(folder, "iptables", "#!/bin/sh\n")
    first = started(folder, "network", "network.close()")
    eventually(lambda: len(pids(folder)) == 1)
    second = started(folder, "network", "network.close()")
    assert second.stderr is not None
    assert second.stderr.readline() == "    waiting: another process is at work on network\n"
    (folder / "started.network").touch()
    assert (first.wait(SECONDS), second.wait(SECONDS), len(pids(folder))) == (0, 0, 1)
    first.communicate()
    second.communicate()


def test_two_that_need_the_engine_at_once_start_it_once(folder: Path) -> None:
    """The second waits for the first, and finds its engine."""
    place(folder, "docker", '#!/bin/sh\ntest -e "$STARTED.answers"\n')
    place(folder, "dockerd", '#!/bin/sh\necho $$ >> "$STARTED"\nwhile :; do sleep 0.1; done\n')
    first = started(folder, "docker", "docker.ensure()")
    eventually(lambda: len(pids(folder)) == 1)
    second = started(folder, "docker", "docker.ensure()")
    assert second.stderr is not None
    assert second.stderr.readline() == "    waiting: another process is at work on engine\n"
    (folder / "started.answers").touch()
    first.communicate(timeout=SECONDS)
    second.communicate(timeout=SECONDS)
    assert (first.returncode, second.returncode, len(pids(folder))) == (0, 0, 1)


def test_an_unforeseen_error_is_a_sentence_with_its_log(folder: Path) -> None:
    """What nobody foresaw ends as a failure as well: what it was, and where its traceback is."""
    failing = started(folder, "cache", "1 / 0")
    _, text = failing.communicate(timeout=SECONDS)
    log = folder / "cache" / "logs" / "unforeseen.log"
    assert failing.returncode == 1
    assert text == (
        "error: ZeroDivisionError: division by zero\n"
        f"    details: {log}\n"
        "    what to do: try again; if it comes back, report it with this file\n"
    )
    assert "Traceback" in log.read_text()


BESIDE = "exec('with ahead.beside(): tools.build(\\'node\\')', {'ahead': ahead, 'tools': ahead.tools})"


def test_what_is_made_beside_a_build_ends_with_it(folder: Path) -> None:
    """Ctrl-C in the build ends both, with the programs that each of them waited for."""
    place(folder, "go", WAITS)
    place(folder, "mmdebstrap", WAITS)
    place(folder, "apt-get", WAITS)
    process = started(folder, "ahead", BESIDE)
    eventually(lambda: len(pids(folder)) > 1 or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    _, text = process.communicate(timeout=SECONDS)
    assert (process.returncode, text.splitlines()[-1]) == (130, "interrupted")
    eventually(lambda: not any(alive(pid) for pid in pids(folder)))


def test_a_piece_that_fails_beside_a_build_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever needs it tries again, and reports it; the others are there when they are needed."""
    made = []

    def fails() -> None:
        raise steps.Failure("no mirror answers")

    ahead.make([fails, lambda: made.append("helm")])
    assert made == ["helm"]
    assert capsys.readouterr().err == "left to who needs it: no mirror answers\n"
