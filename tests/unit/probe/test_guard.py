"""Where a probe may connect."""

from dataclasses import replace

import pytest

from streaming_operator.probe.http.guard import Guard, forbidden, key_refused

OPERATOR = Guard(refused=("10.96.0.1", "fd00::1"), refused_by_dns=("10.96.0.0/12",))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:a9fe:a9fe::1",
        "2001:0:102:304:0:0:5601:5601",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "10.96.0.1",
        "::ffff:10.96.0.1",
        "fd00::1",
        "2a00:1450:4001:0:0:5efe:169.254.169.254",
        "2a00:1450:4001:0:200:5efe:127.0.0.1",
        "2a00:1450:4001:0:0:5efe:10.96.0.1",
        "::169.254.169.254",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "not an address",
        "localhost",
    ],
)
def test_operator_never_connects_to(address: str) -> None:
    """Loopback, link-local, metadata services, the API server, in every spelling."""
    assert forbidden(address, OPERATOR) is not None


@pytest.mark.parametrize(
    "address", ["10.244.1.7", "192.168.1.20", "93.184.216.34", "2001:db8:1::1", "fd12::7"]
)
def test_operator_connects_to_pods_and_edges(address: str) -> None:
    """Private and public unicast addresses are where pods and edges are."""
    assert forbidden(address, OPERATOR) is None


@pytest.mark.parametrize(
    "address",
    [
        "10.100.0.5",
        "172.16.3.4",
        "192.168.1.20",
        "100.64.0.9",
        "198.18.0.1",
        "fd12::7",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
        "203.0.114.9",
        "::ffff:0:10.0.0.1",
        "2a00:1450:4001:0:0:5efe:10.0.0.1",
        "2a00:1450:4001:0:200:5efe:10.0.0.1",
        "fec0::7",
        "feff::7",
        "3fff::7",
        "3fff:fff::7",
        "192.88.99.1",
    ],
)
def test_dns_cannot_lead_into_the_cluster(address: str) -> None:
    """A private or a listed address is fine when the cluster named it, and refused when only DNS did."""
    guard = replace(OPERATOR, refused_by_dns=("203.0.114.0/24",))
    assert forbidden(address, guard) is None
    assert forbidden(address, guard, by_dns=True) is not None


def test_the_administrator_may_allow_private_networks() -> None:
    """Where load balancers have private addresses; what is listed as forbidden stays so."""
    guard = Guard(refused_by_dns=("10.20.5.0/24",), allowed_by_dns=("10.20.0.0/16",))
    refusals = [forbidden(address, guard, by_dns=True) for address in ("10.20.4.1", "10.20.5.1", "10.21.0.1")]
    assert [refusal is None for refusal in refusals] == [True, False, False]


def test_a_person_may_probe_any_private_address_by_name() -> None:
    """The command line knows whom it asks."""
    assert forbidden("10.0.0.1", Guard(local=True), by_dns=True) is None


def test_person_may_probe_their_own_machine() -> None:
    """The command line reaches loopback."""
    assert forbidden("127.0.0.1", Guard(local=True)) is None


@pytest.mark.parametrize(
    ("address", "scheme", "refused"),
    [
        ("93.184.216.34", "http", True),
        ("93.184.216.34", "https", False),
        ("10.0.0.1", "http", False),
        ("2606:2800:220:1::1", "http", True),
        ("::ffff:93.184.216.34", "http", True),
    ],
)
def test_key_never_in_the_clear_to_the_public(address: str, scheme: str, refused: bool) -> None:
    """An API key goes over plain http only to private addresses."""
    assert (key_refused(address, scheme) is not None) == refused
