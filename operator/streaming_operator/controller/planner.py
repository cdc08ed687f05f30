"""
What one verification needs, gathered from the cluster: where the edge listens, and what Secrets and the CA bundle hold.

Trouble with it says nothing about the endpoint: it becomes a `Problem` of the verification, never an error of the pass.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

from streaming_operator import probe
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Reason
from streaming_operator.cluster import Cluster, pod_policy
from streaming_operator.errors import ClusterError, Forbidden, NotFound, Rejected
from streaming_operator.probe.http.request import ExtraHeader
from streaming_operator.probe.http.tls import ClientCertificate
from streaming_operator.settings import Settings, covers
from streaming_operator.values import EdgeAddress, Observed, Problem


class Planner:
    """Makes plans of verifications; keeps nothing between two of them, least of all a key."""

    def __init__(self, cluster: Cluster, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._read_secrets = settings.read_secrets
        self._key_hosts = settings.key_hosts
        self._pod_policy = settings.pod_policy
        self._quotes = settings.quote_servers
        self._clock = clock
        against = probe.api_server(urlsplit(cluster.server).hostname or "")
        self._guard = replace(
            against,
            refused_by_dns=against.refused_by_dns + settings.forbidden_addresses,
            allowed_by_dns=settings.allowed_addresses,
        )

    async def plan(
        self, endpoint: StreamingEndpoint, observed: Observed, trigger: probe.Trigger
    ) -> probe.Plan | Problem:
        """The plan of one verification, or what keeps it from being made."""
        edge = await self._edge(endpoint)
        if isinstance(edge, Problem):
            return edge
        problem = self._secrets_not_read(endpoint) or self._secrets_not_sent(endpoint, edge)
        if problem is not None:
            return problem
        try:
            credentials = await self._credentials(endpoint)
        except (Forbidden, NotFound, Rejected) as error:
            return Problem(Reason.SECRET_NOT_READABLE, str(error))
        except ClusterError as error:
            return Problem(error.reason, str(error))
        return probe.plan_for(
            endpoint,
            observed,
            capabilities=self._cluster.capabilities(),
            edge=edge,
            credentials=credentials,
            trigger=trigger,
            guard=self._guard,
            clock=self._clock,
            quotes=self._quotes,
            canaries=self._cluster.canary_headers(endpoint),
        )

    async def _edge(self, endpoint: StreamingEndpoint) -> EdgeAddress | Problem | None:
        """Where the edge listens; None leaves it to DNS of the host."""
        if endpoint.spec.exposure is None:
            return None
        try:
            listening = await self._cluster.edge_addresses(endpoint)
        except NotFound as error:
            return Problem(
                Reason.EDGE_ADDRESS_UNKNOWN,
                f"{error}. The operator's chart names this Service in edges[].service: correct it there",
            )
        except Forbidden as error:
            return Problem(Reason.EDGE_ADDRESS_UNKNOWN, str(error))
        except ClusterError as error:
            return Problem(error.reason, str(error))
        address = next(iter(listening.addresses), None)
        return None if address is None else EdgeAddress(address, listening.http_port, listening.https_port)

    def _secrets_not_read(self, endpoint: StreamingEndpoint) -> Problem | None:
        """Why no Secret is read: the operator has no right to, or the administrator does not list one."""
        fields = [f"spec.{field}" for field, _ in pod_policy.sent_secrets(endpoint.spec)]
        if fields and not self._read_secrets:
            return Problem(
                Reason.SECRET_NOT_READABLE,
                "The chart's value rbac.readSecrets is false, so that no probe can send what "
                f"{', '.join(fields)} names: set it to true, or spec.verification.mode to Disabled",
            )
        if refused := pod_policy.refused_credentials(endpoint, self._pod_policy):
            return Problem(
                Reason.SECRET_NOT_READABLE,
                f"The administrator's podPolicy does not allow {'; '.join(map(str, refused))}. No probe is sent: name "
                "another Secret, or let the administrator list it in the operator's chart",
            )
        return None

    def _secrets_not_sent(self, endpoint: StreamingEndpoint, edge: EdgeAddress | None) -> Problem | None:
        """
        Why keys must stay here: a host that the endpoint's author chose and DNS resolves may be anybody's, and who
        may create endpoints need not be one who may read Secrets.
        """
        spec = endpoint.spec
        fields = [f"spec.{field}" for field, _ in pod_policy.sent_secrets(spec)]
        if not fields:
            return None
        public = urlsplit(spec.verification.public_url or "").hostname
        exposed = spec.exposure.all_hosts if spec.exposure is not None and edge is None else ()
        named = [("verification.publicURL", public), *(("exposure", host) for host in exposed)]
        for field, host in named:
            if host and not any(covers(pattern, host) for pattern in self._key_hosts):
                return Problem(
                    Reason.KEY_NOT_SENT,
                    f"Only DNS says where {host} (spec.{field}) is, and the administrator allows nothing of "
                    f"{', '.join(fields)} there: add it to settings.keyHosts in the values of the operator's chart"
                    + (", or the edge to edges[]" if host in exposed else ""),
                )
        return None

    async def _credentials(self, endpoint: StreamingEndpoint) -> probe.Credentials:
        """What Secrets and the CA bundle hold, read only now and kept nowhere."""
        return probe.Credentials(
            await self._key(endpoint),
            await self._ca(endpoint),
            await self._headers(endpoint),
            await self._identity(endpoint),
        )

    async def _key(self, endpoint: StreamingEndpoint) -> probe.ApiKey | None:
        """The key that clients send."""
        ref = endpoint.spec.engine.api_key_secret_ref
        if ref is None:
            return None
        return probe.ApiKey(await self._cluster.read_secret_key(endpoint.namespace, ref.name, ref.key))

    async def _ca(self, endpoint: StreamingEndpoint) -> str | None:
        """The CA bundle that the edge's certificate is checked with; None for the system's."""
        ref = endpoint.spec.verification.tls.ca_config_map_ref
        if ref is None:
            return None
        return await self._cluster.read_config_map_key(endpoint.namespace, ref.name, ref.key)

    async def _headers(self, endpoint: StreamingEndpoint) -> tuple[ExtraHeader, ...]:
        """The headers that the gateway before the edge wants."""
        ref = endpoint.spec.verification.headers_secret_ref
        if ref is None:
            return ()
        entries = await self._cluster.read_secret_entries(endpoint.namespace, ref.name)
        return probe.headers_of(f"{endpoint.namespace}/{ref.name}", entries)

    async def _identity(self, endpoint: StreamingEndpoint) -> ClientCertificate | None:
        """The client certificate that the users' address asks for."""
        ref = endpoint.spec.verification.tls.client_cert_secret_ref
        if ref is None:
            return None
        entries = await self._cluster.read_secret_entries(endpoint.namespace, ref.name, probe.IDENTITY_KEYS)
        return probe.identity_of(f"{endpoint.namespace}/{ref.name}", entries)
