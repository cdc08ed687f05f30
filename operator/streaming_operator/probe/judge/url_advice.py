"""
What to do about each symptom for a person who knows nothing of the path but the URL: rows of `remedies`. Pure.
"""

from streaming_operator.probe.judge.finding import Symptom

_S = Symptom
URL: dict[Symptom | None, str] = {
    _S.BLOCK: (
        "turn response buffering and gzip of text/event-stream off in the proxies on the path, or probe the "
        "server directly with --via to see whether it is the server"
    ),
    _S.TIMED_BURSTS: "a proxy on the path waits before it sends (HAProxy: option http-no-delay)",
    _S.CERTIFICATE: (
        "give the CA that signed the certificate with --ca, or use the name that the certificate is valid for"
    ),
    _S.PLAIN_HTTP: "probe https:// instead of http://",
    _S.NAME: "check the name, or give the address with --via",
    _S.NO_CONNECTION: "check the address and that the server runs",
    _S.NO_ROUTE: "check the host and the path",
    _S.REDIRECT: "probe the address that it redirects to",
    _S.KEY_MISSING: "name the variable that holds the key with --api-key-env",
    _S.KEY_REFUSED: "check the key",
    _S.UNKNOWN_MODEL: "name a model that /v1/models lists with --model",
    _S.NO_TOKEN: "raise --timeout",
    _S.KEPT_WAITING: "the request waits in a queue: raise --timeout, or try again when the server has less to do",
    _S.ABORTED: "the server gave the answer up: try again, and see its log or ask its operator with this finish reason",
    _S.NO_REASON: (
        "the server leaves finish_reason out, so that clients cannot tell a whole answer from a cut one: report it to "
        "its provider"
    ),
    _S.UNKNOWN_REASON: "look the finish reason up in the provider's documentation",
    _S.NO_DONE: (
        "the server itself or a proxy that rewrites events leaves the end marker out: probe the server directly with "
        "--compare to see which"
    ),
    _S.UNCLEAR: "raise --max-tokens",
}
