"""
Every status that the operator wrote in this run, judged by kstatus: with this library Flux decides that an apply ended.

It judges what all the others made the operator write, so it waits until they have ended, wherever they run.
"""

import pytest

from tests.e2e import audit
from tests.gitops.judges import kstatus

pytestmark = [pytest.mark.programs("kstatus"), pytest.mark.usefixtures("others_ended")]


def meant(endpoint: dict) -> str:
    """What the conditions are meant to say to kstatus."""
    true = {entry["type"] for entry in endpoint["status"]["conditions"] if entry["status"] == "True"}
    if "deletionTimestamp" in endpoint["metadata"]:
        return "Terminating"
    if endpoint["metadata"]["generation"] != endpoint["status"]["observedGeneration"]:
        return "InProgress"
    return "Failed" if "Stalled" in true else "Current" if "Ready" in true else "InProgress"


def test_kstatus_reads_every_status_as_it_is_meant(cluster: int) -> None:
    """Ready is current, Stalled is failed, everything else in progress, at every moment of every test."""
    history = audit.statuses(cluster)
    wrong = [
        (endpoint["metadata"]["namespace"], verdict, endpoint["status"]["conditions"])
        for endpoint, verdict in zip(history, kstatus(history), strict=True)
        if verdict != meant(endpoint)
    ]
    assert wrong == []


@pytest.mark.usefixtures("whole_run")
def test_the_run_showed_every_end_of_an_apply(cluster: int) -> None:
    """What was judged holds all three: done, failed and not yet."""
    assert set(kstatus(audit.statuses(cluster))) >= {"Current", "Failed", "InProgress"}
