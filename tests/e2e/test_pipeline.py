"""The last step of a pipeline, as it runs there: a diff, an apply, and the verdict of the operator."""

from pathlib import Path

import yaml

from tests.e2e import gateways
from tests.e2e.endpoints import Endpoint
from tests.e2e.streamctl import streamctl

RUN = {"name": "RUN", "value": "2"}


def test_a_pipeline_sees_what_it_changes_and_ends_with_a_verdict(endpoint: Endpoint, tmp_path: Path) -> None:
    """A new variable replaces the pods, and is said to; once applied, nothing differs and the new pods are verified."""
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    file = tmp_path / "endpoint.yaml"
    file.write_text(yaml.safe_dump(endpoint.double(engine={"env": [RUN]})))
    code, report = streamctl("diff", "-f", str(file))
    assert (code, report["effect"]) == (11, "pods"), report

    endpoint.apply(yaml.safe_load(file.read_text()))
    assert streamctl("diff", "-f", str(file))[0] == 0
    # A cut is a fault here: the pods that leave must not be asked.
    report = gateways.verify(endpoint, again=gateways.INCONCLUSIVE)
    assert report["url"] == f"http://{endpoint.host}"
    status = endpoint.body()["status"]
    assert status["requestedVerification"]["request"] == report["request"]
    pod = endpoint.pod()
    assert RUN in pod["spec"]["containers"][0]["env"]
    assert status["verification"]["podTemplateHash"] == pod["metadata"]["labels"]["pod-template-hash"]


def test_a_pipeline_whose_edit_is_refused_does_not_end_with_the_old_pods_stream(
    endpoint: Endpoint,
) -> None:
    """The administrator's policy refuses an annotation: the pods that run stream on, and the pipeline fails."""
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    endpoint.change(podMetadata={"annotations": {"example.com/run": "2"}})
    endpoint.await_condition("Stalled", "True", "PodNotAllowed")
    code, report = streamctl("verify", endpoint.name, "-n", endpoint.namespace)
    assert (code, report["verdict"]) == (1, "PodNotAllowed"), report
