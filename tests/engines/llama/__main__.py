"""`python -m tests.engines.llama --host H --port P --served-model-name NAME`: serves until it is stopped."""

import argparse
import signal
import tempfile
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found]

from tests.engines.llama.model import CONTEXT, write


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--served-model-name", default="tiny")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "random.gguf"
        write(model)
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(model)
        parameters.model_alias = {given.served_model_name}
        parameters.hostnames = [given.host]
        parameters.port = given.port
        parameters.n_ctx = CONTEXT
        parameters.n_parallel = 2
        parameters.cpuparams.n_threads = 1
        parameters.cpuparams_batch.n_threads = 1
        server = xllamacpp.Server(parameters)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
        del server


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
