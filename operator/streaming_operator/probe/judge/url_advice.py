"""
What to do about each symptom for a person who knows nothing of the path but the URL: rows of `remedies`. Pure.
"""

from streaming_operator.api.symptoms import Symptom

_S = Symptom
URL: dict[Symptom | None, str] = {
    _S.BLOCK: (
        "turn response buffering and gzip of text/event-stream off in the proxies on the path, or probe the "
        "server directly with --via to see whether it is the server"
    ),
    _S.ONE_EVENT: (
        "the server or a gateway before it collects the whole text first (a fake stream, a filter that checks whole "
        "answers): switch that off, or probe the model server itself with --compare to see which"
    ),
    _S.BURSTS: (
        "probe the model server itself with --compare: if it shows no bursts, a proxy on the path waits before it "
        "sends; if it does, the engine emits in groups (speculative decoding, a filter that checks text)"
    ),
    _S.TIMED_BURSTS: "a proxy on the path waits before it sends (HAProxy: option http-no-delay)",
    _S.CERTIFICATE: (
        "give the CA that signed the certificate with --ca, or use the name that the certificate is valid for"
    ),
    _S.PLAIN_HTTP: "probe https:// instead of http://",
    _S.NAME: "check the name, or give the address with --via",
    _S.NO_CONNECTION: "check the address, and that the server runs and listens on it",
    _S.PROXY: (
        "check HTTPS_PROXY, with its user and password for a 407, or list the host in NO_PROXY to connect without it"
    ),
    _S.CLIENT_CERTIFICATE: (
        "give the certificate that this server asks its clients for with --cert, and its key with --key"
    ),
    _S.NO_ROUTE: "check the host and the path: the base, its /v1 or the whole path of the API may be given",
    _S.REDIRECT: "probe the address that it redirects to",
    _S.KEY_MISSING: "name the variable that holds the key with --api-key-env",
    _S.KEY_REFUSED: "check the key, and whether the gateway takes it as Authorization: Bearer",
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
    _S.CONTENT_LENGTH: (
        "something on the path holds whole responses (a WAF, an antivirus filter, a caching proxy): find it with --via "
        "or --compare nearer to the server, and let it pass text/event-stream through"
    ),
    _S.NOT_A_STREAM: (
        'the server, or a gateway that rewrites requests, ignored "stream": true: check whether this model can stream, '
        "and probe the server behind the gateway with --compare"
    ),
    _S.GZIP_BLOCK: (
        "a proxy compresses the stream as a whole: turn gzip off for text/event-stream in it, or send "
        "Accept-Encoding: identity"
    ),
    _S.SIZED_BURSTS: (
        "a buffer fills before anything is sent: turn response buffering off in the proxies on the path (nginx: "
        "proxy_buffering off)"
    ),
    _S.HELD_HEAD: (
        "a proxy holds the first bytes back (Caddy: response_buffers), or the server sends its first tokens late: "
        "--compare with an address nearer to the server shows which"
    ),
    _S.CUT: (
        "see the log of the proxy or server that closed the connection at that time: a reload, a restart, a crash; "
        "--runs 5 shows whether it happens again"
    ),
    _S.TOTAL_CUT: (
        "a limit for whole requests cuts the stream: raise it in the proxies on the path (Envoy: the route's timeout; "
        "load balancers: backend timeout)"
    ),
    _S.IDLE_CUT: (
        "a read or idle timeout cut a silence: raise it in the proxies on the path (nginx: proxy_read_timeout), or let "
        "the server send keep-alive comments more often"
    ),
    _S.HANGS: (
        "the connection is open and nothing comes: the server hangs, or something on the path drops connections "
        "silently (NAT, load balancer); --compare with an address nearer to the server shows which"
    ),
    _S.IN_STREAM: "the server failed while it generated: its words are quoted; see its log, or ask its operator",
    _S.LATE_FIRST: "the server is loaded or far away, or a queue or an authentication request stands before it",
    _S.LONG_GAP: "check the load of the server and of the proxies on the path; --runs 5 shows whether it happens again",
    _S.KEY_BROKEN: "fix the value of the variable that --api-key-env names: one line of printable ASCII",
    _S.HANDSHAKE: (
        "check that this port speaks TLS for this name; a server that speaks HTTP/2 alone needs --http2"
    ),
    _S.FORBIDDEN_ADDRESS: "give an address that may be probed with --via",
    _S.WRONG_PATH: (
        "another service answers: check host and path, such as /v1, /openai/v1 or /api/v1; the whole path of the API "
        "may be given"
    ),
    _S.LOGIN: (
        "a login page stands before this address: exempt the API's path from the login, or probe behind it with --via"
    ),
    _S.CHALLENGE: (
        "a WAF or bot protection refuses the client itself, not the key: exempt this path or this client from it"
    ),
    _S.HTTP2_ONLY: "the server speaks HTTP/2 without TLS: use --http2",
    _S.UNREADABLE: (
        "the response is framed or compressed wrongly, as quoted, and other clients fail too: check what writes or "
        "rewrites bodies on the path"
    ),
    _S.NO_MODEL_LIST: "name the model with --model if the server has no list of them; else check the host and the path",
    _S.BAD_REQUEST: (
        "the server refuses the probe's request, with fewer parameters too: its words say why; name another model with "
        "--model or another API with --api"
    ),
    _S.TOO_BIG: "a proxy on the path refuses small requests as too large: raise its limit for request bodies",
    _S.BAD_GATEWAY: "the proxy that answered cannot reach the server behind it: check that server and its address",
    _S.GATEWAY_TIMEOUT: (
        "the proxy that answered waited in vain for the first byte: raise its timeout, or let the server send headers "
        "and keep-alive comments early"
    ),
    _S.UNAVAILABLE: "the server failed, or the proxy that answered has no server that is up: see the log of either",
    _S.BUSY: "the server is at capacity, or your quota is used up: try again later, as its words say",
    _S.LIMITED: "a rate limit refuses the requests: try again later, or raise the limit for this client",
    _S.TOO_LARGE: (
        "see with curl -N what this address answers: it sends far more than a short stream takes (events, comments, "
        "chunks or frames without end), or ignores the number of tokens that it is asked for"
    ),
    _S.UNCLEAR: "raise --max-tokens",
}
