"""
The smallest configuration of each proxy that forwards to one upstream, and where a case's own lines go into it.

Pure but for writing the file. What is not given is each proxy's own default: the faults are in those too.
"""

import json
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where a proxy listens, what it forwards to and where it may write."""

    port: int
    upstream: int
    folder: Path
    certificate: Path | None
    """Key and certificate in one file; None for plain HTTP."""
    spare: int
    """A free port for a second listener."""
    dead: int
    """A port without a listener."""


def command(
    name: str, program: Path, place: Place, route: str, outside: str
) -> tuple[list[str], dict[str, str]]:
    """Write the configuration; the command in the foreground, and its environment."""
    kind = name.partition("-")[0]
    text = {"nginx": nginx, "haproxy": haproxy, "envoy": envoy, "caddy": caddy, "traefik": traefik}[kind](
        place, route, outside
    )
    file = place.folder / {"envoy": "envoy.json", "traefik": "dynamic.yaml"}.get(kind, f"{kind}.conf")
    file.write_text(text)
    arguments = {
        "nginx": ["-p", str(place.folder), "-c", str(file)],
        "haproxy": ["-W", "-f", str(file)],
        "envoy": [
            "-c",
            str(file),
            "--base-id",
            str(place.port),
            "--concurrency",
            "1",
            "--log-level",
            "error",
        ],
        "caddy": ["run", "--config", str(file), "--adapter", "caddyfile"],
        "traefik": [
            f"--entrypoints.web.address=127.0.0.1:{place.port}",
            f"--providers.file.filename={file}",
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            *outside.split(),
        ],
    }[kind]
    # Caddy keeps its state below its home.
    home = {"HOME": str(place.folder), "XDG_DATA_HOME": str(place.folder / "data")} if kind == "caddy" else {}
    return [str(program), *arguments], os.environ | home


def nginx(place: Place, route: str, outside: str) -> str:
    """`route` in the location, `outside` in http; {upstream} and {dead} are filled in."""
    tls = ""
    if place.certificate:
        tls = f"ssl_certificate {place.certificate}; ssl_certificate_key {place.certificate};"
    temporary = " ".join(
        f"{name}_temp_path {place.folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    before, _, http = outside.rpartition("http:")
    return f"""
daemon off; pid {place.folder}/pid; error_log {place.folder}/error.log; {_user()}
worker_processes 1; {_filled(before, place)}
events {{ worker_connections 256; }}
http {{
  access_log off; {temporary}
  {_filled(http, place)}
  server {{
    listen 127.0.0.1:{place.port}{" ssl" if tls else ""}; {tls}
    location / {{ proxy_pass http://127.0.0.1:{place.upstream}; {_filled(route, place)} }}
  }}
}}
"""


def _user() -> str:
    """The folder of a test belongs to whom runs it."""
    return "user root;" if os.geteuid() == 0 else ""


def haproxy(place: Place, route: str, outside: str) -> str:
    """`route` in the listen section; `outside` in global."""
    tls = f" ssl crt {place.certificate} alpn h2,http/1.1" if place.certificate else ""
    return f"""
global
{textwrap.indent(outside, "  ")}
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
listen edge
  bind 127.0.0.1:{place.port}{tls}
{textwrap.indent(_filled(route, place), "  ")}
  server engine 127.0.0.1:{place.upstream}
"""


def caddy(place: Place, route: str, outside: str) -> str:
    """`route` in reverse_proxy; of `outside`, what follows `site:` in the site, the rest in the global options."""
    tls = f"tls {place.certificate} {place.certificate}" if place.certificate else ""
    options, _, site = outside.partition("site:")
    return f"""
{{
  admin off
  auto_https off
  persist_config off
{textwrap.indent(options, "  ")}
}}
{"https" if tls else "http"}://:{place.port} {{
  bind 127.0.0.1
  {tls}
{textwrap.indent(site, "  ")}
  reverse_proxy 127.0.0.1:{place.upstream} {{
{textwrap.indent(route, "    ")}
  }}
}}
"""


def traefik(place: Place, route: str, outside: str) -> str:
    """`route` is the list of middlewares or a transport, as YAML under `http`; `outside` are flags."""
    middlewares = "{}" if not route or route.startswith("transport:") else route
    transport = route.removeprefix("transport:") if route.startswith("transport:") else "{}"
    tls = "tls: {}" if place.certificate else ""
    certificates = (
        f"tls: {{certificates: [{{certFile: {place.certificate}, keyFile: {place.certificate}}}]}}"
        if tls
        else ""
    )
    servers = "[]" if "no-servers" in route else f'[{{url: "http://127.0.0.1:{place.upstream}"}}]'
    if route in ("no-servers", "no-route"):
        middlewares = "{}"
    return f"""
http:
  routers:
    ready:
      rule: Path(`/ready`)
      service: noop@internal
    edge:
      rule: PathPrefix(`{"/other" if route == "no-route" else "/v1"}`)
      service: engine
      middlewares: {"[fault]" if middlewares != "{}" else "[]"}
      {tls}
  {"middlewares: {fault: " + middlewares + "}" if middlewares != "{}" else ""}
  {"serversTransports: {own: {forwardingTimeouts: " + transport + "}}" if transport != "{}" else ""}
  services:
    engine:
      loadBalancer:
        {"serversTransport: own" if transport != "{}" else ""}
        servers: {servers}
{certificates}
"""


def envoy(place: Place, route: str, outside: str) -> str:
    """
    `route` is JSON merged over the route's action; `outside` JSON: `filters`, `manager`, `virtual_host`, `cluster`, and
    `quiet` for no headers of Envoy's own.
    """
    more: dict[str, Any] = json.loads(outside or "{}")
    action: dict[str, Any] = {"cluster": "engine"} | json.loads(route or "{}")
    filters = [_filter(name, kind, body) for name, kind, body in more.get("filters", [])]
    router = {"suppress_envoy_headers": more.get("quiet", False)}
    host: dict[str, Any] = {
        "name": "edge",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": action}],
    } | more.get("virtual_host", {})
    manager = {
        "stat_prefix": "edge",
        "route_config": {"virtual_hosts": [host]},
        "http_filters": [*filters, _filter("envoy.filters.http.router", f"{_HTTP}.router.v3.Router", router)],
    } | more.get("manager", {})
    chain: dict[str, Any] = {
        "filters": [
            _filter(
                "envoy.filters.network.http_connection_manager",
                "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                manager,
            )
        ]
    }
    if place.certificate:
        file = {"filename": str(place.certificate)}
        chain["transport_socket"] = _filter(
            "envoy.transport_sockets.tls",
            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            {
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_certificates": [{"certificate_chain": file, "private_key": file}],
                }
            },
        )
    listener = {"name": "edge", "address": _address(place.port), "filter_chains": [chain]}
    endpoint = {"endpoint": {"address": _address(place.upstream)}}
    cluster = {
        "name": "engine",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "engine", "endpoints": [{"lb_endpoints": [endpoint]}]},
    } | more.get("cluster", {})
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})


_HTTP = "envoy.extensions.filters.http"


def _filter(name: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}"} | body}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _filled(text: str, place: Place) -> str:
    return text.replace("@upstream@", str(place.upstream)).replace("@dead@", str(place.dead))
