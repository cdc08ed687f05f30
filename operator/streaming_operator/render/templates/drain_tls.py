"""
preStop hook of a server that speaks TLS: `drain.py`, which lies beside it, over TLS.

Its text is frozen, as that of `drain.py` is, so that the connection is replaced from here. The certificate is not
checked: it is that of the users' name, and this is the server of the same pod.
"""

import http.client
import ssl
import sys

import drain  # type: ignore[import-not-found]  # it lies beside this file where both are mounted


class Connection(http.client.HTTPSConnection):
    """A connection to the server of this pod."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        super().__init__(host, port, timeout=timeout, context=context)


drain.http.client.HTTPConnection = Connection

if __name__ == "__main__":
    drain.main(sys.argv[1:])
