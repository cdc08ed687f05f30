"""The zoo's main faults with the real vLLM and the real llama.cpp behind the proxies instead of the double."""

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.api.verification import Checks
from streaming_operator.probe.http.connection import Target
from streaming_operator.probe.judge.verdict import streams
from streaming_operator.probe.plan import Replica
from streaming_operator.probe.verification import verify
from tests.engines.running import RunningEngine
from tests.probe.conftest import GAUGES, METRICS, plan
from tests.probe.packages import Missing
from tests.probe.zoo.cases import FLOWS, GZIP, OFF
from tests.probe.zoo.running import Running, Setup

DEAF = "proxy_ignore_headers X-Accel-Buffering;"
"""llama.cpp asks nginx not to buffer; this site does not listen."""
STORES = "proxy_http_version 1.1; proxy_ignore_client_abort on; proxy_store answer;"
"""nginx that keeps a copy reads every answer to its end."""
ENVOY_CLOSES = json.dumps(
    {
        "cluster": {
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "common_http_protocol_options": {"max_requests_per_connection": 1},
                    "explicit_http_config": {"http_protocol_options": {}},
                }
            }
        }
    }
)
CADDY_CLOSES = "transport http {\n  keepalive off\n}"
"""
Proxies that use a connection to the server once. llama.cpp promises `Keep-Alive: timeout=5` and ends the connection a
few milliseconds after the answer: a request sent on it in between is a 503 of Envoy (`connection termination`), a 502
of Caddy. HAProxy and this nginx send no first request of a client on a used connection.
"""
PATHS = {
    "nginx, buffering off": (Setup("nginx", OFF), Verdict.STREAMING),
    "HAProxy, option http-no-delay": (Setup("haproxy", FLOWS), Verdict.STREAMING),
    "Envoy, no timeout": (Setup("envoy", '{"timeout": "0s"}', ENVOY_CLOSES), Verdict.STREAMING),
    "Caddy": (Setup("caddy", CADDY_CLOSES), Verdict.STREAMING),
    "nginx, gzip with buffering": (
        Setup("nginx", f"proxy_http_version 1.1; {GZIP} {DEAF}"),
        Verdict.BUFFERED,
    ),
    "HAProxy by default": (Setup("haproxy"), Verdict.COALESCED),
    "Caddy, response_buffers 1MiB": (
        Setup("caddy", f"response_buffers 1MiB\n{CADDY_CLOSES}"),
        Verdict.BUFFERED,
    ),
}
LOAD_SECONDS = 60.0
LOOKS = 5
"""Verifications at a path: of a healthy one none shows a fault, one of a fault does."""
DECIDED = 3
"""Of those at a healthy path, how many at least say that it streams: the probe can judge what it looks at."""

pytestmark = pytest.mark.programs("nginx", "haproxy", "envoy", "caddy")


@pytest.fixture(
    scope="module",
    params=["llama", pytest.param("vllm", marks=pytest.mark.real_vllm)],
    ids=["llama.cpp", "vLLM"],
)
def engine(request: pytest.FixtureRequest) -> Iterator[RunningEngine]:
    """A real model server."""
    flags = (METRICS, "--max-model-len", "2048") if request.param == "vllm" else ()
    try:
        with RunningEngine(request.param, flags) as running:
            wait_until_loaded(running)
            yield running
    except Missing as missing:
        pytest.skip(str(missing))


def wait_until_loaded(engine: RunningEngine) -> None:
    """llama.cpp listens before it has its model, and says 503 until then."""
    deadline = time.monotonic() + LOAD_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{engine.base_url}/health", timeout=5) as answer:
                answer.read()
            return
        except OSError:  # 503, or no answer in time
            assert time.monotonic() < deadline, engine.log()[-2000:]
            time.sleep(0.1)


@pytest.mark.parametrize("path", PATHS)
async def test_real_engine(engine: RunningEngine, path: str, tmp_path: Path) -> None:
    """
    Healthy paths stream, and no look finds a fault; faults are named at the edge, with the pod shown to stream.

    On a busy machine a server or the probe may be too late for a verdict, and the probe says just that.
    """
    setup, expected = PATHS[path]
    said: Counter[Verdict] = Counter()
    with Running(setup, engine.port, tmp_path, tmp_path) as edge:
        for look in range(LOOKS):
            result = await verify(plan([engine.port, edge.port], cap_tokens=512))
            # llama.cpp joins bytes until they are text: several tokens an event are its own doing.
            verdict = Verdict.STREAMING if streams(result.verdict) else result.verdict
            said[verdict] += 1
            if expected is Verdict.STREAMING:
                assert result.hop is Hop.EXPOSURE, result.message
                assert verdict in (expected, Verdict.INCONCLUSIVE), result.message
            elif verdict is expected or look == LOOKS - 1:
                # A server without processor time sends at longer intervals than HAProxy holds tokens back.
                assert (verdict, result.hop) == (expected, Hop.EXPOSURE), result.message
                break
    assert said[expected] >= (DECIDED if expected is Verdict.STREAMING else 1), said


@pytest.mark.parametrize(
    "engine", [pytest.param("vllm", marks=pytest.mark.real_vllm)], indirect=True, ids=["vLLM"]
)
@pytest.mark.parametrize(
    ("route", "expected"),
    [
        pytest.param(OFF, Verdict.STREAMING, id="nginx, buffering off"),
        pytest.param(STORES, Verdict.CANCEL_IGNORED, id="nginx, proxy_store"),
    ],
)
async def test_a_client_that_leaves(
    engine: RunningEngine, route: str, expected: Verdict, tmp_path: Path
) -> None:
    """The real server's gauge falls when a client leaves through a good edge, and not behind one that reads on."""
    pod = Target(Hop.POD, "127.0.0.1", engine.port)
    checked = {"replicas": (Replica("pod", pod),), "gauges": GAUGES, "checks": Checks(cancel=True)}
    with Running(Setup("nginx", route), engine.port, tmp_path, tmp_path) as edge:
        result = await verify(
            plan([engine.port, edge.port], encodings=("identity",), cap_tokens=512, **checked)
        )
    assert (result.verdict, result.hop) == (expected, Hop.EXPOSURE), result.message
    assert "not judged" not in result.message
