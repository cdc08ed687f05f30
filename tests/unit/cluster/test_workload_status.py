"""Why a workload is not up: what kubelet, scheduler and controllers say, as something a person can act on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streaming_operator.api.reasons import Reason
from streaming_operator.cluster.workload_status import LONGEST_LINE, last_line, of_workload, redacted
from streaming_operator.values import Problem

TRACEBACK = """\
(EngineCore pid=231) ERROR 11-21 11:38:09 [core.py:842] Traceback (most recent call last):
(EngineCore pid=231) ERROR 11-21 11:38:09 [core.py:842] ValueError: No available memory for the cache blocks.
(APIServer pid=1) Traceback (most recent call last):
(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed: {}
"""


def a_deployment(
    desired: int = 1, ready: int = 0, *conditions: dict[str, str], **status: int
) -> dict[str, Any]:
    """A Deployment whose controller has made all pods of the newest template."""
    counted = {"replicas": desired, "updatedReplicas": desired, "readyReplicas": ready, **status}
    return {"spec": {"replicas": desired}, "status": {**counted, "conditions": list(conditions)}}


def a_pod(*containers: dict[str, Any], **conditions: tuple[str, str]) -> dict[str, Any]:
    """A pod with these container states; conditions as type=(status, message)."""
    listed = [
        {"type": kind, "status": said, "message": message} for kind, (said, message) in conditions.items()
    ]
    return {
        "metadata": {"name": "chat-abc-xyz"},
        "spec": {"configMaps": [], "claims": [], "images": {"engine": "vllm/vllm-openai:v9"}},
        "status": {"conditions": listed, "containerStatuses": list(containers)},
    }


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    """The engine's container, waiting."""
    return {
        "name": "engine",
        "ready": False,
        "state": {"waiting": {"reason": reason, "message": message}},
        **more,
    }


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    """How a container ended."""
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


RUNNING: dict[str, Any] = {
    "name": "engine",
    "ready": False,
    "started": False,
    "state": {"running": {"startedAt": "x"}},
}
LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}


def the_problem(pod: dict[str, Any], *conditions: dict[str, str]) -> Problem:
    """The problem of a Deployment with that one pod."""
    problem = of_workload(a_deployment(1, 0, *conditions), [pod])
    assert problem is not None
    return problem


@pytest.mark.parametrize(
    ("pod", "reason", "named"),
    [
        (
            a_pod(
                PodScheduled=(
                    "False",
                    "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes",
                )
            ),
            Reason.UNSCHEDULABLE,
            "no node takes the pod: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu",
        ),
        (
            a_pod(PodScheduled=("False", 'persistentvolumeclaim "weights" not found')),
            Reason.CONFIG_MISSING,
            "PersistentVolumeClaim weights does not exist",
        ),
        (
            a_pod(waiting("ImagePullBackOff", 'Back-off pulling image "x": ErrImagePull: manifest unknown')),
            Reason.IMAGE_NOT_PULLED,
            "image vllm/vllm-openai:v9: the registry has no such image",
        ),
        (
            a_pod(waiting("ErrImagePull", "failed to pull: dial tcp: lookup registry: no such host")),
            Reason.IMAGE_NOT_PULLED,
            "the registry cannot be reached from the node",
        ),
        (
            a_pod(waiting("ErrImagePull", "401 Unauthorized")),
            Reason.IMAGE_NOT_PULLED,
            "set spec.imagePullSecrets",
        ),
        (a_pod(waiting("InvalidImageName")), Reason.IMAGE_NOT_PULLED, "no valid image name"),
        (
            a_pod(waiting("CreateContainerConfigError", 'secret "chat-key" not found')),
            Reason.CONFIG_MISSING,
            "Secret chat-key does not exist",
        ),
        (
            a_pod(waiting("CreateContainerConfigError", "couldn't find key api-key in Secret demo/chat-key")),
            Reason.CONFIG_MISSING,
            "Secret chat-key has no key api-key",
        ),
        (
            a_pod(
                waiting(
                    "CrashLoopBackOff",
                    "back-off 40s",
                    lastState=ended(1, message="x\nValueError: bad flag\n"),
                )
            ),
            Reason.CRASHING,
            "ended with exit code 1: ValueError: bad flag",
        ),
        (
            a_pod({**RUNNING, "lastState": ended(137, "OOMKilled")}),
            Reason.CRASHING,
            "killed for memory while the node had none left: set spec.resources.requests.memory",
        ),
        (a_pod(RUNNING), Reason.MODEL_LOADING, "loads its model"),
        (a_pod({**RUNNING, "started": True}), Reason.PODS_PENDING, "does not answer /health"),
        (a_pod(waiting("ContainerCreating")), Reason.PODS_PENDING, "the node prepares the pod"),
    ],
)
def test_a_pod_that_is_not_up_says_what_to_change(pod: dict[str, Any], reason: Reason, named: str) -> None:
    """Each known state of a pod has its reason, and its message names the thing."""
    problem = the_problem(pod)

    assert reason is problem.reason
    assert named in problem.message


