"""The table of remedies: complete, filled in, and of the right object."""

import re
from typing import Any

import pytest

from streaming_operator import routes
from streaming_operator.api import crd
from streaming_operator.api.endpoint import InvalidEndpoint, StreamingEndpoint
from streaming_operator.api.reasons import EXPLAINED, Hop
from streaming_operator.api.symptoms import Symptom
from streaming_operator.cli.probe import probe
from streaming_operator.probe.judge.remedies import NO_ADVICE, TABLE, Names, Row, remedy
from streaming_operator.values import Capabilities, Edge

NGINX = Names("llm", "llm-key", "ingress-nginx", "IngressClass nginx", "llm.example", "my.prefix")
OTHER = Names("llm", "llm-key", "generic", "IngressClass other", "llm.example")
ANNOTATION = re.compile(r"(?<![\w./-])[a-z0-9-]+(?:\.[a-z0-9-]+)+/[a-z][a-z0-9-]+")
FIELD = re.compile(r"(?<![\w.])(?:engine|exposure|model|rollout|startup|verification)(?:\.[a-z][A-Za-z]+)+")
SAID_ELSEWHERE = {
    "proxy.istio.io/config": "infrastructure.annotations of the Gateway",
    "konghq.com/read-timeout": "on the Service",
    "nginx.ingress.kubernetes.io/proxy-buffering": "which this operator sets",
    "nginx.ingress.kubernetes.io/proxy-read-timeout": "which this operator sets",
}
"""Annotations that no spec takes -> what the sentence says of where they are set."""
NOTHING_TO_DO = (Symptom.FINE, Symptom.BUNDLED)


@pytest.mark.parametrize("symptom", list(Symptom))
def test_every_symptom_of_a_url_has_advice(symptom: Symptom) -> None:
    """A sentence for whoever knows nothing but the URL, or the reason why none can be met there."""
    assert bool(remedy(Hop.EXPOSURE, symptom, Names())) != (symptom in NO_ADVICE)


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


def refusal(annotation: str) -> str:
    """Why an endpoint behind an edge of its controller may not have an annotation; empty when it may."""
    exposure = {"host": "a.example", "ingress": {"className": "edge", "annotations": {annotation: "1"}}}
    spec = {"model": {"source": {"local": {"path": "/m"}}}, "exposure": exposure}
    try:
        endpoint = StreamingEndpoint.from_body({"metadata": {"name": "a"}, "spec": spec})
    except InvalidEndpoint as invalid:
        return "; ".join(invalid.problems)
    of_nginx = annotation.startswith("nginx.ingress.kubernetes.io/")
    edge = Edge(profile="ingress-nginx" if of_nginx else "generic")
    return ", ".join(routes.refused_annotations(endpoint, Capabilities(False, False, {"edge": edge})))


@pytest.mark.parametrize(
    "row", [row for row in TABLE.values() if row.scope != "url"], ids=lambda row: row.name
)
def test_an_annotation_that_is_named_can_be_set(row: Row) -> None:
    """By `exposure.ingress.annotations` without the administrator, or the sentence says who sets it, or already did."""
    sentence = row.sentence(OTHER)
    refused = {name: why for name in ANNOTATION.findall(sentence) if (why := refusal(name))}

    assert {
        name: why
        for name, why in refused.items()
        if SAID_ELSEWHERE.get(name, "\0") not in sentence and " already" not in sentence
    } == {}


def test_annotations_are_recognised_in_the_remedies() -> None:
    """The test above would hold for a table in which it finds none."""
    named = {name for row in TABLE.values() for name in ANNOTATION.findall(row.sentence(OTHER))}

    assert {"nginx.org/proxy-buffering", "haproxy.org/timeout-server", *SAID_ELSEWHERE} <= named


def test_a_field_that_is_named_exists() -> None:
    """In the remedies of symptoms and of reasons."""
    sentences = [row.sentence(OTHER) for row in TABLE.values()]
    sentences += [explained.remedy for explained in EXPLAINED.values()]
    named = {name for sentence in sentences for name in FIELD.findall(sentence)}
    spec = crd.root_schema()["properties"]["spec"]

    def exists(path: str) -> bool:
        node: Any = spec
        for name in path.split("."):
            node = node.get("properties", {}).get(name)
            if node is None:
                return False
        return True

    assert {"exposure.timeouts.idleSeconds", "verification.request.maxTokens"} <= named
    assert sorted(name for name in named if not exists(name)) == []


@pytest.mark.parametrize("symptom", NOTHING_TO_DO)
@pytest.mark.parametrize("hop", list(Hop))
def test_streaming_needs_no_advice(hop: Hop, symptom: Symptom) -> None:
    """What is fine stays as it is."""
    assert remedy(hop, symptom, OTHER) == ""
