"""What is checked beside the stream: the key is asked for, a client who leaves frees the engine, every pod."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.api.verification import Checks
from streaming_operator.probe import checks, verification
from streaming_operator.probe.http.connection import Target
from streaming_operator.probe.judge.remedies import Names
from streaming_operator.probe.plan import Replica
from streaming_operator.probe.verification import verify
from streaming_operator.values import ProbeResult
from tests.engines.running import RunningEngine, free_port
from tests.probe import proxies
from tests.probe.conftest import GAUGES, Engines, plan
from tests.probe.packages import Missing
from tests.probe.proxies import Proxy
from tests.probe.users import User
from tests.probe.zoo.running import Running, Setup

KEY = "sk-of-this-test"
AS_OURS = "proxy_buffering off; proxy_http_version 1.1;"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is not stopped is done soon."""
    monkeypatch.setattr(verification, "CANCEL_TOKENS", 256)


def nginx(upstream: int, folder: Path, route: str) -> Running:
    """A real nginx before that port."""
    try:
        return Running(Setup("nginx-debian", route), upstream, folder / "nginx", folder)
    except Missing as missing:
        pytest.skip(str(missing))


def deaf(folder: Path) -> str:
    """nginx that keeps a copy of every answer reads it to its end, whoever has left."""
    return f"proxy_http_version 1.1; proxy_ignore_client_abort on; proxy_store {folder}/store;"


async def checked(ports: Sequence[int], pods: Sequence[RunningEngine], **more: object) -> ProbeResult:
    """A verification through these ports, of an endpoint with these pods."""
    replicas = tuple(
        Replica(f"pod-{number}", Target(Hop.POD, "127.0.0.1", pod.port)) for number, pod in enumerate(pods)
    )
    names = Names(workload="qwen", profile="generic")
    more = {"encodings": ("identity",), "names": names, **more}
    return await verify(plan(ports, replicas=replicas, gauges=GAUGES, **more))  # type: ignore[arg-type]


# ---- auth --------------------------------------------------------------------------------------------------


async def test_a_key_that_is_asked_for(engines: Engines, tmp_path: Path) -> None:
    """Accepted with the key, refused without and with another: Streaming."""
    engine = engines("--api-key", KEY)
    with nginx(engine.port, tmp_path, AS_OURS) as edge:
        result = await checked([engine.port, edge.port], [engine], key=KEY, checks=Checks(auth=True))
    assert result.verdict is Verdict.STREAMING, result.message
    assert "auth not judged" not in result.message


async def test_an_engine_that_asks_for_no_key(engines: Engines) -> None:
    """Started before its Secret had a key: anybody gets an answer, and the pods are named."""
    engine = engines()
    with Proxy(engine.port, proxies.healthy) as edge:
        result = await checked([engine.port, edge.port], [engine], key=KEY, checks=Checks(auth=True))
    assert (result.verdict, result.hop) == (Verdict.AUTH_NOT_ENFORCED, Hop.POD), result.message
    assert "without a key" in result.message


async def test_an_edge_that_adds_the_key(engines: Engines, tmp_path: Path) -> None:
    """A real nginx that sets the header for everybody: the engine enforces, the edge does not."""
    engine = engines("--api-key", KEY)
    with nginx(engine.port, tmp_path, f'{AS_OURS} proxy_set_header Authorization "Bearer {KEY}";') as edge:
        result = await checked([engine.port, edge.port], [engine], key=KEY, checks=Checks(auth=True))
    assert (result.verdict, result.hop) == (Verdict.AUTH_NOT_ENFORCED, Hop.EXPOSURE), result.message
    assert KEY not in result.message


async def test_a_wrong_key_that_is_let_in(engines: Engines, tmp_path: Path) -> None:
    """An edge that asks for some key and replaces it by the right one lets anybody in who sends any."""
    engine = engines("--api-key", KEY)
    more = (
        f'{AS_OURS} if ($http_authorization = "") {{ return 401; }} '
        f'proxy_set_header Authorization "Bearer {KEY}";'
    )
    with nginx(engine.port, tmp_path, more) as edge:
        result = await checked([engine.port, edge.port], [engine], key=KEY, checks=Checks(auth=True))
    assert (result.verdict, result.hop) == (Verdict.AUTH_NOT_ENFORCED, Hop.EXPOSURE), result.message
    assert "with a wrong key" in result.message


