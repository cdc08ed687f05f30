"""What a new version of the operator puts into pods reaches those that run only when their spec replaces them."""

from functools import partial

import pytest

from streaming_operator import render
from streaming_operator.api.endpoint import POD_VERSION, StreamingEndpoint
from streaming_operator.cluster import resources
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import an_endpoint, connected, of_kind, versions

pytestmark = pytest.mark.apiserver


async def test_pods_of_an_earlier_version_are_left_alone(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written, also for more replicas nothing of the template; another image brings the newest version."""
    endpoint = an_endpoint(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:

        async def passed(wanted: StreamingEndpoint) -> StreamingEndpoint:
            rendered = here.cluster.as_rendered(wanted)
            await here.cluster.apply(rendered, render.children(rendered, here.cluster.capabilities()))
            return rendered

        before = endpoint.model_copy(update={"pod_version": 1})
        children = render.children(before, here.cluster.capabilities())
        await here.cluster.apply(before, children)
        as_they_were = versions(control_plane, children)

        rendered = await passed(endpoint)
        assert (rendered.pod_version, versions(control_plane, children)) == (1, as_they_were)
        assert "earlier version" in (render.engine_note(rendered) or "")

        control_plane.delete(of_kind(children, "ConfigMap"))
        maps = partial(here.cluster._caches.of_endpoint, endpoint.key, resources.CONFIG_MAPS)
        await here.until(lambda: not list(maps()), "the ConfigMap is seen to be gone")
        assert (await passed(endpoint)).pod_version == 1

        scaled = endpoint.model_copy(update={"spec": endpoint.spec.model_copy(update={"replicas": 2})})
        template = control_plane.get(of_kind(children, "Deployment"))["spec"]["template"]
        await passed(scaled)
        deployment = control_plane.get(of_kind(children, "Deployment"))
        assert (deployment["spec"]["replicas"], deployment["spec"]["template"]) == (2, template)

        engine = endpoint.spec.engine.model_copy(update={"image": "example.com/vllm:v0.33.0"})
        changed = scaled.model_copy(update={"spec": scaled.spec.model_copy(update={"engine": engine})})
        assert (await passed(changed)).pod_version == POD_VERSION
        after = control_plane.get(of_kind(children, "Deployment"))["spec"]["template"]["spec"]["containers"][
            0
        ]
        assert "exposed_paths.ExposedPaths" in after["args"]
        assert (await passed(changed)).pod_version == POD_VERSION
        assert render.engine_note(changed) is None
