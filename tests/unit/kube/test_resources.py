"""The cluster side knows every kind that is rendered, and where it lives."""

from streaming_operator import render
from streaming_operator.kube import resources


def test_every_rendered_kind_is_followed_and_pruned() -> None:
    """A new child cannot be forgotten here: the tables of both sides name the same kinds."""
    rendered = {(kind.api_version, kind.kind, kind.plural) for kind in render.CHILD_KINDS}

    assert {(kind.api_version, kind.kind, kind.plural) for kind in resources.CHILDREN} == rendered


def test_addresses_are_those_of_the_api() -> None:
    """Core and grouped kinds, in one namespace or all, objects and subresources."""
    assert resources.SERVICES.path() == "/api/v1/services"
    assert resources.SERVICES.path("demo", "chat") == "/api/v1/namespaces/demo/services/chat"
    assert (
        resources.INGRESS_CLASSES.path("demo", "nginx") == "/apis/networking.k8s.io/v1/ingressclasses/nginx"
    )
    assert (
        resources.ENDPOINTS.path("demo", "chat", "status")
    ) == "/apis/streamingendpoints.dev/v1alpha1/namespaces/demo/streamingendpoints/chat/status"