async def test_an_error_that_is_not_about_keys_is_not_judged(engines: Engines, tmp_path: Path) -> None:
    """503 for those without a key is no refusal and no answer either: said, and the stream counts."""
    engine = engines("--api-key", KEY)
    with nginx(engine.port, tmp_path, f'{AS_OURS} if ($http_authorization = "") {{ return 503; }}') as edge:
        result = await checked([engine.port, edge.port], [engine], key=KEY, checks=Checks(auth=True))
    assert result.verdict is Verdict.STREAMING, result.message
    assert "auth not judged: a request without a key got 503" in result.message


# ---- cancel ------------------------------------------------------------------------------------------------


async def test_a_disconnect_frees_the_engine(engines: Engines, tmp_path: Path) -> None:
    """Through a real nginx the engine notices at once: Streaming, and nothing runs any more."""
    engine = engines()
    with nginx(engine.port, tmp_path, AS_OURS) as edge:
        result = await checked([engine.port, edge.port], [engine], checks=Checks(cancel=True))
    assert result.verdict is Verdict.STREAMING, result.message
    assert "cancel not judged" not in result.message


@pytest.mark.usefixtures("short")
async def test_an_edge_that_goes_on_without_its_client(engines: Engines, tmp_path: Path) -> None:
    """nginx that stores copies ignores disconnects: tokens stream, and the engine works for no client."""
    engine = engines()
    with nginx(engine.port, tmp_path, deaf(tmp_path)) as edge:
        result = await checked([engine.port, edge.port], [engine], checks=Checks(cancel=True))
    assert (result.verdict, result.hop) == (Verdict.CANCEL_IGNORED, Hop.EXPOSURE), result.message
    assert "proxy_store" in result.message


@pytest.mark.usefixtures("short")
async def test_a_server_that_does_not_see_its_client_leave(engines: Engines, tmp_path: Path) -> None:
    """What the pod itself shows is the pod's, also through a good edge."""
    engine = engines()
    with (
        nginx(engine.port, tmp_path, deaf(tmp_path)) as sidecar,
        Proxy(sidecar.port, proxies.healthy) as edge,
    ):
        result = await checked([sidecar.port, edge.port], [engine], checks=Checks(cancel=True))
    assert (result.verdict, result.hop) == (Verdict.CANCEL_IGNORED, Hop.POD), result.message


