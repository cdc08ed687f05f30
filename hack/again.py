"""
Asks tests that failed in the gate once more, alone: `python3 -m hack.again LOG SECONDS`, called by `.ci/run`.

Exit code 0 only if every failed test has passed at the second time. What may be asked again, and why:
docs/decisions/0067-asked-again-alone.md. Standard library only: the gate's Python may not be that of .venv.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.cluster.programs import listed

MOST = 5
ENOUGH = 600
"""Seconds that are left for it at least."""
FAILED = Path(".pytest_cache/v/cache/lastfailed")
JUDGES = ("tests/e2e/test_kstatus.py", "tests/e2e/test_rbac.py")
"""They judge what all the others did in the same run: alone they have nothing to judge."""
BROKEN = re.compile(r"^!!!|INTERNALERROR|crashed while running|crashed worker", re.MULTILINE)
"""A run that pytest did not bring to its end, or not with every process that it began with."""
SUMMARY = re.compile(
    r"^=+ (.*\b(?:passed|failed|errors?|skipped|no tests ran)\b.*) in [0-9.]+s.* =+$", re.MULTILINE
)


def counts(log: str) -> dict[str, int]:
    """Of the last summary: `{"failed": 1, "passed": 7}`."""
    found = SUMMARY.findall(log)
    pairs = re.findall(r"(\d+) ([a-z]+)", found[-1]) if found else []
    return {name.removesuffix("s") if name == "errors" else name: int(number) for number, name in pairs}


def refusal(log: str, failed: list[str], seconds: int) -> str:
    """Why these tests are not asked again; empty if they are."""
    counted = counts(log)
    if BROKEN.search(log) or not re.search(r": test\] Error 1$", log, re.MULTILINE):
        return "the run did not come to its end"
    if not 0 < len(failed) <= MOST:
        return f"{len(failed)} tests failed, and at most {MOST} are"
    if counted.get("failed", 0) + counted.get("error", 0) != len(failed):
        return "not every failure is one of a test"
    if strange := [name for name in failed if "::" not in name or name.startswith(JUDGES)]:
        return f"{strange[0]} is no test that can be asked alone"
    if seconds < ENOUGH:
        return f"{seconds} s are left, and {ENOUGH} are needed"
    return ""


def main(path: Path, seconds: int) -> int:
    """The exit code of the gate."""
    failed = list(json.loads(FAILED.read_text())) if FAILED.exists() else []
    why = refusal(path.read_text(errors="replace"), failed, seconds)
    if why:
        print(f"==> nothing is asked again: {why}", flush=True)
        return 1
    print("==> asked again, alone:", *failed, sep="\n", flush=True)
    given = os.environ.get("PYTEST", "")
    words = f"{given} --session-timeout={seconds - 60} --last-failed --last-failed-no-failures=none"
    made = subprocess.Popen(
        listed(["make", "test"]),
        env=os.environ | {"LANES": "0", "PYTEST": words},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert made.stdout is not None
    with path.open("a") as log:
        for line in made.stdout:
            log.write(line)
            print(line, end="", flush=True)
    told = counts(path.read_text(errors="replace"))
    passed = {name: told[name] for name in told if name not in ("deselected", "warning", "warnings")}
    if made.wait() != 0 or passed != {"passed": len(failed)}:
        print("==> not all of them passed at the second time", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
