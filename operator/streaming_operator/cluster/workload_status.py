"""
Why a workload is not up, in words a person can act on. Pure.

Messages are the same from look to look: no pod names, counters or times, and never a secret.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from streaming_operator.api.reasons import Reason
from streaming_operator.cluster import startup_failures
from streaming_operator.foreign_text import readable
from streaming_operator.render.deployment import CONTAINER_NAME
from streaming_operator.values import Problem

LONGEST_LINE = 256
"""Characters of an engine's last line that a condition quotes."""

STOPPING_MARGIN_SECONDS = 30
"""The startup probe's own period and a busy node, on top of start and grace."""

_WORST_FIRST = (
    Reason.CONFIG_MISSING,
    Reason.IMAGE_NOT_PULLED,
    Reason.CRASHING,
    Reason.STARTUP_TIMED_OUT,
    Reason.EVICTED,
    Reason.UNSCHEDULABLE,
    Reason.PODS_PENDING,
    Reason.MODEL_LOADING,
)

_SECRETS = re.compile(
    r"(hf_[A-Za-z0-9]{6,}|sk-[A-Za-z0-9_-]{6,}|eyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*"
    r"|(?i:(?<=bearer )|(?<=basic ))\S+"
    r"|(?i:(?<=token=)|(?<=token: )|(?<=key=)|(?<=key: )|(?<=password=)|(?<=password: )"
    r"|(?<=secret=)|(?<=secret: ))"
    r"[^\s,;&]+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@))"
)
_LOG_PREFIX = re.compile(
    r"^(?:\([^)]*pid=\d+\)\s*)?(?:(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b:?\s*)?(?:[\d-]+[T ])?"
    r"(?:\d\d:\d\d:\d\d[.,\d]*Z?\s*)?(?:\[[\w./]+:\d+\]\s*)?"
)
_FURTHER_INFORMATION = "For further information visit"
"""How pydantic ends a report: with an address, below the error itself."""
_VALIDATION_INPUT = re.compile(r" \[type=[a-z_]+, input_value=.*\]$")
"""What pydantic appends to an error: the input that it refused."""
_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
_CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_NOT_ADMITTED = frozenset(
    {
        "UnexpectedAdmissionError",
        "NodeAffinity",
        "NodeName",
        "NodePorts",
        "NodeUnschedulable",
        "AppArmor",
        "Taint",
    }
)
"""Reasons of the kubelet beside `OutOf<resource>`."""
_VOLUME_FIELDS = {"cache": "spec.cache.emptyDir.sizeLimit", "shm": "spec.engine.sharedMemorySize"}
"""By the volume's name in the pod (`render/volumes.py`)."""
_IMAGE_CAUSES = (
    (
        ("toomanyrequests", "429"),
        "the registry limits the rate: pull through a mirror or set spec.imagePullSecrets",
    ),
    (
        ("unauthorized", "denied", "authorization", "authentication", "forbidden"),
        "the registry refuses access: set spec.imagePullSecrets, or check the name",
    ),
    (
        ("not found", "manifest unknown", "notfound", "no such image"),
        "the registry has no such image: check spec.engine.image",
    ),
    (
        ("no such host", "dial tcp", "i/o timeout", "connection refused", "deadline exceeded", "tls"),
        "the registry cannot be reached from the node",
    ),
)


def of_workload(deployment: dict[str, Any], pods: Sequence[dict[str, Any]]) -> Problem | None:
    """The worst problem of a Deployment and its newest pods; None when all replicas are ready and new."""
    if not deployment:
        return None
    status = deployment.get("status") or {}
    wanted = int((deployment.get("spec") or {}).get("replicas") or 0)
    settled = wanted == int(status.get("readyReplicas") or 0) == int(status.get("updatedReplicas") or 0)
    if wanted == 0 or (settled and int(status.get("replicas") or 0) == wanted):
        return None
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    late = (conditions.get("Progressing") or {}).get("reason") == "ProgressDeadlineExceeded"
    problems = [
        _refused(conditions),
        *(problem for pod in pods if not _leaving(pod) for problem in _of_pod(pod, late)),
    ]
    real = [problem for problem in problems if problem is not None]
    if real:
        return min(real, key=lambda problem: (_WORST_FIRST.index(problem.reason), problem.message))
    if int(status.get("replicas") or 0) > int(status.get("updatedReplicas") or 0):
        return Problem(
            Reason.ROLLING_OUT, "pods of an earlier version finish their streams before the new ones start"
        )
    return None