async def test_requests_of_users_are_not_taken_for_ours(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While others use the engine its gauge says nothing of us: not judged, and said so."""
    monkeypatch.setattr(checks, "IDLE_SECONDS", 0.0)
    engine = engines()
    with User(engine) as user:
        user.await_running(1)
        result = await checked([engine.port], [engine], checks=Checks(cancel=True))
    assert result.verdict is Verdict.STREAMING, result.message
    assert "cancel not judged: 1 other requests ran" in result.message


async def test_a_stream_too_short_to_be_cut(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gauge that would fall by itself proves nothing."""
    monkeypatch.setattr(verification, "CANCEL_TOKENS", 20)
    engine = engines("--inter-token-latency", "40")  # a client that is late still leaves before its end
    result = await checked([engine.port], [engine], checks=Checks(cancel=True))
    assert result.verdict is Verdict.STREAMING, result.message
    assert "cancel not judged: the model would have been done 0." in result.message


async def test_an_engine_without_readable_metrics_is_not_judged(engines: Engines, tmp_path: Path) -> None:
    """Without the gauge the check is not judged; the stream is."""
    engine = engines()
    with nginx(engine.port, tmp_path, f"{AS_OURS} if ($uri = /metrics) {{ return 404; }}") as pod:
        asked = plan(
            [engine.port],
            replicas=(Replica("pod", Target(Hop.POD, "127.0.0.1", pod.port)),),
            gauges=GAUGES,
            checks=Checks(cancel=True),
        )
        result = await verify(asked)
    assert result.verdict is Verdict.STREAMING, result.message
    assert "the engine's metrics cannot be read" in result.message


# ---- every replica -----------------------------------------------------------------------------------------


async def test_a_bad_replica_is_named(engines: Engines) -> None:
    """The users' address happens to lead to a good pod; the other one holds its answers back."""
    good, bad = engines(), engines("--full-buffer", "true")
    with Proxy(good.port, proxies.healthy) as edge:
        both = await checked([good.port, edge.port], [good, bad], checks=Checks(per_replica=True))
        one = await checked([good.port, edge.port], [good, bad])
    assert (both.verdict, both.hop) == (Verdict.BUFFERED, Hop.POD), both.message
    assert "pod-1 of 2" in both.message
    assert one.verdict is Verdict.STREAMING, one.message


async def test_good_replicas_are_no_news(engines: Engines) -> None:
    """All pods stream."""
    first, second = engines(), engines("--seed", "2")
    with Proxy(first.port, proxies.healthy) as edge:
        result = await checked([first.port, edge.port], [first, second], checks=Checks(per_replica=True))
    assert (result.verdict, result.hop) == (Verdict.STREAMING, Hop.EXPOSURE), result.message


async def test_an_edge_is_not_blamed_for_a_bad_replica(engines: Engines) -> None:
    """The users' address led to the bad pod: with every pod asked, the pod is named and not the edge."""
    good, bad = engines(), engines("--full-buffer", "true")
    with Proxy(bad.port, proxies.healthy) as edge:
        result = await checked([good.port, edge.port], [good, bad], checks=Checks(per_replica=True))
    assert (result.verdict, result.hop) == (Verdict.BUFFERED, Hop.POD), result.message
    assert "pod-1 of 2" in result.message


async def test_a_replica_that_is_gone_is_named(engines: Engines) -> None:
    """Ready for the kubelet, and refuses connections."""
    good = engines()
    gone = Replica("pod-gone", Target(Hop.POD, "127.0.0.1", free_port()))
    replicas = (Replica("pod-0", Target(Hop.POD, "127.0.0.1", good.port)), gone)
    result = await verify(plan([good.port], replicas=replicas, checks=Checks(per_replica=True)))
    assert (result.verdict, result.hop) == (Verdict.UNREACHABLE, Hop.POD), result.message
    assert "pod-gone of 2" in result.message


# ---- keep-alive --------------------------------------------------------------------------------------------

SILENT = ("--silence-after-tokens", "20", "--silence-seconds", "1.8")


@pytest.mark.parametrize(
    ("flags", "promised", "missed"),
    [
        pytest.param((), 1.0, True, id="no comments"),
        pytest.param(("--sse-keep-alive-interval", "1"), 1.0, False, id="comments"),
        pytest.param((), 0.0, False, id="none promised"),
    ],
)
async def test_missing_keep_alive_comments_are_reported(
    engines: Engines, flags: tuple[str, ...], promised: float, missed: bool
) -> None:
    """Only when a probe happens to see the engine silent; nothing is forced on it."""
    engine = engines(*SILENT, *flags)
    result = await verify(plan([engine.port], keep_alive=promised, encodings=("identity",)))
    assert ("without a keep-alive comment" in result.message) == missed, result.message
    assert ("without a keep-alive comment" in result.hops[0].message) == missed


async def test_a_pause_longer_than_promised(engines: Engines) -> None:
    """An engine that stops in the middle streams, but not as its users were promised; the pod is named."""
    engine = engines(*SILENT)
    with Proxy(engine.port, proxies.healthy) as edge:
        within = await verify(plan([edge.port], max_gap=5.0, encodings=("identity",)))
        beyond = await verify(plan([engine.port, edge.port], max_gap=1.0, encodings=("identity",)))
    assert within.verdict is Verdict.STREAMING, within.message
    assert (beyond.verdict, beyond.hop) == (Verdict.CHUNK_GAP_EXCEEDED, Hop.POD), beyond.message
