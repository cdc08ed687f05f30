"""What the dashboard of the operator itself shows."""

from hack.grafana import Dashboard, Panel, Query, Row
from hack.promql import quantiles, rate

OPERATOR = Dashboard(
    "streaming-operator",
    "Streaming operator",
    "The operator itself: what it has to do, how long that takes, and what it asks of the API server.",
    [
        Row(
            "Which process works",
            [
                Panel(
                    "Leaders",
                    "One process holds the Lease and does all the work. None for longer than the Lease's time: "
                    "`kubectl -n streaming-system get lease`, and the log of each operator.",
                    [Query("sum(streamingendpoint_leader)")],
                    kind="stat",
                    limits=((None, "red"), (1, "green"), (2, "red")),
                ),
                Panel(
                    "Standing by",
                    "Processes that are ready to take over.",
                    [Query("sum(streamingendpoint_standby)")],
                    kind="stat",
                ),
                Panel(
                    "Left of the Lease",
                    "Seconds in which the leader may write unless it renews the Lease.",
                    [Query("max(streamingendpoint_lease_left_seconds)")],
                    kind="stat",
                    unit="s",
                ),
                Panel(
                    "Failures of the Lease",
                    "Tries of the last hour to read or renew it, of all processes.",
                    [Query("sum(increase(streamingendpoint_lease_failures_total[1h]))")],
                    kind="stat",
                    limits=((None, "green"), (1, "orange")),
                ),
            ],
        ),
        Row(
            "Work",
            [
                Panel(
                    "Under way and waiting",
                    "Endpoints that wait for a pass, passes, and verifications with those that wait for their turn.",
                    [
                        Query("sum(streamingendpoint_queue_length)", "waiting for a pass"),
                        Query("sum(streamingendpoint_passes_running)", "passes"),
                        Query("sum(streamingendpoint_probes_running)", "verifications"),
                    ],
                ),
                Panel(
                    "Age of the queue",
                    "How long the endpoint has waited that waits longest. Growing: the operator does not keep up.",
                    [Query("max(streamingendpoint_queue_age_seconds)", "longest wait")],
                    unit="s",
                ),
                Panel(
                    "Passes",
                    "One pass brings one endpoint to where its spec wants it.",
                    [Query(rate("streamingendpoint_passes_total", "outcome"), "{{outcome}}")],
                    unit="ops",
                ),
                Panel(
                    "Length of a pass",
                    "A pass never waits for a verification.",
                    quantiles("streamingendpoint_pass_seconds", ""),
                    unit="s",
                ),
                Panel(
                    "Verifications",
                    "",
                    [Query(rate("streamingendpoint_probes_total", "verdict"), "{{verdict}}")],
                    unit="ops",
                ),
            ],
        ),
        Row(
            "API server",
            [
                Panel(
                    "Requests",
                    "By verb and status code; code none: no answer came.",
                    [Query(rate("streamingendpoint_api_requests_total", "verb, code"), "{{verb}} {{code}}")],
                    unit="reqps",
                ),
                Panel(
                    "Age of watches",
                    "Since the API server last sent something of a kind. It sends a bookmark about every minute: what "
                    "is older than a few minutes is not up to date.",
                    [Query("max by (kind) (streamingendpoint_watch_age_seconds)", "{{kind}}")],
                    unit="s",
                ),
                Panel(
                    "Writes",
                    "None while nothing changes.",
                    [Query(rate("streamingendpoint_api_writes_total", "kind, verb"), "{{verb}} {{kind}}")],
                    unit="ops",
                ),
                Panel(
                    "Watches that began again",
                    "After an error, by a list of everything.",
                    [Query(rate("streamingendpoint_watch_restarts_total", "kind"), "{{kind}}")],
                    unit="ops",
                ),
                Panel(
                    "Objects that could not be read",
                    "The log names each.",
                    [
                        Query(
                            "sum by (kind) (increase(streamingendpoint_unreadable_objects_total[1h]))",
                            "{{kind}}",
                        )
                    ],
                ),
                Panel(
                    "Verifications left out",
                    "Since users' requests waited in the queue of every replica.",
                    [
                        Query(
                            "topk(10, sum by (namespace, name) (increase(streamingendpoint_probes_skipped_total[1h])))",
                            "{{namespace}}/{{name}}",
                        )
                    ],
                ),
            ],
        ),
    ],
)
