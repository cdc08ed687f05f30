"""What every small server of these tests is: a listening socket, and a thread for each client."""

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Listener(ABC):
    """Accepts on a free port of *address* while the block lasts; a subclass serves each client in `serve`."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, 0), family=family)
        self.port: int = self.listener.getsockname()[1]
        self._closing = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    @abstractmethod
    def serve(self, client: socket.socket) -> None:
        """Serve one client, in a thread of its own."""

    def _accept(self) -> None:
        while not self._closing:
            with contextlib.suppress(OSError):
                client, _ = self.listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()
