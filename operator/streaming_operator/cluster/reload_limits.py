"""
How long an edge lets streams end when it loads a new configuration, which anybody's route can make it do.

It is read where the edge's administrator sets it: in the ConfigMap that the edge's chart and manifests call as they
call its Service. Only of edges whose Service the operator's administrator has named, and only where ConfigMaps may be
read.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import replace

from streaming_operator import routes
from streaming_operator.cluster import resources
from streaming_operator.errors import ClusterError, NotFound
from streaming_operator.kube.client import Transport
from streaming_operator.values import Edge

ROUND_SECONDS = 300.0
"""Between two looks: administrators change it seldom."""

_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_TIME = re.compile(r"(\d{1,9})(ms|[smhd]?)")

log = logging.getLogger(__name__)


class ReloadLimits:
    """The limits of the edges that were asked for, by their Services."""

    def __init__(self, transport: Transport, namespaces: tuple[str, ...]) -> None:
        """ConfigMaps may be read in *namespaces*, or in all of them where there are none."""
        self._transport = transport
        self._namespaces = namespaces
        self._seconds: dict[str, float] = {}

    def known(self, classes: Mapping[str, Edge]) -> Mapping[str, Edge]:
        """The edges of these classes, with their limits where they are known."""
        if not self._seconds:
            return classes
        return {
            name: replace(edge, reload_seconds=self._seconds.get(edge.service or ""))
            for name, edge in classes.items()
        }

    async def read(self, classes: Mapping[str, Edge]) -> bool:
        """Ask for the limit of each edge of these classes; whether one is another than before."""
        before = dict(self._seconds)
        for edge in classes.values():
            route = routes.of_profile(edge.profile)
            if edge.service is None or route is None or route.reload_limit is None:
                continue
            namespace, _, name = edge.service.partition("/")
            if self._namespaces and namespace not in self._namespaces:
                continue
            key, default = route.reload_limit
            try:
                limit = await self._read(namespace, name, key)
            except NotFound:
                self._seconds.pop(edge.service, None)  # it is called otherwise: nothing is known
            except ClusterError as error:
                log.info("the reload limit of an edge is not known", extra={"cause": str(error)})
            else:
                self._seconds[edge.service] = default if limit is None else limit
        return self._seconds != before

    async def _read(self, namespace: str, name: str, key: str) -> float | None:
        """Seconds of that key of a ConfigMap; None where it is not set, or not as the edge takes it."""
        body = await self._transport.read(
            resources.CONFIG_MAPS.path(namespace, name), f"read ConfigMap {namespace}/{name}"
        )
        data = body.get("data")
        return seconds(str(data.get(key, ""))) if isinstance(data, dict) else None


def seconds(text: str) -> float | None:
    """A time as nginx writes it: `240s`, `4m`, `300`; None for anything else."""
    match = _TIME.fullmatch(text.strip())
    return None if match is None else int(match[1]) * _UNITS[match[2]]
