"""What anybody may label or annotate does not fill the operator's memory."""

import subprocess
import sys

import pytest

CHILD = """
import asyncio, os, sys
from aiohttp import web
from streaming_operator.cluster import objects, resources
from streaming_operator.cluster.store import Caches
from streaming_operator.controller.kopf_watch import LIST_PAGE
from streaming_operator.kube.checked_session import CheckedSession
from streaming_operator.kube.client import Transport
import aiohttp

WHAT, COUNT, SIZE = sys.argv[1], int(sys.argv[2]), 1 << 20
TEXT = os.urandom(SIZE // 2).hex()[: SIZE - 400]

def config_map(number):
    owner = ',"ownerReferences":[{"apiVersion":"streamingendpoints.dev/v1alpha1","kind":"StreamingEndpoint",' \\
        '"name":"a","uid":"u","controller":true}]' if WHAT == "owned" else ""
    return ('{"metadata":{"name":"c%d","namespace":"tenant","uid":"u%d","resourceVersion":"5","labels":'
            '{"app.kubernetes.io/managed-by":"streaming-operator"}%s},"data":{"x":"%d%s"}}'
            % (number, number, owner, number, TEXT)).encode()

def endpoint(number):
    return ('{"metadata":{"name":"e%d","namespace":"tenant","uid":"u%d","resourceVersion":"5","annotations":'
            '{"a":"%d%s"}},"spec":{"model":{"source":{"huggingFace":{"repo":"a/b"}}}}}'
            % (number, number, number, TEXT[: 256 << 10])).encode()

async def collection(request):
    if request.query.get("watch"):
        await asyncio.sleep(600)
    make = endpoint if request.path.endswith("endpoints") else config_map
    start = int(request.query.get("continue", "0"))
    end = min(start + int(request.query.get("limit", "500")), COUNT)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    more = ',"continue":"%d"' % end if end < COUNT else ""
    await response.write(b'{"kind":"List","metadata":{"resourceVersion":"9"%s},"items":[' % more.encode())
    try:
        for number in range(start, end):
            await response.write((b"," if number > start else b"") + make(number))
        await response.write(b"]}")
    except ConnectionError:
        pass  # the page was too large for the reader
    return response

class Credentials:
    proxy = None
    def __init__(self, server):
        self.server = server
    def tls(self):
        return True
    async def authorization(self):
        return {}

def mib(field):  # not ru_maxrss, which begins with what the process that started this one had
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(field))

async def main():
    app = web.Application()
    app.router.add_get("/{tail:.*}", collection)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server = f"http://127.0.0.1:{runner.addresses[0][1]}"
    before = mib("VmRSS")
    if WHAT == "annotated":
        session = CheckedSession(aiohttp.ClientSession(), "StreamingEndpoint", "/streamingendpoints", objects.endpoint)
        kept, more = [], "0"
        while more:
            url = f"{server}/streamingendpoints?limit={LIST_PAGE}&continue={more}"
            async with await session.request("GET", url) as response:
                page = await response.json()
            kept += page["items"]
            more = page["metadata"].get("continue")
        assert len(kept) == COUNT
        await session.close()
    else:
        transport = Transport(Credentials(server), 8, field_manager="test")
        caches = Caches(transport, ())
        caches._follow(resources.CONFIG_MAPS)
        informer = caches.informer(resources.CONFIG_MAPS, "tenant")
        await asyncio.wait_for(informer.synced.wait(), 120)
        assert len(informer) == (COUNT if WHAT == "owned" else 0)
        await caches.close()
        await transport.close()
    print(f"{mib('VmRSS') - before:.0f} {mib('VmHWM') - before:.0f}", flush=True)
    os._exit(0)

asyncio.run(main())
"""

MOST_MIB = 64
"""The chart's limit is 512 MiB, of which the operator itself takes about 100."""


@pytest.mark.parametrize(
    ("what", "count"),
    [
        pytest.param("labelled", 150, id="150 ConfigMaps of 1 MiB with our label"),
        pytest.param("owned", 150, id="150 that name an endpoint as their owner, too"),
        pytest.param("annotated", 400, id="400 endpoints with annotations of 256 KiB"),
    ],
)
def test_large_objects_of_others_take_little_memory(what: str, count: int) -> None:
    """Listed by a process of its own, at most 64 MiB more are needed at any moment: server and reader together."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, what, str(count)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        cwd="operator",
    )
    assert child.returncode == 0, child.stderr[-2000:]
    kept, peak = (int(word) for word in child.stdout.split())

    assert max(kept, peak) < MOST_MIB
