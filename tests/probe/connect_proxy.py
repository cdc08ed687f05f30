"""An HTTP proxy that makes connections for its clients (CONNECT), with or without a password."""

import contextlib
import socket
import threading
from base64 import b64encode

from tests.probe.listener import Listener


class ConnectProxy(Listener):
    """`heads` holds the head of each CONNECT; with *user* one must be named, as `user:password`."""

    def __init__(self, user: str = "", hosts: dict[str, tuple[str, int]] | None = None) -> None:
        super().__init__()
        self.heads: list[str] = []
        self._user, self._hosts = user, hosts or {}

    def serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(65536)
                if not data:
                    return
                head += data
            self.heads.append(head.decode())
            wanted = f"Proxy-Authorization: Basic {b64encode(self._user.encode()).decode()}\r\n"
            if self._user and wanted not in self.heads[-1]:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            authority = self.heads[-1].split()[1]
            host, _, port = authority.rpartition(":")
            with socket.create_connection(self._hosts.get(authority, (host, int(port)))) as upstream:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                threading.Thread(target=_copy, args=(client, upstream), daemon=True).start()
                _copy(upstream, client)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
