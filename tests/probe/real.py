"""Real proxies with a given configuration, started from the distribution's packages in the foreground.

A machine without them skips those tests and says which package is missing.
"""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.engines.running import free_port

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{upstream}; {more} }}
  }}
}}
"""
HAPROXY = """
global
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  {more}
listen edge
  bind 127.0.0.1:{port}
  server engine 127.0.0.1:{upstream}
"""


class RealProxy:
    """nginx or HAProxy before a model server."""

    def __init__(self, program: str, template: str, upstream: int, more: str, folder: Path) -> None:
        self.port = free_port()
        self._program = shutil.which(program, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        self._config = folder / f"{program}.conf"
        self._config.write_text(template.format(folder=folder, port=self.port, upstream=upstream, more=more))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self._program is None:
            pytest.skip(f"{self._config.stem} is not installed: apt-get install nginx-light haproxy")
        flag = "-c" if "nginx" in self._program else "-f"
        self._process = subprocess.Popen([self._program, flag, str(self._config)])
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()  # a killed nginx would leave its workers behind
        self._process.wait()


def nginx(upstream: int, folder: Path, more: str) -> RealProxy:
    return RealProxy("nginx", NGINX, upstream, more, folder)


def haproxy(upstream: int, folder: Path, more: str) -> RealProxy:
    return RealProxy("haproxy", HAPROXY, upstream, more, folder)
