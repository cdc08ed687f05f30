"""What an edit changes, and what streams notice of it."""

from typing import Any

import pytest

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.render.differences import HIDDEN, Effect, Side, changes, differing, worst
from streaming_operator.values import Capabilities, Edge

CAPABILITIES = Capabilities(True, True, {"nginx": Edge("ingress-nginx"), "other": Edge("generic")})
SPEC = {
    "model": {"source": {"huggingFace": {"repo": "org/model"}}},
    "exposure": {"host": "qwen.example.com", "ingress": {"className": "nginx"}},
    "replicas": 2,
}


def side(**spec: Any) -> Side:
    """An endpoint with parts of its spec replaced; None takes a part away."""
    merged = {key: value for key, value in {**SPEC, **spec}.items() if value is not None}
    body = {"metadata": {"name": "qwen", "namespace": "models"}, "spec": merged}
    endpoint = StreamingEndpoint.from_body(body)
    return Side(endpoint, render.children(endpoint, CAPABILITIES))


def effects(before: Side | None, after: Side | None) -> dict[str, Effect]:
    """The effect of each changed object by its kind, without the endpoint itself."""
    made = changes(before, after, CAPABILITIES)
    return {change.kind: change.effect for change in made if change.kind != "StreamingEndpoint"}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({}, {}),
        ({"verification": {"intervalSeconds": 60}}, {}),
        ({"engine": {"args": ["--max-model-len=8192"]}}, {"Deployment": Effect.PODS}),
        ({"podMetadata": {"labels": {"team": "a"}}}, {"Deployment": Effect.PODS}),
        ({"workloadMetadata": {"labels": {"team": "a"}}}, {"Deployment": Effect.OBJECTS}),
        ({"rollout": {"strategy": "Recreate"}}, {"Deployment": Effect.OBJECTS}),
        ({"replicas": 3}, {"Deployment": Effect.OBJECTS}),
        (
            {"replicas": 1},
            {"Deployment": Effect.PODS, "PodDisruptionBudget": Effect.OBJECTS},
        ),
        (
            {"replicas": 0},
            {"Deployment": Effect.PODS, "PodDisruptionBudget": Effect.OBJECTS},
        ),
        (
            {"exposure": {"host": "new.example.com", "ingress": {"className": "nginx"}}},
            {"Ingress": Effect.ROUTE},
        ),
        ({"exposure": None}, {"Ingress": Effect.ROUTE}),
        (
            {"exposure": {"host": "qwen.example.com", "httpRoute": {"parentRefs": [{"name": "public"}]}}},
            {"HTTPRoute": Effect.ROUTE, "Ingress": Effect.ROUTE},
        ),
        (
            {"monitoring": {"serviceMonitor": {"intervalSeconds": 30}}},
            {"ServiceMonitor": Effect.OBJECTS},
        ),
        ({"suspend": True, "replicas": 1, "engine": {"args": ["--seed=1"]}}, {}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_effect_of_an_edit(edit: dict[str, Any], expected: dict[str, Effect]) -> None:
    """Only what ends a pod restarts a GPU; only a route makes proxies load anew; nothing of a suspended endpoint."""
    assert effects(side(), side(**edit)) == expected


def test_an_endpoint_without_pods_has_no_stream_to_cut() -> None:
    """A new template of a Deployment that is scaled to zero ends no pod."""
    assert effects(side(replicas=0), side(replicas=0, engine={"args": ["--seed=1"]})) == {
        "Deployment": Effect.OBJECTS
    }


def test_a_new_endpoint_starts_pods_and_makes_the_edge_reload() -> None:
    """Nobody's pods end; its Ingress is the one thing that others notice."""
    assert worst(changes(None, side(), CAPABILITIES)) is Effect.ROUTE
    assert worst(changes(None, side(exposure=None), CAPABILITIES)) is Effect.OBJECTS


def test_an_endpoint_that_goes_takes_its_pods_with_it() -> None:
    """The objects of a file in which it is no more."""
    gone = changes(side(), None, CAPABILITIES)
    assert {change.action for change in gone} == {"delete"}
    assert worst(gone) is Effect.PODS


def test_the_edit_itself_is_shown_though_no_object_changes() -> None:
    """A reviewer sees what was read."""
    (change,) = changes(side(), side(verification={"intervalSeconds": 60}), CAPABILITIES)
    assert (change.kind, change.effect) == ("StreamingEndpoint", Effect.NONE)
    assert [(f.path, f.before, f.after) for f in change.fields] == [
        ("spec.verification.intervalSeconds", 300, 60)
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"env": [{"name": "A", "value": "sesame"}]}, {"env": [{"name": "A", "value": "open"}]}),
        ({"env": [{"name": "A", "value": "sesame"}]}, {"env": []}),
        ({}, {"env": [{"name": "A", "value": "sesame"}]}),
        ({"initContainers": [{"name": "x", "env": [{"name": "A", "value": "sesame"}]}]}, {}),
        ({}, {"containers": [{"image": "x", "env": [{"name": "A", "value": "sesame"}]}]}),
    ],
)
def test_values_of_environment_variables_are_hidden(before: Any, after: Any) -> None:
    """People write keys there, and pipelines keep their logs; that they differ is told."""
    fields = list(differing({"spec": before}, {"spec": after}))
    assert fields
    assert "sesame" not in str(fields)
    assert HIDDEN in str(fields)


def test_items_of_lists_are_compared_by_name_then_by_place() -> None:
    """A variable that is put first moves no other; a rule has no name."""
    named = differing(
        {"ports": [{"name": "a", "port": 1}]}, {"ports": [{"name": "b", "port": 2}, {"name": "a", "port": 1}]}
    )
    assert [field.path for field in named] == ["ports[b]"]
    placed = differing({"rules": [{"host": "a"}]}, {"rules": [{"host": "b"}]})
    assert [field.path for field in placed] == ["rules[0].host"]
