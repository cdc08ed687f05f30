"""Nothing leaves the cluster: what reaches for the outside is refused at once."""

import pytest

from tests import cluster as test_cluster
from tests.cluster import kind, network

OUTSIDE = "192.0.2.1"  # TEST-NET-1: an address that belongs to nobody (RFC 5737)
ASK = (
    "import errno, socket, sys\n"
    "try:\n"
    "    socket.create_connection((sys.argv[1], 80), timeout=20)\n"
    "except OSError as error:\n"
    "    print(errno.errorcode.get(error.errno, error))\n"
    "else:\n"
    "    print('connected')\n"
)


@pytest.fixture(autouse=True)
def closed(cluster: object) -> None:
    """The network is closed on purpose, not by chance."""
    if not network.should_be_closed(test_cluster.mode()):
        pytest.skip("registry mode leaves the network open; NETWORK=closed closes it")


def ask_from_pod(namespace: str, argument: str) -> str:
    """What a pod learns when it connects to a name or address."""
    kind.kubectl(
        "-n", namespace, "run", "asker", "--image", test_cluster.image_name("client"), "--restart=Never",
        "--image-pull-policy=IfNotPresent", "--command", "--", "python3", "-c", ASK, argument,
    )  # fmt: skip
    kind.kubectl(
        "-n", namespace, "wait", "pod/asker", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s"
    )
    return kind.kubectl("-n", namespace, "logs", "asker").strip()


def test_a_pod_that_wants_out_is_refused_at_once_and_counted(namespace: str) -> None:
    """The packet filter rejects what wants to leave the bridge, and says so: no silence, no route out."""
    before = network.evidence()
    assert before.closed
    assert ask_from_pod(namespace, OUTSIDE) == "ECONNREFUSED"
    assert network.evidence().rejected[network.BRIDGE] > before.rejected[network.BRIDGE]


def test_the_node_itself_cannot_get_out(cluster: object) -> None:
    """A missing image cannot be pulled from anywhere, whatever the container runtime tries."""
    before = network.evidence().rejected[network.BRIDGE]
    answer = kind.node("bash", "-c", f"(exec 3<>/dev/tcp/{OUTSIDE}/443) 2>&1 || true")
    assert "refused" in answer
    assert network.evidence().rejected[network.BRIDGE] > before


def test_a_foreign_name_is_unknown_inside(namespace: str) -> None:
    """The cluster's DNS asks nobody outside: a look-up of a foreign name fails instead of waiting."""
    assert "[Errno -" in ask_from_pod(
        namespace, "outside.example.com"
    )  # the resolver's own numbers are negative