def evicted(message: str, reason: str = "Evicted") -> dict[str, Any]:
    """A pod that the kubelet ended, with its words."""
    pod = a_pod()
    return {**pod, "status": {"phase": "Failed", "reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 700Mi. "
            "Container engine was using 13Gi, request is 0, has larger consumption of ephemeral-storage. ",
            "the node was low on ephemeral-storage: raise spec.resources.requests.ephemeral-storage",
        ),
        (
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 52Mi.",
            "raise spec.resources.requests.memory",
        ),
        (
            "Pod ephemeral local storage usage exceeds the total limit of containers 210Gi. ",
            "raise spec.resources.limits.ephemeral-storage",
        ),
        (
            'Usage of EmptyDir volume "cache" exceeds the limit "200Gi". ',
            "volume cache exceeds its 200Gi: raise spec.cache.emptyDir.sizeLimit",
        ),
        ("The node had condition: [PIDPressure]. ", "The node had condition: [PIDPressure]"),
    ],
)
def test_an_evicted_pod_names_what_to_raise(message: str, expected: str) -> None:
    """In the kubelet's own words (v1.36), and without amounts that differ from pod to pod."""
    problem = the_problem(evicted(message))

    assert problem.reason is Reason.EVICTED
    assert expected in problem.message
    assert "13Gi" not in problem.message


def test_a_pod_that_the_node_ends_or_does_not_admit_is_told() -> None:
    """A node that shuts down, and a device plugin that has no device left."""
    shutdown = the_problem(evicted("Pod was terminated in response to imminent node shutdown.", "Terminated"))
    refused = the_problem(evicted("Allocate failed due to no healthy devices", "UnexpectedAdmissionError"))

    assert shutdown.reason is Reason.EVICTED
    assert refused == Problem(
        Reason.UNSCHEDULABLE,
        "the node does not admit the pod (UnexpectedAdmissionError): Allocate failed due to no healthy devices",
    )


def test_a_sidecars_problem_carries_its_name() -> None:
    """The model server is not blamed for a proxy beside it, and its fields are not proposed."""
    crashed = the_problem(
        a_pod(
            {
                **waiting("CrashLoopBackOff", **{"lastState": ended(1, message="no cert")}),
                "name": "istio-proxy",
            }
        )
    )
    killed = the_problem(a_pod({**RUNNING, "name": "istio-proxy", "lastState": ended(137, "OOMKilled")}))

    assert crashed.message == "container istio-proxy ended with exit code 1: no cert"
    assert killed.message == "container istio-proxy was killed for memory while the node had none left"


def test_a_server_killed_for_memory_tells_its_limit() -> None:
    """The limit stands in the pod, and is what has to be raised."""
    pod = a_pod({**RUNNING, "lastState": ended(137, "OOMKilled")})
    pod["spec"]["memoryLimits"] = {"engine": "16Gi"}

    assert the_problem(pod).message == (
        "the model server was killed for memory at its limit of 16Gi: raise spec.resources.limits.memory"
    )


def test_the_message_is_the_same_at_every_stage_of_a_crash_loop() -> None:
    """Ended, backing off and running again read the same: no counter, no time, no pod name."""
    how = ended(1, message="2026-11-21 11:38:09 ERROR ValueError: bad flag")
    stages = [
        {"name": "engine", "ready": False, "state": how, "restartCount": 3},
        waiting("CrashLoopBackOff", "back-off 5m0s restarting", lastState=how, restartCount=4),
        {**RUNNING, "lastState": how, "restartCount": 5},
    ]

    assert len({the_problem(a_pod(stage)) for stage in stages}) == 1


def test_a_pull_that_fails_reads_the_same_while_it_backs_off() -> None:
    """ErrImagePull and ImagePullBackOff take turns; the condition does not."""
    cause = "rpc error: code = NotFound desc = failed to resolve reference: not found"
    texts = [
        ("ErrImagePull", cause),
        ("ImagePullBackOff", f'Back-off pulling image "x": ErrImagePull: {cause}'),
    ]

    assert len({the_problem(a_pod(waiting(*text))) for text in texts}) == 1


def test_a_start_that_took_too_long_is_reported_as_such() -> None:
    """After the progress deadline a server that was killed or loads has timed out, one that crashed has not."""
    assert the_problem(a_pod(RUNNING), LATE).reason is Reason.STARTUP_TIMED_OUT
    killed = a_pod({**RUNNING, "lastState": ended(137)})
    assert the_problem(killed, LATE).reason is Reason.STARTUP_TIMED_OUT
    assert the_problem(a_pod({**RUNNING, "lastState": ended(1)}), LATE).reason is Reason.CRASHING