def of_pod(pod: dict[str, Any]) -> Problem | None:
    """The worst problem of one pod; None when it is ready."""
    problems = list(_of_pod(pod, late=False))
    return min(problems, key=lambda problem: _WORST_FIRST.index(problem.reason)) if problems else None


def redacted(text: str) -> str:
    """*text* as one line that is safe to show, without anything that looks like a key, a token or a password."""
    return _SECRETS.sub("[redacted]", readable(text))


def last_line(message: str) -> str:
    """The line of a termination message that tells most: the last one, or the cause that it points at."""
    lines = [
        _VALIDATION_INPUT.sub("", line)
        for raw in message.splitlines()
        if (line := _LOG_PREFIX.sub("", raw.strip()).strip()) and not line.startswith(_FURTHER_INFORMATION)
    ]
    if not lines:
        return ""
    line = lines[-1]
    if "root cause above" in line.lower():
        causes = (
            earlier
            for earlier in reversed(lines[:-1])
            if re.match(r"^[\w.]*(?:Error|Exception)\b", earlier)
            and "root cause above" not in earlier.lower()
        )
        line = next(causes, line)
    return redacted(line)[:LONGEST_LINE]


def _leaving(pod: dict[str, Any]) -> bool:
    """Whether a pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def _refused(conditions: dict[str, dict[str, Any]]) -> Problem | None:
    """Pods that may not be made: quota, Pod Security, a missing service account."""
    failure = conditions.get("ReplicaFailure") or {}
    if failure.get("status") != "True":
        return None
    text = re.sub(r'pods? "[^"]*"', "the pod", str(failure.get("message", "")))
    account = re.search(r'serviceaccounts? "([^"]+)" not found', text)
    if account:
        return Problem(
            Reason.CONFIG_MISSING,
            f"ServiceAccount {account[1]} does not exist: create it or correct spec.serviceAccountName",
        )
    return Problem(Reason.PODS_PENDING, f"the cluster refuses the pods: {redacted(text)[:LONGEST_LINE]}")


def _of_pod(pod: dict[str, Any], late: bool) -> Iterator[Problem]:
    """Everything that keeps one pod from being ready."""
    status = pod["status"]
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    if (conditions.get("Ready") or {}).get("status") == "True":
        return
    if status.get("phase") == "Failed" and status.get("reason"):
        yield _ended_by_the_node(str(status["reason"]), str(status.get("message") or ""))
        return
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        yield _unscheduled(scheduled)
        return
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    problems = [problem for container in containers for problem in _of_container(pod, container, late)]
    yield from problems
    if not problems:
        yield Problem(Reason.PODS_PENDING, _waiting_for(pod))


def _ended_by_the_node(reason: str, text: str) -> Problem:
    """A pod that the kubelet evicted, ended or did not admit; without its amounts, which differ from pod to pod."""
    if reason != "Evicted":
        quoted = f": {redacted(text)[:LONGEST_LINE]}" if text else ""
        if reason in _NOT_ADMITTED or reason.startswith("OutOf"):
            return Problem(Reason.UNSCHEDULABLE, f"the node does not admit the pod ({reason}){quoted}")
        return Problem(Reason.EVICTED, f"the node ended the pod ({reason}){quoted}")
    volume = re.search(r'EmptyDir volume "([^"]+)" exceeds the limit "([^"]+)"', text)
    if volume:
        field = _VOLUME_FIELDS.get(volume[1], f"the limit of volume {volume[1]}")
        return Problem(
            Reason.EVICTED, f"the pod was evicted: volume {volume[1]} exceeds its {volume[2]}: raise {field}"
        )
    if "exceed" in text and "ephemeral" in text:
        return Problem(
            Reason.EVICTED,
            "the pod was evicted: it uses more ephemeral-storage than its limit: raise "
            "spec.resources.limits.ephemeral-storage, or keep the cache on a claim (spec.cache.persistentVolumeClaim)",
        )
    low = re.search(r"low on resource: ([\w.-]*\w)", text)
    if low:
        return Problem(
            Reason.EVICTED,
            f"the pod was evicted: the node was low on {low[1]}: raise spec.resources.requests.{low[1]}, so that "
            "the scheduler finds a node with room",
        )
    return Problem(Reason.EVICTED, f"the pod was evicted: {redacted(text)[:LONGEST_LINE]}")


def _unscheduled(condition: dict[str, Any]) -> Problem:
    """What the scheduler says, without the part about preemption, which changes from try to try."""
    text = (
        str(condition.get("message") or "the scheduler has not placed the pod yet")
        .split(" preemption:")[0]
        .rstrip(". ")
    )
    claim = re.search(r'persistentvolumeclaim "([^"]+)" not found', text)
    if claim:
        return Problem(
            Reason.CONFIG_MISSING,
            f"PersistentVolumeClaim {claim[1]} does not exist: create it or correct its name in spec",
        )
    if condition.get("reason") == "SchedulingGated":
        return Problem(Reason.PODS_PENDING, "a scheduling gate holds the pod back")
    return Problem(Reason.UNSCHEDULABLE, f"no node takes the pod: {text}")


def _of_container(pod: dict[str, Any], container: dict[str, Any], late: bool) -> Iterator[Problem]:
    """What keeps one container from being ready."""
    if container.get("ready"):
        return
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, text = waiting.get("reason", ""), str(waiting.get("message") or "")
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    image = pod["spec"]["images"].get(container["name"], container.get("image", ""))
    if reason in _IMAGE_REASONS:
        yield Problem(Reason.IMAGE_NOT_PULLED, f"image {image}: {_image_cause(reason, text)}")
    elif reason in _CONFIG_REASONS and not (reason == "RunContainerError" and ended):
        yield _misconfigured(text)
    elif ended and (_outlived_its_start(pod, container, ended) or (late and _stopped(ended, state))):
        yield _too_late(_subject(container), last_line(str(ended.get("message") or "")))
    elif ended and not (
        ended.get("reason") == "Completed" and ended.get("exitCode") == 0 and "running" in state
    ):
        yield _crashed(pod, container, ended)
    elif "running" in state:
        if container["name"] != CONTAINER_NAME:
            yield Problem(Reason.PODS_PENDING, f"{_subject(container)} runs and is not ready")
        elif late:
            yield _too_late(_subject(container), "")
        elif container.get("started"):
            yield Problem(Reason.PODS_PENDING, "the model server runs but does not answer /health")
        else:
            yield Problem(Reason.MODEL_LOADING, "the model server runs and loads its model")


def _stopped(ended: dict[str, Any], state: dict[str, Any]) -> bool:
    """Whether a container that runs or waits again was stopped from outside before."""
    return _by_signal(ended) and "terminated" not in state


def _by_signal(ended: dict[str, Any]) -> bool:
    """How servers end that the kubelet stops: cleanly, interrupted while they load (130), or by force."""
    return ended.get("exitCode") in (0, 130, 137, 143) and ended.get("reason") != "OOMKilled"


def _outlived_its_start(pod: dict[str, Any], container: dict[str, Any], ended: dict[str, Any]) -> bool:
    """
    Whether the startup probe's time was over: the kubelet tells so in an event only, but the times fit.

    It lived as long as it may take to start, and not longer than being stopped then takes.
    """
    budget: int | None = pod["spec"].get("startSeconds", {}).get(container["name"])
    if budget is None or not _by_signal(ended) or not ended.get("startedAt") or not ended.get("finishedAt"):
        return False
    lived = datetime.fromisoformat(ended["finishedAt"]) - datetime.fromisoformat(ended["startedAt"])
    stopping = int(pod["spec"]["graceSeconds"]) + STOPPING_MARGIN_SECONDS
    return budget <= lived.total_seconds() <= budget + stopping


def _image_cause(reason: str, text: str) -> str:
    """Why an image is not pulled: a few known causes, worded the same at each try."""
    if reason == "InvalidImageName":
        return "this is no valid image name: correct spec.engine.image"
    if reason == "ErrImageNeverPull":
        return "the node does not have it and spec.engine.imagePullPolicy is Never"
    lowered = text.lower()
    return next(
        (remedy for words, remedy in _IMAGE_CAUSES if any(word in lowered for word in words)),
        "it cannot be pulled",
    )


def _misconfigured(text: str) -> Problem:
    """A Secret, ConfigMap or key that the container needs and that does not exist."""
    missing = re.search(r'(secret|configmap) "([^"]+)" not found', text)
    if missing:
        kind = {"secret": "Secret", "configmap": "ConfigMap"}[missing[1]]
        return Problem(
            Reason.CONFIG_MISSING,
            f"{kind} {missing[2]} does not exist: create it or correct its name in spec",
        )
    key = re.search(r"couldn't find key (\S+) in (Secret|ConfigMap) (?:\S+/)?(\S+)", text)
    if key:
        return Problem(
            Reason.CONFIG_MISSING, f"{key[2]} {key[3]} has no key {key[1]}: add it or correct the key in spec"
        )
    return Problem(Reason.CONFIG_MISSING, f"the container cannot be made: {redacted(text)[:LONGEST_LINE]}")


def running_image(pod: dict[str, Any]) -> str:
    """The engine's image as the kubelet runs it, by its digest where it came from a registry; else empty."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    image = next((c.get("imageID") or "" for c in statuses if c["name"] == CONTAINER_NAME), "")
    return str(image).rpartition("://")[2]


