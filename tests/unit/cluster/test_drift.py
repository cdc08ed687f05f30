"""When an object still carries what we sent: defaults and spellings are no difference, a lost leaf is one."""

from collections.abc import Callable
from typing import Any

import pytest

from streaming_operator.cluster.drift import APPLIED_HASH, carries, digest, first_difference, sealed

CONTAINER = {"name": "engine", "args": ["a", "b"], "env": [{"name": "X", "value": "1"}]}


@pytest.mark.parametrize(
    ("actual", "sent"),
    [
        ({"spec": {"replicas": 1, "defaulted": True}}, {"spec": {"replicas": 1}}),
        ({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}),
        ({"limits": {"cpu": "1"}}, {"limits": {"cpu": 1}}),
        ({"limits": {"memory": "2Gi"}}, {"limits": {"memory": "2048Mi"}}),
        ({"limits": {"memory": "1500M"}}, {"limits": {"memory": "1.5G"}}),
        ({"containers": [{"name": "injected"}, {**CONTAINER, "x": 1}]}, {"containers": [CONTAINER]}),
        ({"env": [{"name": "B"}, {"name": "A"}]}, {"env": [{"name": "A"}, {"name": "B"}]}),
        ({"ports": [{"port": 80, "targetPort": "http", "protocol": "TCP"}]}, {"ports": [{"port": 80}]}),
        ({"rules": [{"host": "a", "http": {"x": 1, "y": 2}}]}, {"rules": [{"host": "a", "http": {"x": 1}}]}),
        ({}, {"annotations": {}}),
        ({"emptyDir": {}}, {"emptyDir": {}}),
    ],
)
def test_what_the_server_adds_or_respells_is_no_difference(
    actual: dict[str, Any], sent: dict[str, Any]
) -> None:
    """Defaults, quantities, the order of keyed lists and items of others ask for no write."""
    assert carries(actual, sent)


@pytest.mark.parametrize(
    ("actual", "sent"),
    [
        ({"spec": {"replicas": 2}}, {"spec": {"replicas": 1}}),
        ({"spec": {}}, {"spec": {"replicas": 1}}),
        ({"flag": False}, {"flag": True}),
        ({"flag": "1"}, {"flag": True}),
        ({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1001m"}}),
        ({"containers": [{**CONTAINER, "args": ["a", "b", "c"]}]}, {"containers": [CONTAINER]}),
        ({"containers": [{**CONTAINER, "args": ["b", "a"]}]}, {"containers": [CONTAINER]}),
        ({"containers": [{**CONTAINER, "env": []}]}, {"containers": [CONTAINER]}),
        ({"rules": [{"host": "a"}, {"host": "b"}]}, {"rules": [{"host": "a"}]}),
        ({"annotations": {"a": "600"}}, {"annotations": {"a": "3600"}}),
        ({}, {"emptyDir": {}}),
        ({"ports": [{"port": 80}]}, {"ports": [{"port": 81}]}),
    ],
)
def test_a_lost_or_changed_leaf_is_a_difference(actual: dict[str, Any], sent: dict[str, Any]) -> None:
    """Every leaf that we send counts, and lists that are wholly ours count in order and length."""
    assert not carries(actual, sent)


@pytest.mark.parametrize(
    "place",
    [
        lambda text: {"annotations": {"a": text}},
        lambda text: {"args": [text]},
        lambda text: {"env": [{"name": "A", "value": text}]},
    ],
)
def test_only_amounts_are_compared_as_amounts(place: Callable[[str], dict[str, Any]]) -> None:
    """`1k` is another annotation, argument or value of a variable than `1000`."""
    assert not carries(place("1000"), place("1k"))


@pytest.mark.parametrize(
    ("actual", "sent", "names"),
    [
        ({"spec": {"replicas": 2}}, {"spec": {"replicas": 1}}, ("spec", "replicas")),
        (
            {"containers": [{"name": "side"}, {**CONTAINER, "image": "b"}]},
            {"containers": [{**CONTAINER, "image": "a"}]},
            ("containers", "image"),
        ),
        ({"containers": []}, {"containers": [CONTAINER]}, ("containers",)),
        ({"rules": [{"host": "a"}]}, {"rules": [{"host": "b"}]}, ("rules",)),
        ({"selector": {"a": "1", "b": "2"}}, {"selector": {"a": "1"}}, ("selector",)),
        ({"spec": {"replicas": 1}}, {"spec": {"replicas": 1}}, ()),
    ],
)
def test_the_first_difference_is_named(
    actual: dict[str, Any], sent: dict[str, Any], names: tuple[str, ...]
) -> None:
    """By the names of the fields down to it, so that its author can be looked up."""
    assert first_difference(actual, sent) == names


def test_the_hash_changes_with_anything_that_we_send() -> None:
    """A field that is no longer rendered changes the hash, though no leaf that is still sent differs."""
    before = {"kind": "X", "metadata": {"name": "a"}, "spec": {"kept": 1, "dropped": 2}}
    after = {"kind": "X", "metadata": {"name": "a"}, "spec": {"kept": 1}}

    assert carries(sealed(before), {**after, "metadata": {"name": "a"}})
    assert not carries(sealed(before), sealed(after))
    assert "annotations" not in before["metadata"]


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    """The same manifest built in another order is the same manifest."""
    assert digest({"b": {"d": 3, "c": 2}, "a": 1}) == digest({"a": 1, "b": {"c": 2, "d": 3}})
    assert (
        len(sealed({"metadata": {"annotations": {"x": "y"}}})["metadata"]["annotations"][APPLIED_HASH]) == 16
    )


def test_what_the_api_server_leaves_out_when_it_is_empty_is_no_difference() -> None:
    """A mount that is written with `readOnly: false` is stored without it, and is written once only."""
    mount = {"name": "a", "mountPath": "/a", "readOnly": False, "subPath": ""}
    assert carries({"volumeMounts": [{"name": "a", "mountPath": "/a"}]}, {"volumeMounts": [mount]})
    assert not carries({"securityContext": {}}, {"securityContext": {"allowPrivilegeEscalation": False}})
