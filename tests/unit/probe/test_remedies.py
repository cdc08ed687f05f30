"""The table of remedies: complete, filled in, and of the right object."""

import re

import pytest

from streaming_operator.api.reasons import Hop
from streaming_operator.cli.probe import probe
from streaming_operator.probe.judge.finding import Symptom
from streaming_operator.probe.judge.remedies import TABLE, Names, Row, remedy

NGINX = Names("llm", "llm-key", "ingress-nginx", "IngressClass nginx", "llm.example", "my.prefix")
OTHER = Names("llm", "llm-key", "generic", "IngressClass other", "llm.example")
NOTHING_TO_DO = (Symptom.FINE, Symptom.BUNDLED)


@pytest.mark.parametrize("symptom", [one for one in Symptom if one not in NOTHING_TO_DO])
@pytest.mark.parametrize("names", [NGINX, OTHER], ids=["ingress-nginx", "generic"])
@pytest.mark.parametrize("hop", list(Hop))
def test_every_symptom_has_a_sentence(hop: Hop, names: Names, symptom: Symptom) -> None:
    """At each hop and behind each edge there is something to do, and no name is left blank."""
    advice = remedy(hop, symptom, names)
    assert advice
    assert not {"{", "}", "None"} & {*advice, advice}


@pytest.mark.parametrize(
    ("names", "symptom", "said"),
    [
        (NGINX, Symptom.GZIP_BLOCK, "gzip-types"),
        (NGINX, Symptom.SIZED_BURSTS, "my.prefix/proxy-buffering"),
        (NGINX, Symptom.IDLE_CUT, "exposure.timeouts.idleSeconds"),
        (OTHER, Symptom.GZIP_BLOCK, "ask the administrator of IngressClass other"),
        (OTHER, Symptom.TIMED_BURSTS, "http-no-delay"),
        (OTHER, Symptom.CERTIFICATE, "verification.tls.caConfigMapRef"),
    ],
)
def test_edge_remedies_name_field_and_value(names: Names, symptom: Symptom, said: str) -> None:
    """Which field of which object, or whom to ask."""
    assert said in remedy(Hop.EXPOSURE, symptom, names)


@pytest.mark.parametrize("hop", [Hop.POD, Hop.SERVICE])
def test_refused_key_names_secret_and_restart(hop: Hop) -> None:
    """vLLM reads its key at start: a changed Secret needs a restart."""
    advice = remedy(hop, Symptom.KEY_REFUSED, NGINX)
    assert "llm-key" in advice
    assert "kubectl rollout restart deployment/llm" in advice


def test_proxy_settings_never_cure_the_engine() -> None:
    """A pod that buffers is not repaired at the edge."""
    assert "gzip" not in remedy(Hop.POD, Symptom.BLOCK, NGINX)


def test_remedies_of_a_plain_probe_name_options() -> None:
    """A person's probe knows no cluster."""
    assert "--ca" in remedy(Hop.EXPOSURE, Symptom.CERTIFICATE, Names())


@pytest.mark.parametrize(
    "row", [row for row in TABLE.values() if row.scope == "url"], ids=lambda row: row.name
)
def test_an_option_that_is_named_exists(row: Row) -> None:
    """Advice for a plain URL names options of `streamctl probe` alone."""
    options = {name for parameter in probe.params for name in parameter.opts}
    assert set(re.findall(r"--[a-z0-9-]+", row.advice)) <= options


@pytest.mark.parametrize("symptom", NOTHING_TO_DO)
@pytest.mark.parametrize("hop", list(Hop))
def test_streaming_needs_no_advice(hop: Hop, symptom: Symptom) -> None:
    """What is fine stays as it is."""
    assert remedy(hop, symptom, OTHER) == ""
