"""Where a probe may connect."""

import pytest

from streaming_operator.probe.safety import Guard, forbidden, key_refused

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
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "10.96.0.1",
        "::ffff:10.96.0.1",
        "fd00::1",
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


def test_dns_cannot_lead_into_the_cluster() -> None:
    """A Service's address is fine when the cluster named it, and refused when only DNS did."""
    assert forbidden("10.100.0.5", OPERATOR) is None
    assert forbidden("10.100.0.5", OPERATOR, by_dns=True) is not None


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
    assert refused == (key_refused(address, scheme) is not None)
