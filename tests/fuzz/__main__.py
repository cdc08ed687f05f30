"""
`python -m tests.fuzz`: the promise of `promise.py` against inputs that a coverage-guided fuzzer makes.

It begins with the seeds, keeps what reaches new code in the cache for the next run, and ends after FUZZ_SECONDS
(60). What breaks the promise is written to `fuzz-findings/` and ends the run with its traceback: fix the parser and
keep the input in `corpus/`.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster import cache
from tests.cluster.programs import listed

HERE = Path(__file__).resolve().parent
FINDINGS = HERE.parents[1] / "fuzz-findings"
LOCK = HERE / "requirements.lock"
LONGEST = 8192
"""Bytes of an input: below the size at which a parser may give up on a header that does not end."""
SLOWEST = 5
"""Seconds that one input may take."""
COST_ASKED = 512
"""Bytes up to which an input is asked for its work, which takes twenty times as long as the work."""
INSTRUMENTED = ["streaming_operator.probe", "h11", "h2", "hpack", "hyperframe"]


def installed() -> Path:
    """The fuzzer's folder in the cache, filled now if need be."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"

    def install(folder: Path) -> None:
        print("fuzz: installing atheris (37 MB, once)", file=sys.stderr, flush=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        only = ["--only-binary", ":all:", "--require-hashes", "--target", str(folder), "-r", str(LOCK)]
        subprocess.run(listed([*pip, *only]), check=True)

    return cache.folder("fuzz", f"atheris-{python}", cache.key(LOCK), install)


def main() -> int:
    """Fuzz in this process; the fuzzer itself ends it."""
    try:
        sys.path.append(str(installed()))
    except subprocess.CalledProcessError:
        print("fuzz: atheris has wheels for Linux on x86-64, Python 3.11 to 3.14, only", file=sys.stderr)
        return 1
    import atheris  # type: ignore[import-not-found, unused-ignore]

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.promise import cost_is_linear, hold

    def promise(data: bytes) -> None:
        hold(data)
        if len(data) <= COST_ASKED:
            cost_is_linear(data)

    cached_corpus = cache.ROOT / "fuzz" / "corpus"
    for folder in (cached_corpus, FINDINGS):
        folder.mkdir(parents=True, exist_ok=True)
    limits = [
        f"-max_total_time={os.environ.get('FUZZ_SECONDS', '60')}",
        f"-max_len={LONGEST}",
        f"-timeout={SLOWEST}",
    ]
    atheris.Setup(
        [
            sys.argv[0],
            *limits,
            "-print_final_stats=1",
            f"-artifact_prefix={FINDINGS}/",
            *sys.argv[1:],
            str(cached_corpus),
            str(HERE / "corpus"),
        ],
        promise,
    )
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
