"""The parts of `spec.exposure` that become an HTTPRoute, and what annotations a route may have."""

from typing import Annotated, ClassVar

from pydantic import Field

from streaming_operator.api.cel import CEL, Model, exactly_one, keys_match, keys_without
from streaming_operator.api.types import QUALIFIED_KEY, QUALIFIED_KEY_RULE, DnsLabel, DnsName, Unique

RouteAnnotations = Annotated[
    # One line: text with line breaks is how directives get into a proxy's configuration.
    dict[str, Annotated[str, Field(max_length=4096, pattern=r"^[^\x00-\x1f\x7f]*$")]],
    Field(max_length=32),
]
ANNOTATION_RULES = (
    keys_match("annotations", QUALIFIED_KEY, QUALIFIED_KEY_RULE),
    keys_without(
        "annotations",
        "snippet|/config-(backend|frontend|global|defaults|proxy|sections|tcp)",
        "snippets of proxy configuration are refused: the administrator sets such options for the whole controller",
    ),
)
"""Rules on the annotations of an Ingress or HTTPRoute."""


class ParentRef(Model):
    """A Gateway, or one listener of it."""

    name: DnsName
    """Name of the Gateway."""
    namespace: DnsLabel | None = None
    """Namespace of the Gateway; the endpoint's own if unset."""
    section_name: DnsName | None = None
    """Listener of the Gateway; every matching one if unset."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Port of the listeners; every one if unset."""


HeaderName = Annotated[str, Field(max_length=256, pattern=r"^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")]


class Header(Model):
    """One header."""

    name: HeaderName
    """Name of the header."""
    # Envoy, HAProxy, nginx and Kong have variables behind these two, of their own environment too.
    value: Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^$%\x00-\x1f\x7f]*$")]
    """Its value."""


class HeaderModifier(Model):
    """Changes of headers, as in the Gateway API."""

    set: Annotated[tuple[Header, ...], Field(max_length=16), Unique("name")] = ()
    """Headers that replace those of their names."""
    add: Annotated[tuple[Header, ...], Field(max_length=16), Unique("name")] = ()
    """Headers that are added."""
    remove: Annotated[tuple[HeaderName, ...], Field(max_length=16), Unique()] = ()
    """Names of headers that are taken away."""


class ExtensionRef(Model):
    """A filter of the Gateway's own kind in the endpoint's namespace, such as one that authenticates."""

    group: DnsName
    """API group of the filter."""
    kind: Annotated[str, Field(max_length=63, pattern=r"^[a-zA-Z0-9][-._a-zA-Z0-9]*$")]
    """Kind of the filter."""
    name: DnsName
    """Name of the filter."""

    cel: ClassVar = (
        CEL(
            "!self.kind.contains('Snippet')",
            lambda ref: "Snippet" not in ref.kind,
            "snippets of proxy configuration are refused",
            ".kind",
        ),
    )


class RouteFilter(Model):
    """One filter of an HTTPRoute, as in the Gateway API; exactly one of the members."""

    request_header_modifier: HeaderModifier | None = None
    """Changes headers of requests."""
    response_header_modifier: HeaderModifier | None = None
    """Changes headers of responses."""
    extension_ref: ExtensionRef | None = None
    """A filter of the Gateway's own."""

    cel: ClassVar = (exactly_one("requestHeaderModifier", "responseHeaderModifier", "extensionRef"),)


class HttpRoute(Model):
    """Expose by a Gateway API HTTPRoute, portable fields only."""

    parent_refs: Annotated[tuple[ParentRef, ...], Field(min_length=1, max_length=8)]
    """Gateways that carry the route."""
    annotations: RouteAnnotations = Field(default_factory=dict)
    """Annotations of the HTTPRoute; the administrator allows those beyond a short list."""
    filters: Annotated[tuple[RouteFilter, ...], Field(max_length=8)] = ()
    """Filters of every rule, in this order: headers, and the Gateway's own."""

    cel: ClassVar = ANNOTATION_RULES
