"""Where the kinds live in the API."""

from streaming_operator.cluster import resources


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
