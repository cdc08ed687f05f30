"""
By which version of the operator's own files the pods of an endpoint are rendered: that of those that run. Pure.

A new version of the operator alone must replace no pod. So what it puts into pods has a version, and an endpoint keeps
the one of its Deployment until its spec changes the pod template anyway.
"""

from streaming_operator import render
from streaming_operator.api.endpoint import POD_VERSION, StreamingEndpoint
from streaming_operator.cluster import resources
from streaming_operator.cluster.drift import carries
from streaming_operator.cluster.objects import Source, own


def as_rendered(source: Source, endpoint: StreamingEndpoint) -> StreamingEndpoint:
    """The endpoint with the version by which its children are to be rendered."""
    config_maps = [stored.key[1] for stored in source.of_endpoint(endpoint.key, resources.CONFIG_MAPS)]
    # Without any of ours, somebody has deleted them: then the Deployment alone knows.
    if {render.pod_version((name,)) for name in config_maps} - {None} == {POD_VERSION}:
        return endpoint
    return as_deployed(source, endpoint)


def as_deployed(source: Source, endpoint: StreamingEndpoint) -> StreamingEndpoint:
    """The same, from the Deployment alone, which costs more than a look at the names of ConfigMaps."""
    stored = own(source, endpoint, resources.DEPLOYMENTS)
    if stored is None:
        return endpoint
    template = stored.body["spec"]["template"]
    volumes = template["spec"].get("volumes") or ()
    mounted = [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]
    version = render.pod_version(mounted)
    if version is None or version == POD_VERSION:
        return endpoint
    as_before = endpoint.model_copy(update={"pod_version": version})
    return as_before if carries(template, render.pod_template(as_before)) else endpoint