def _subject(container: dict[str, Any]) -> str:
    """What a message calls a container."""
    name = container["name"]
    return "the model server" if name == CONTAINER_NAME else f"container {name}"


def _crashed(pod: dict[str, Any], container: dict[str, Any], ended: dict[str, Any]) -> Problem:
    """A container that ended, with what to change where its last lines are recognised, and its last line."""
    subject, is_engine = _subject(container), container["name"] == CONTAINER_NAME
    if ended.get("reason") == "OOMKilled":
        limit = pod["spec"].get("memoryLimits", {}).get(container["name"])
        reached = f"at its limit of {limit}" if limit else "while the node had none left"
        change = "raise spec.resources.limits.memory" if limit else "set spec.resources.requests.memory"
        return Problem(
            Reason.CRASHING,
            f"{subject} was killed for memory {reached}" + (f": {change}" if is_engine else ""),
        )
    message = str(ended.get("message") or "")
    parts = [
        f"{subject} ended with exit code {ended.get('exitCode')}",
        (startup_failures.advice(message) or "") if is_engine else "",
        last_line(message),
    ]
    return Problem(Reason.CRASHING, ": ".join(part for part in parts if part))


def _too_late(subject: str, line: str) -> Problem:
    """A start that took longer than it may."""
    return Problem(
        Reason.STARTUP_TIMED_OUT,
        f"{subject} was not healthy in time: raise spec.startup.timeoutSeconds, or see its log"
        + (f" ({line})" if line else ""),
    )


def _waiting_for(pod: dict[str, Any]) -> str:
    """What a pod without a container state probably waits for."""
    claims: Iterable[str] = pod["spec"]["claims"]
    volumes = f" or a volume ({', '.join(sorted(claims))})" if claims else ""
    return f"the node prepares the pod: it pulls the image{volumes}"
