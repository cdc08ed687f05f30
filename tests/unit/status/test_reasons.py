"""Every reason of StreamingVerified is caused somewhere by the real thing; this is the list of where."""

from pathlib import Path

import pytest

from streaming_operator.api.reasons import Reason, Verdict
from tests.probe.zoo.table import CASES

TESTS = Path(__file__).resolve().parents[2]
ZOO = "probe/zoo/test_zoo.py::test_case"
"""Real proxies and model servers; the table of cases says which."""

SEEN: dict[Verdict | Reason, str] = {
    Verdict.STREAMING: "e2e/test_real_vllm.py::test_ready_means_that_users_get_a_stream",
    Verdict.BUFFERED: "e2e/test_buffering_edge.py::test_not_ready_and_the_edge_is_named",
    Verdict.COALESCED: ZOO,
    Verdict.TRUNCATED: ZOO,
    Verdict.IDLE_TIMEOUT: ZOO,
    Verdict.TOTAL_TIMEOUT: ZOO,
    Verdict.ERROR_IN_STREAM: ZOO,
    Verdict.NO_DONE_MARKER: ZOO,
    Verdict.ABORTED: ZOO,
    Verdict.TTFT_EXCEEDED: "loop/test_verification.py::test_slower_than_promised",
    Verdict.CHUNK_GAP_EXCEEDED: "probe/test_checks.py::test_a_pause_longer_than_promised",
    Verdict.AUTH_REJECTED: "e2e/test_real_vllm.py::test_a_secret_changed_under_a_running_pod_is_named",
    Verdict.AUTH_NOT_ENFORCED: "e2e/test_buffering_edge.py::test_an_edge_that_adds_the_key_is_named",
    Verdict.TLS_ERROR: "e2e/test_real_vllm.py::test_tls_of_a_private_ca_is_refused_until_the_probe_knows_it",
    Verdict.DNS_UNRESOLVED: "e2e/test_checks.py::test_a_name_cannot_lead_the_probe_inside",
    Verdict.ROUTE_NOT_FOUND: ZOO,
    Verdict.UPSTREAM_ERROR: ZOO,
    Verdict.UNREACHABLE: "e2e/test_checks.py::test_a_name_cannot_lead_the_probe_inside",
    Verdict.CANCEL_IGNORED: "probe/test_checks.py::test_an_edge_that_goes_on_without_its_client",
    Verdict.WRONG_MODEL: "probe/test_served_model.py::test_another_model_under_our_name_is_not_streaming",
    Verdict.INCONCLUSIVE: "loop/test_verification.py::test_too_short_to_judge_is_no_verdict",
    Reason.PENDING: "loop/test_verification.py::test_required_is_ready_only_after_a_stream",
    Reason.DISABLED: "loop/test_verification.py::test_disabled_sends_nothing",
    Reason.EDGE_ADDRESS_UNKNOWN: "e2e/test_missing_kinds.py::*",
    Reason.KEY_NOT_SENT: "security/test_key_hosts.py::test_the_key_goes_to_no_host_that_only_dns_knows",
    Reason.SECRET_NOT_READABLE: "e2e/test_chart.py::*",
}
"""Reason -> the test in which it comes about; `*` is any of the file."""

NEVER = {
    Verdict.ENGINE_BATCHED: "the path is fine: the reason is Streaming, the verdict stands in the status"
}


def test_no_reason_goes_unseen() -> None:
    """Each verdict, and each reason that is none, has its test."""
    others = {
        Reason.PENDING,
        Reason.DISABLED,
        Reason.EDGE_ADDRESS_UNKNOWN,
        Reason.KEY_NOT_SENT,
        Reason.SECRET_NOT_READABLE,
    }
    assert {*SEEN, *NEVER} == {*Verdict, *others}


@pytest.mark.parametrize("reason", SEEN, ids=str)
def test_the_test_is_there_and_speaks_of_it(reason: Verdict | Reason) -> None:
    """A test that was renamed or changed takes its entry along."""
    if SEEN[reason] == ZOO:
        assert any(case.expected is reason for case in CASES)
        return
    file, _, name = SEEN[reason].partition("::")
    text = (TESTS / file).read_text()
    if name != "*":
        text = text[text.index(f"def {name}(") :].partition("\n\n\n")[0]
    words = (f'"{reason}"', f"Verdict.{reason.name}", f"Reason.{reason.name}")
    assert any(word in text for word in words)