@pytest.mark.parametrize(
    ("lived", "code", "reason"),
    [
        (61, 130, Reason.STARTUP_TIMED_OUT),
        (61, 143, Reason.STARTUP_TIMED_OUT),
        (61, 0, Reason.STARTUP_TIMED_OUT),
        (61, 1, Reason.CRASHING),
        (20, 143, Reason.CRASHING),
        (86_400, 143, Reason.CRASHING),
    ],
)
def test_a_server_stopped_when_its_start_had_to_be_over_has_timed_out(
    lived: int, code: int, reason: Reason
) -> None:
    """Long before the progress deadline: it lived as long as a start may take, and was stopped by a signal."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    how = ended(code, "Completed" if code == 0 else "Error")
    how["terminated"]["startedAt"] = began.strftime("%Y-%m-%dT%H:%M:%SZ")
    how["terminated"]["finishedAt"] = (began + timedelta(seconds=lived)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for stage in ({**RUNNING, "lastState": how}, waiting("CrashLoopBackOff", lastState=how)):
        pod = a_pod(stage)
        pod["spec"] |= {"startSeconds": {"engine": 60}, "graceSeconds": 20}

        assert reason is the_problem(pod).reason


def test_refused_pods_name_the_cause_and_no_pod() -> None:
    """Quota, Pod Security and a missing service account are quoted from the Deployment's condition."""

    def refused(message: str) -> Problem | None:
        condition = {"type": "ReplicaFailure", "status": "True", "message": message}
        return of_workload(a_deployment(1, 0, condition, replicas=0, updatedReplicas=0), [])

    account = refused(
        'pods "chat-5d-" is forbidden: error looking up service account demo/x: serviceaccount "x" not found'
    )
    assert account == Problem(
        Reason.CONFIG_MISSING,
        "ServiceAccount x does not exist: create it or correct spec.serviceAccountName",
    )
    quota = refused('pods "chat-5d9f-x2k4j" is forbidden: exceeded quota: gpus')
    assert quota == Problem(
        Reason.PODS_PENDING, "the cluster refuses the pods: the pod is forbidden: exceeded quota: gpus"
    )


def test_the_worst_problem_is_reported() -> None:
    """What a person must repair comes before what may pass by itself."""
    pods = [a_pod(RUNNING), a_pod(waiting("CreateContainerConfigError", 'secret "k" not found'))]
    problem = of_workload(a_deployment(2, 0), pods)

    assert problem is not None
    assert problem.reason is Reason.CONFIG_MISSING


def test_a_settled_workload_has_no_trouble() -> None:
    """All replicas new and ready, none wanted, or no Deployment yet: no problem."""
    assert of_workload(a_deployment(1, 1), [a_pod(Ready=("True", ""))]) is None
    assert of_workload(a_deployment(0, 0), []) is None
    assert of_workload({}, []) is None


def test_old_pods_that_finish_their_streams_are_a_rollout() -> None:
    """A new pod that has to wait for an old one is no fault."""
    problem = of_workload(a_deployment(1, 0, replicas=1, updatedReplicas=0), [])

    assert problem is not None
    assert problem.reason is Reason.ROLLING_OUT


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("token hf_AbCdEfGhIjKlMnOp refused", "hf_AbCdEfGhIjKlMnOp"),
        ("Authorization: Bearer abc.def.ghi", "abc.def.ghi"),
        ("key sk-proj-1234567890 is wrong", "sk-proj-1234567890"),
        ("password=hunter2 does not work", "hunter2"),
        ("API_KEY=topsecret", "topsecret"),
        ("proxy http://user:pw@proxy:3128 refused", "user:pw"),
    ],
)
def test_nothing_that_looks_like_a_secret_is_quoted(text: str, secret: str) -> None:
    """Keys, tokens and passwords are cut out, the rest stays."""
    assert secret not in redacted(text)
    assert "[redacted]" in redacted(text)


def test_the_last_line_of_a_refused_configuration_is_the_error() -> None:
    """As vLLM 0.32 printed it: pydantic adds the input and an address, which say nothing."""
    message = (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
        "  Value error, User-specified max_model_len (999999) is greater than the derived max_model_len "
        "[type=value_error, input_value=ArgsKwargs((), {'model': ...nderer_num_workers': 1}), input_type=ArgsKwargs]\n"
        "    For further information visit https://errors.pydantic.dev/2.14/v/value_error"
    )

    assert last_line(message) == (
        "Value error, User-specified max_model_len (999999) is greater than the derived max_model_len"
    )


def test_the_last_line_points_at_the_cause() -> None:
    """Log prefixes go, a pointer to a cause above is followed, and the quote is short."""
    assert last_line(TRACEBACK) == "ValueError: No available memory for the cache blocks."
    assert last_line("\n\n") == ""
    assert len(last_line("x" * 5000)) == LONGEST_LINE
